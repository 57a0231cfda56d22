"""What varies between students in "A private subnet reaches out", and what is broken."""

from testbed.labs.exercise import Break, Draw, Edit, Exercise, Question

TO_NAT_A = 'associations=("private-a",), routes=(Route(destination_cidr_block=ANYWHERE, nat_gateway_id="nat-a"),)'
DATA = 'associations=("data",), routes=()'

EXERCISE = Exercise(
    name="private_subnet_reaches_out",
    summary="Route tables and NAT gateways: out to the internet, and nothing in.",
    minutes=45,
    draws=(
        Draw("10.20.", tuple(f"10.{number}." for number in (20, 31, 47, 58, 66, 73, 89, 94))),
        Draw("London", ("London", "Paris", "Dublin", "Amsterdam", "Madrid")),
    ),
    breaks=(
        Break(name="no way out", step=1, edits=(Edit(TO_NAT_A, 'associations=("private-a",), routes=()'),)),
        Break(name="straight to the internet gateway", step=1, edits=(Edit(TO_NAT_A, TO_NAT_A.replace('nat_gateway_id="nat-a"', 'gateway_id="igw-lab"')),)),
        Break(name="a table for nobody", step=1, edits=(Edit(TO_NAT_A, TO_NAT_A.replace('("private-a",)', "()")),)),
        Break(name="a NAT gateway in the wrong subnet", step=2, edits=(Edit('NatGateway(id="nat-b", subnet_id="public-b"', 'NatGateway(id="nat-b", subnet_id="private-b"'),)),
        Break(name="a public subnet that is none", step=2, edits=(Edit('associations=("public-a", "public-b")', 'associations=("public-a",)'),)),
        Break(name="a way out for the data", step=3, edits=(Edit(DATA, 'associations=("data",), routes=(Route(destination_cidr_block=ANYWHERE, nat_gateway_id="nat-a"),)'),)),
        Break(name="two halves of the internet", step=3, edits=(Edit(DATA, 'associations=("data",), routes=(Route(destination_cidr_block="0.0.0.0/1", nat_gateway_id="nat-a"), Route(destination_cidr_block="128.0.0.0/1", nat_gateway_id="nat-a"))'),)),
    ),
    questions=(
        Question(name="seen_as", step=2, text="Under which address does mirror see a connection that app-b opens to it?"),
        Question(name="inside_address", step=2, text="Under which source address does that packet go from nat-b to the internet gateway?"),
    ),
)
