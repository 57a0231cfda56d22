"""What varies between students in "Which load balancer?", and what is broken."""

from testbed.labs.exercise import Break, Draw, Edit, Exercise, Question

READS_HTTP = '''            port=HTTP,
            protocol="HTTP",
            rules=(ListenerRule(priority=10, path_pattern=("/images/*",), actions=(Forward(target_group_arn="tg-images"),)),),
'''
READS_NOTHING = '''            port=HTTP,
            protocol="TCP",
'''
RULES = '            rules=(ListenerRule(priority=10, path_pattern=("/images/*",),'
GAME_ADDRESSES = '''            type="network",
            security_groups=("sg-lb",),
            subnet_mappings=(SubnetMapping(subnet_id="public-a", allocation_id="eip-game-a"), SubnetMapping(subnet_id="public-b", allocation_id="eip-game-b")),
'''
GAME_GROUP = 'TargetGroup(id="tg-game", vpc_id="vpc-work", protocol="UDP", port=GAME, targets=("game",), health_check_port=9, health_check_interval_seconds=300, load_balancing_cross_zone_enabled=True)'
GAME_LISTENER = 'port=GAME, protocol="UDP", default_actions'
FRONT_GROUP = 'protocol="TCP", port=HTTP, target_type="alb", targets=("lb-shop",), health_check_interval_seconds=300'

EXERCISE = Exercise(
    name="which_load_balancer",
    summary="Which load balancer: what each type reads, whose address a server sees, which addresses stay.",
    minutes=40,
    draws=(
        Draw("10.20.", tuple(f"10.{number}." for number in (20, 21, 23, 26, 27, 29))),
        Draw("7777", ("7777", "7779", "7788", "7790")),
    ),
    breaks=(
        Break(
            name="a balancer that reads no paths",
            step=1,
            edits=(
                Edit('id="lb-shop", type="application",', 'id="lb-shop", type="network",'),
                Edit(READS_HTTP, READS_NOTHING),
                Edit('id="tg-web", vpc_id="vpc-work", protocol="HTTP",', 'id="tg-web", vpc_id="vpc-work", protocol="TCP", load_balancing_cross_zone_enabled=True,'),
                Edit('id="tg-images", vpc_id="vpc-work", protocol="HTTP",', 'id="tg-images", vpc_id="vpc-work", protocol="TCP",'),
            ),
        ),
        Break(name="a rule for hosts", step=1, edits=(Edit(RULES, '            rules=(ListenerRule(priority=10, host_header=("images.*",),'),)),
        Break(
            name="a balancer for requests",
            step=2,
            edits=(
                Edit(GAME_ADDRESSES, '            type="application",\n            security_groups=("sg-lb",),\n            subnets=PUBLIC,\n'),
                Edit(GAME_LISTENER, 'port=GAME, protocol="HTTP", default_actions'),
                Edit(GAME_GROUP, 'TargetGroup(id="tg-game", vpc_id="vpc-work", protocol="HTTP", port=GAME, targets=("game",), health_check_interval_seconds=300)'),
            ),
        ),
        Break(
            name="a balancer for connections",
            step=2,
            edits=(Edit(GAME_LISTENER, 'port=GAME, protocol="TCP", default_actions'), Edit(GAME_GROUP, GAME_GROUP.replace('"UDP"', '"TCP"'))),
        ),
        Break(name="past the rules", step=3, edits=(Edit(FRONT_GROUP, 'protocol="TCP", port=APPLICATION, targets=("web",), health_check_interval_seconds=300, load_balancing_cross_zone_enabled=True'),)),
    ),
    questions=(
        Question(name="forwarded_for", step=1, text="In which header of a request does web find the client's address, when it comes by lb-shop? (testbed capture web)"),
        Question(name="balancers_source", step=3, text="A request of client comes by lb-front, and then by lb-shop. How many TCP handshakes does the way to web have in all? (testbed capture lb-front-a lb-shop-a web)"),
        Question(name="for_appliances", step=3, text="Every packet of a VPC is to pass somebody else's intrusion detection, its addresses unchanged. Which value of `type` has the balancer before those appliances?"),
    ),
)
