"""What varies between students in "Why can't I connect?": five faults, one for each connection, each drawn from several."""

from testbed.labs.exercise import Break, Draw, Edit, Exercise

WEB_RULE = "security_group_ingress=(from_anywhere(HTTPS),)"
FRONT_ENTRY = "                entry(100, Direction.INBOUND, Verdict.ALLOW, ANYWHERE, port(HTTPS)),\n"
APP_RULE = 'security_group_ingress=(from_group(APPLICATION, "sg-web"),)'
PRIVATE = 'associations=("private",), routes=(Route(destination_cidr_block=ANYWHERE, nat_gateway_id="nat-work"),)'
ADMIN = 'associations=("admin",), routes=(Route(destination_cidr_block=ANYWHERE, gateway_id="igw-work"),)'
BASTION = 'Instance(id="bastion", subnet_id="admin", security_group_ids=("sg-bastion",), associate_public_ip_address=True)'
DATA_IN = '                entry(100, Direction.INBOUND, Verdict.ALLOW, "10.20.10.0/24", port(DATABASE)),\n'
DATA_OUT = '                entry(100, Direction.OUTBOUND, Verdict.ALLOW, "10.20.10.0/24", EPHEMERAL),\n'

EXERCISE = Exercise(
    name="why_cant_i_connect",
    summary="Five people, five connections, five faults. Find each, and mend it and nothing else.",
    minutes=60,
    draws=(
        Draw("10.20.", tuple(f"10.{number}." for number in (20, 31, 47, 58, 66, 73, 89, 94))),
        Draw("London", ("London", "Paris", "Dublin", "Amsterdam", "Madrid")),
        Draw("8080", ("8080", "8000", "9000", "3000")),
    ),
    breaks=(
        Break(name="web: wrong port", step=1, edits=(Edit(WEB_RULE, "security_group_ingress=(from_anywhere(8443),)"),)),
        Break(name="web: denied before", step=1, edits=(Edit(FRONT_ENTRY, FRONT_ENTRY.replace("entry(100", "entry(90").replace("ALLOW", "DENY") + FRONT_ENTRY),)),
        Break(name="web: no rule", step=1, edits=(Edit(WEB_RULE, "security_group_ingress=()"),)),
        Break(name="app: no rule", step=2, edits=(Edit(APP_RULE, "security_group_ingress=()"),)),
        Break(name="app: wrong group", step=2, edits=(Edit(APP_RULE, APP_RULE.replace("sg-web", "sg-bastion")),)),
        Break(name="out: no default route", step=3, edits=(Edit(PRIVATE, 'associations=("private",), routes=()'),)),
        Break(name="out: wrong target", step=3, edits=(Edit(PRIVATE, PRIVATE.replace('nat_gateway_id="nat-work"', 'gateway_id="igw-work"')),)),
        Break(name="bastion: no public address", step=4, edits=(Edit(BASTION, BASTION.replace("=True", "=False")),)),
        Break(name="bastion: no default route", step=4, edits=(Edit(ADMIN, 'associations=("admin",), routes=()'),)),
        Break(name="bastion: wrong target", step=4, edits=(Edit(ADMIN, ADMIN.replace('gateway_id="igw-work"', 'nat_gateway_id="nat-work"')),)),
        Break(name="db: no replies", step=5, edits=(Edit(DATA_OUT, ""),)),
        Break(name="db: denied before", step=5, edits=(Edit(DATA_IN, DATA_IN.replace("entry(100", "entry(50").replace("ALLOW", "DENY").replace("10.20.10.0/24", "10.20.0.0/16") + DATA_IN),)),
        Break(name="db: wrong subnet", step=5, edits=(Edit(DATA_IN, DATA_IN.replace("10.20.10.0/24", "10.20.1.0/24")),)),
    ),
)
