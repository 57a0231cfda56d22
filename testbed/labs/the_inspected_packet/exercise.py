"""What varies between students in "The inspected packet", and what is broken."""

from testbed.labs.exercise import Break, Draw, Edit, Exercise, Question

INTO = '            routes=(Route(destination_cidr_block="10.20.1.0/24", vpc_endpoint_id="vpce-app"),),\n'
OUT_OF = '            routes=(Route(destination_cidr_block=ANYWHERE, vpc_endpoint_id="vpce-app"),),\n'
PAST = '            routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw-app"),),\n'
BEHIND = '            associations=("inspect",),\n' + PAST
GENEVE_RULE = '                SecurityGroupRule(ip_protocol="udp", from_port=GENEVE, to_port=GENEVE, cidr_ip="10.80.0.0/16"),\n'

EXERCISE = Exercise(
    name="the_inspected_packet",
    summary="The inspected packet: route every packet through an appliance in another VPC, both ways, unchanged.",
    minutes=40,
    draws=(
        Draw("10.20.", tuple(f"10.{number}." for number in (20, 21, 23, 26, 27, 29))),
        Draw("10.80.", tuple(f"10.{number}." for number in (80, 82, 83, 85, 88, 89))),
        Draw("MALLARD", ("MALLARD", "PINTAIL", "GADWALL", "SHOVELER")),
    ),
    breaks=(
        Break(name="nothing is inspected", step=1, edits=(Edit(INTO, "            routes=(),\n"), Edit(OUT_OF, PAST))),
        Break(name="nothing that comes in is inspected", step=1, edits=(Edit(INTO, "            routes=(),\n"),)),
        Break(name="nothing that goes out is inspected", step=1, edits=(Edit(OUT_OF, PAST),)),
        Break(name="the appliance's group", step=2, edits=(Edit(GENEVE_RULE, ""),)),
        Break(name="behind the endpoint", step=2, edits=(Edit(BEHIND, '            associations=("inspect",),\n            routes=(),\n'),)),
        Break(name="nothing to look for", step=3, edits=(Edit('signatures=("MALLARD",)', "signatures=()"),)),
        Break(name="the wrong word", step=3, edits=(Edit('signatures=("MALLARD",)', 'signatures=("MALLARDS",)'),)),
    ),
    questions=(
        Question(name="outer_port", step=2, text="To which UDP port does gwlb send packets to fw? (testbed capture fw)"),
        Question(name="overhead", step=2, text="How many bytes longer is a packet in front of fw than the packet in it? (testbed capture fw: the outer length less the inner one)"),
    ),
)
