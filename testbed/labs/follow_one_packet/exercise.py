"""What varies between students in "Follow one packet", and what is broken."""

from testbed.labs.exercise import Break, Draw, Edit, Exercise, Question

DB_RULE = 'from_group(POSTGRESQL, "sg-web"),'

EXERCISE = Exercise(
    name="follow_one_packet",
    summary="One request from a browser to a database and back: who answers, who admits, who translates.",
    minutes=60,
    draws=(
        Draw("10.20.", tuple(f"10.{number}." for number in (20, 31, 47, 58, 66, 73, 89, 94))),
        Draw("London", ("London", "Frankfurt", "New York")),
        Draw("REPLIES = 100", tuple(f"REPLIES = {number}" for number in (100, 120, 200, 310))),
        Draw("REQUESTS = 100", tuple(f"REQUESTS = {number}" for number in (100, 110, 150, 220))),
    ),
    breaks=(
        Break(name="jobs by address", step=3, edits=(Edit(DB_RULE, f'{DB_RULE} from_block(POSTGRESQL, "10.20.0.0/16"),'),)),
        Break(name="jobs by group", step=3, edits=(Edit(DB_RULE, f'{DB_RULE} from_group(POSTGRESQL, "sg-jobs"),'),)),
    ),
    questions=(
        Question(name="edge_location", step=1, text="Which edge location answers client's request for https://shop.example.com/products? (three letters)"),
        Question(name="second_request", step=1, text="What does CloudFront make of client's second request for the same page: Hit or Miss?"),
        Question(name="balancer_admitted_by", step=2, text="Which security group rule admits the balancer's request to web-a, port 80?"),
        Question(name="database_admitted_by", step=2, text="Which network ACL rule lets web-a's request (port 5432) into the subnet of shop-db? (acl-…#number)"),
        Question(name="reply_admitted_by", step=2, text="Which network ACL rule lets the reply of shop-db out of its subnet? (acl-…#number)"),
        Question(name="database_sees", step=2, text="Which source address does shop-db see when web-a connects?"),
        Question(name="internet_sees", step=2, text="Which source address does client see when web-a connects to it?"),
    ),
)
