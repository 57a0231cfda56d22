"""What varies between students in "The encrypted tunnel", and what is broken."""

from testbed.labs.exercise import Break, Draw, Edit, Exercise, Question

ENDS = "aws_end = (VpnTunnelOptions(pre_shared_key=KEYS[0]), VpnTunnelOptions(pre_shared_key=KEYS[1]))"
FIRST, SECOND = "CustomerDeviceTunnel(pre_shared_key=KEYS[0],", "CustomerDeviceTunnel(pre_shared_key=KEYS[1],"
CLAMPED = "metric={metric}, tcp_mss=1360),"

EXERCISE = Exercise(
    name="encrypted_tunnel",
    summary="A Site-to-Site VPN: bring the tunnels up, lead the packets in, and prove that the internet reads nothing.",
    minutes=50,
    draws=(
        Draw("192.168.10.", tuple(f"192.168.{number}." for number in (10, 17, 24, 36, 52, 68, 81, 95))),
        Draw("10.20.", tuple(f"10.{number}." for number in (20, 31, 47, 58, 66, 73, 89, 94))),
        Draw("kestrel_", ("kestrel_", "osprey_", "curlew_", "dunlin_", "plover_", "avocet_")),
    ),
    breaks=(
        Break(name="keys that differ", step=1, edits=(Edit(FIRST, FIRST.replace("KEYS[0]", '"kestrel_1_harbour"')), Edit(SECOND, SECOND.replace("KEYS[1]", '"kestrel_2_meadow"')))),
        Break(name="keys in the wrong order", step=1, edits=(Edit(ENDS, "aws_end = (VpnTunnelOptions(pre_shared_key=KEYS[1]), VpnTunnelOptions(pre_shared_key=KEYS[0]))"),)),
        Break(name="no group in common", step=1, edits=(Edit(ENDS, ENDS.replace("])", "], phase1_dh_group_numbers=(20, 21))")),)),
        Break(name="a static route to somebody else", step=2, edits=(Edit("static_routes=(OFFICE,)", 'static_routes=("192.168.200.0/24",)'),)),
        Break(name="propagated into the wrong table", step=2, edits=(Edit('route_table_ids=("rtb-private",)', 'route_table_ids=("rtb-archive",)'),)),
        Break(name="the office sends it elsewhere", step=2, edits=(Edit("customer_routes=(CLOUD,)", 'customer_routes=("10.200.0.0/16",)'),)),
        Break(name="segments that do not fit", step=3, edits=tuple(Edit(CLAMPED.format(metric=metric), f"metric={metric}, tcp_mss=1460),") for metric in (100, 200))),
        Break(name="segments that nobody clamps", step=3, edits=tuple(Edit(CLAMPED.format(metric=metric), f"metric={metric}, tcp_mss=None),") for metric in (100, 200))),
    ),
    questions=(
        Question(name="office_address", step=1, text="Which source address do the office's packets have on the internet? (testbed capture city-london)"),
        Question(name="esp_port", step=3, text="Which UDP port do both ends use for ESP? (testbed capture city-london)"),
        Question(name="ledger_offered", step=3, text="Which MSS does the SYN of pc (port 443) offer where it arrives, at ledger?"),
    ),
)
