"""What varies between students in "Under attack", and what is broken."""

from testbed.labs.exercise import Break, Draw, Edit, Exercise, Question

ALIAS = 'RecordSet(name="shop.example.com", type="A", alias_target="cdn-shop"),'
PROTECTION = 'ShieldProtection(id="protect-shop", resource_arn="cdn-shop", application_layer_automatic_response="Block"),'
RULE = 'SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, prefix_list_id="pl-cloudfront"),'

EXERCISE = Exercise(
    name="under_attack",
    summary="A shop under SYN floods and HTTP floods: put the edge before it, have Shield learn what is usual, and close the way round.",
    minutes=45,
    draws=(
        Draw("10.20.", tuple(f"10.{number}." for number in (20, 31, 47, 58, 66, 73, 89, 94))),
        Draw("198.19.12.50", tuple(f"198.19.12.{number}" for number in (50, 67, 84, 101, 118, 135, 152, 169))),
        Draw("LHR", ("LHR", "CDG", "FRA", "DUB")),
    ),
    breaks=(
        Break(name="the name leads past the edge", step=1, edits=(Edit(ALIAS, 'RecordSet(name="shop.example.com", type="A", ttl=60, resource_records=(ORIGIN,)),'),)),
        Break(name="no automatic mitigation", step=2, edits=(Edit(PROTECTION, 'ShieldProtection(id="protect-shop", resource_arn="cdn-shop"),'),)),
        Break(name="it only counts", step=2, edits=(Edit(PROTECTION, PROTECTION.replace("Block", "Count")),)),
        Break(name="another resource is protected", step=2, edits=(Edit(PROTECTION, 'ShieldProtection(id="protect-shop", resource_arn="eip-web"),'),)),
        Break(name="everybody reaches the origin", step=3, edits=(Edit(RULE, 'SecurityGroupRule(ip_protocol="tcp", from_port=HTTP, to_port=HTTP, cidr_ip="0.0.0.0/0"),'),)),
        Break(name="more than everybody reaches the origin", step=3, edits=(Edit(RULE, f'{RULE}\n                SecurityGroupRule(ip_protocol="-1", cidr_ip="198.18.0.0/15"),'),)),
    ),
    questions=(
        Question(name="address_under_attack", step=1, text="Which address does a flood hit that is sent to shop.example.com? (testbed exec crowd -- dig +short shop.example.com)"),
        Question(name="status_of_the_flood", step=2, text="Which status do most requests of an HTTP flood get, once it is mitigated?"),
        Question(name="who_dropped_it", step=3, text="Which line of the group's decides on a packet of crowd to the origin, port 80? (testbed explain crowd 198.19.12.50 --port 80; the id before 'dropped')"),
    ),
)
