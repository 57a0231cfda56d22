"""What varies between students in "Hub and spoke", and what is broken."""

from testbed.labs.exercise import Break, Draw, Edit, Exercise, Question

TO_HUB = '            Route(destination_cidr_block=PRIVATE, transit_gateway_id="tgw-hub"),\n'
BY_PEERING = '            Route(destination_cidr_block="10.20.0.0/16", vpc_peering_connection_id="pcx-payroll-orders"),\n'
HUB = "    hub = (\n"
PEERING = '        VpcPeeringConnection(id="pcx-payroll-orders", vpc_id="vpc-payroll", peer_vpc_id="vpc-orders"),\n'
FROM_SHARED = '"10.20.", Route(destination_cidr_block="10.0.0.0/8",'
DEPARTMENTS, SHARED = 'associations=("attach-orders", "attach-payroll"),', 'associations=("attach-shared",),'
LEARNED = 'propagations=("attach-shared",),'
ROUTES = "            routes=(),\n"
NEIGHBOURS = ", ".join(f'TransitGatewayRoute(destination_cidr_block="{block}", attachment_id="attach-{name}")' for name, block in (("orders", "10.31.0.0/16"), ("payroll", "10.42.0.0/16")))

EXERCISE = Exercise(
    name="hub_and_spoke",
    summary="Hub and spoke against a mesh of peerings: what is transitive, what a route table isolates.",
    minutes=45,
    draws=(
        Draw("10.20.", tuple(f"10.{number}." for number in (20, 21, 23, 26, 28, 29))),
        Draw("10.31.", tuple(f"10.{number}." for number in (31, 33, 34, 36, 38, 39))),
        Draw("10.42.", tuple(f"10.{number}." for number in (42, 44, 45, 47, 48, 49))),
    ),
    breaks=(
        Break(name="through a neighbour", step=1, edits=(Edit(TO_HUB, BY_PEERING), Edit(HUB, HUB + PEERING))),
        Break(name="no way to the hub", step=1, edits=(Edit(TO_HUB, ""),)),
        Break(name="no way back", step=1, edits=(Edit(FROM_SHARED, FROM_SHARED.replace("10.0.0.0/8", "10.31.0.0/16")),)),
        Break(name="everybody tells everybody", step=2, edits=(Edit(LEARNED, 'propagations=("attach-orders", "attach-payroll", "attach-shared"),'),)),
        Break(name="one table for all", step=2, edits=(Edit(DEPARTMENTS, "associations=(),"), Edit(SHARED, 'associations=("attach-orders", "attach-payroll", "attach-shared"),'))),
        Break(name="routes by hand", step=2, edits=(Edit(ROUTES, f"            routes=({NEIGHBOURS}),\n"),)),
        Break(name="a zone without a subnet", step=3, edits=(Edit('subnet_ids=("orders-tgw-a", "orders-tgw-b")', 'subnet_ids=("orders-tgw-a",)'),)),
        Break(name="the other zone of what is shared", step=3, edits=(Edit('subnet_ids=("shared-tgw-a", "shared-tgw-b")', 'subnet_ids=("shared-tgw-a",)'),)),
    ),
    questions=(
        Question(name="arriving_ttl", step=1, text="hr sends a ping with a TTL of 64 to tools (testbed exec hr ping). With which TTL does it arrive?"),
        Question(name="offered_mss", step=3, text="Which MSS does the SYN of till to tools (port 443) offer where it arrives? (testbed capture tools)"),
    ),
)
