"""What varies between students in "The fibre and its backup", and what is broken."""

from testbed.labs.exercise import Break, Draw, Edit, Exercise, Question

METRIC = "        metric=50,"
ENDS = "aws_end = (VpnTunnelOptions(pre_shared_key=KEYS[0]), VpnTunnelOptions(pre_shared_key=KEYS[1]))"

EXERCISE = Exercise(
    name="fibre_and_backup",
    summary="Direct Connect with a VPN behind it: make the failover work, and measure it.",
    minutes=60,
    draws=(
        Draw("192.168.10.", tuple(f"192.168.{number}." for number in (10, 17, 24, 36, 52, 68, 81, 95))),
        Draw("10.20.", tuple(f"10.{number}." for number in (20, 31, 47, 58, 66, 73, 89, 94))),
        Draw("65010", ("65010", "65021", "65033", "64900", "64850")),
        Draw("101", ("101", "118", "207", "342", "560")),
    ),
    breaks=(
        Break(name="a key that differs", step=1, edits=(Edit(METRIC, f'        auth_key="hemlock_stone_7",\n{METRIC}'),)),
        Break(name="a router that tells nothing", step=1, edits=(Edit(METRIC, f"        prefixes=(),\n{METRIC}"),)),
        Break(name="the backup comes first", step=1, edits=(Edit(METRIC, METRIC.replace("50", "500")),)),
        Break(name="tunnels with other keys", step=2, edits=(Edit(ENDS, "aws_end = (VpnTunnelOptions(pre_shared_key=KEYS[1]), VpnTunnelOptions(pre_shared_key=KEYS[0]))"),)),
        Break(name="tunnels with other ciphers", step=2, edits=(Edit(ENDS, ENDS.replace("])", '], phase2_encryption_algorithms=("AES128",))')),)),
        Break(name="nobody watches the fibre", step=3, edits=(Edit("        bfd=True,\n", "        bfd=False,\n"),)),
    ),
    questions=(
        Question(name="vlan_on_the_fibre", step=1, text="Which VLAN does a packet of pc's carry on the fibre? (testbed capture dxcon-hq/fibre)"),
        Question(name="way_out", step=2, text="By which interface does router-hq send to app while the fibre is cut? (testbed fail dxcon-hq; testbed exec router-hq -- ip route get ADDRESS; testbed heal)"),
    ),
)
