"""What varies between students in "Stateful and stateless", and what is broken."""

from testbed.labs.exercise import Break, Draw, Edit, Exercise, Question

FRONT_OUT = "                outbound(100, ANYWHERE, EPHEMERAL),\n"
FRONT_IN = "inbound(100, ANYWHERE, PortRange(first=HTTPS, last=HTTPS)),"

EXERCISE = Exercise(
    name="stateful_and_stateless",
    summary="Security groups remember, network ACLs do not: let the replies through without opening everything.",
    minutes=45,
    draws=(
        Draw("10.20.", tuple(f"10.{number}." for number in (20, 31, 47, 58, 66, 73, 89, 94))),
        Draw("5432", ("5432", "3306", "1521", "6379")),
        Draw("London", ("London", "Paris", "Dublin", "Amsterdam", "Madrid")),
    ),
    breaks=(
        Break(name="no rule for replies", step=1, edits=(Edit(FRONT_OUT, ""),)),
        Break(name="half the ephemeral ports", step=1, edits=(Edit(FRONT_OUT, FRONT_OUT.replace("EPHEMERAL", "PortRange(first=1024, last=32767)")),)),
        Break(name="replies from the wrong side", step=1, edits=(Edit(FRONT_OUT, FRONT_OUT.replace("EPHEMERAL", "PortRange(first=HTTPS, last=HTTPS)")),)),
        Break(name="the database cannot answer", step=2, edits=(Edit('                outbound(100, "10.20.1.0/24", EPHEMERAL),\n', ""),)),
        Break(name="the answer does not get home", step=2, edits=(Edit('                inbound(110, "10.20.2.0/24", EPHEMERAL),\n', ""),)),
        Break(name="a range that is too wide", step=3, edits=(Edit(FRONT_IN, FRONT_IN.replace("first=HTTPS", "first=SSH")),)),
        Break(name="a rule too many", step=3, edits=(Edit(FRONT_IN, f"inbound(90, ANYWHERE, PortRange(first=1, last=1023)),\n                {FRONT_IN}"),)),
    ),
    questions=(
        Question(name="security_group_rule", step=3, text="Which rule of sg-web admits the client's request to port 443? (as testbed explain names it)"),
    ),
)
