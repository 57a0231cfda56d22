"""Faults of balancers, listeners, target groups, databases, zones and distributions."""

from dataclasses import replace

import pytest

from testbed.model import (
    AuthenticateOidc,
    CacheBehavior,
    CachePolicy,
    DBInstance,
    Distribution,
    FixedResponse,
    Forward,
    ForwardConfig,
    HostedZone,
    IdentityProvider,
    IdentityUser,
    Instance,
    JwtValidation,
    Listener,
    ListenerRule,
    LoadBalancer,
    Origin,
    RecordSet,
    Redirect,
    RewriteConfig,
    Subnet,
    TargetGroup,
    TargetGroupTuple,
    WebApplication,
)
from testbed.resolve import resolve

from .small import faults, small, told, topology

OK = (FixedResponse(status_code=200),)
BEHAVIOR = CacheBehavior(target_origin_id="alb")


def rule(priority: int, **fields: object) -> ListenerRule:
    return ListenerRule(**{"priority": priority, "path_pattern": ("/a",), "actions": OK, **fields})  # type: ignore[arg-type]


def zone(*records: RecordSet) -> HostedZone:
    return HostedZone(id="zone-x", name="x.example.com", record_sets=records)


def simple(name: str, record_type: str, *values: str) -> RecordSet:
    return RecordSet(name=name, type=record_type, ttl=300, resource_records=values)


def test_a_balancer_in_one_zone_is_told():
    assert told(small("alb", subnets=("sub-a",))) == [("alb", "subnets in 1 Availability Zones")]


def test_a_balancer_with_two_subnets_in_one_zone_is_told():
    assert told(Subnet(id="sub-c", vpc_id="vpc-1", cidr_block="10.0.5.0/24", availability_zone="eu-west-1a"), small("alb", subnets=("sub-a", "sub-b", "sub-c"))) == [
        ("alb", "2 subnets in eu-west-1a"),
    ]


def test_a_balancer_in_a_subnet_that_is_too_small_is_told():
    assert told(Subnet(id="sub-c", vpc_id="vpc-1", cidr_block="10.0.5.0/28", availability_zone="eu-west-1c"), small("alb", subnets=("sub-a", "sub-b", "sub-c"))) == [
        ("alb", "subnet sub-c is a /28"),
    ]


def test_a_balancer_over_two_vpcs_is_told():
    subnet = Subnet(id="sub-d", vpc_id="vpc-2", cidr_block="10.0.7.0/24", availability_zone="eu-west-1b")
    spoiled = told(subnet, LoadBalancer(id="alb-x", scheme="internal", subnets=("sub-a", "sub-d"), security_groups=("sg-1",)))
    assert ("alb-x", "subnets of vpc-1 and vpc-2") in spoiled


def test_an_internet_facing_balancer_needs_an_internet_gateway():
    subnet = Subnet(id="sub-d", vpc_id="vpc-2", cidr_block="10.0.7.0/24", availability_zone="eu-west-1b")
    assert told(subnet, LoadBalancer(id="alb-x", subnets=("sub-other", "sub-d"))) == [("alb-x", "internet-facing, but vpc-2 has no internet gateway")]
    assert resolve(topology(subnet, LoadBalancer(id="alb-x", scheme="internal", subnets=("sub-other", "sub-d"))))


def test_two_listeners_on_one_port_are_told():
    assert told(Listener(id="listener-x", load_balancer_arn="alb", port=443, protocol="HTTP", default_actions=OK)) == [("listener-x", "port 443 of alb already has the listener listener")]


def test_an_https_listener_without_certificate_is_told():
    assert told(small("listener", certificates=())) == [("listener", "an HTTPS listener without a certificate")]


def test_an_http_listener_with_certificates_is_told():
    assert told(small("listener", protocol="HTTP")) == [("listener", "an HTTP listener with certificates")]


def test_an_unknown_listener_protocol_is_told():
    assert told(small("listener", protocol="SCTP")) == [("listener", "protocol 'SCTP' is not one of the allowed values")]


def test_a_listener_without_default_action_is_told():
    assert told(small("listener", default_actions=())) == [("listener", "0 actions")]


def test_two_rules_with_one_priority_are_told():
    assert told(small("listener", rules=(rule(5), rule(5)))) == [("listener#5", "priority used 2 times")]


def test_a_priority_out_of_bounds_is_told():
    assert told(small("listener", rules=(rule(50001),))) == [("listener#50001", "priority 50001 is out of bounds")]


def test_a_rule_without_condition_is_told():
    assert told(small("listener", rules=(rule(5, path_pattern=()),))) == [("listener#5", "the rule has no condition")]


def test_a_redirect_with_another_status_than_301_or_302_is_told():
    assert told(small("listener", default_actions=(Redirect(status_code=307),))) == [("listener", "a redirect with status 307")]


def test_a_fixed_response_with_a_redirects_status_is_told():
    assert told(small("listener", default_actions=(FixedResponse(status_code=301),))) == [("listener", "a fixed response with status 301")]


def test_a_target_in_another_vpc_is_told():
    assert told(small("tg", targets=("web", "other"))) == [("tg", "target other is in vpc-2, not in vpc-1")]


def test_a_target_registered_twice_is_told():
    assert told(small("tg", targets=("web", "web"))) == [("tg", "target web is registered 2 times")]


def test_a_target_group_of_another_vpc_than_its_balancer_is_told():
    assert told(small("tg", vpc_id="vpc-2", targets=())) == [("listener", "forwards to tg of vpc-2, but alb is in vpc-1")]


def test_a_target_group_of_two_balancers_is_told():
    second = LoadBalancer(id="alb-x", subnets=("sub-a", "sub-b"), security_groups=("sg-1",))
    listener = Listener(id="listener-x", load_balancer_arn="alb-x", port=80, protocol="HTTP", default_actions=(Forward(target_group_arn="tg"),))
    assert told(second, listener) == [("tg", "used by alb and alb-x")]


def test_a_health_check_as_long_as_its_interval_is_told():
    assert told(small("tg", health_check_interval_seconds=5)) == [("tg", "the health check's timeout is not shorter than its interval")]


def test_a_matcher_that_names_no_codes_is_told():
    assert told(small("tg", matcher="2xx")) == [("tg", "matcher '2xx' names no HTTP codes")]
    assert resolve(topology(small("tg", matcher="200,300-399")))


def test_a_target_groups_bounds_are_told():
    assert told(TargetGroup(id="tg-x", vpc_id="vpc-1", port=0, healthy_threshold_count=1)) == [
        ("tg-x", "healthy_threshold_count 1 is out of bounds"),
        ("tg-x", "port 0 is out of bounds"),
    ]


def test_a_web_applications_port_out_of_bounds_is_told():
    assert told(small("web", user_data=WebApplication(port=70000, database_id="db"))) == [("web", "user_data port 70000 is out of bounds")]


def test_a_subnet_group_in_one_zone_is_told():
    assert told(small("db", db_subnet_group=("sub-a",))) == [("db", "db_subnet_group covers 1 Availability Zones")]


def test_a_database_in_a_zone_outside_its_group_is_told():
    assert told(small("db", availability_zone="eu-west-1c")) == [("db", "availability_zone eu-west-1c has no subnet in db_subnet_group")]


def test_an_engine_that_is_not_there_is_told():
    assert told(small("db", engine="mysql")) == [("db", "engine 'mysql' is not one of the allowed values")]


def test_a_password_that_rds_refuses_is_told():
    for password in ("short", "correct horse", "correct/horse"):
        assert told(small("db", master_user_password=password)) == [("db", "the master user's password is not one that RDS accepts")]


def test_a_database_name_that_postgresql_refuses_is_told():
    assert told(small("db", db_name="my shop")) == [("db", "db_name 'my shop' is not a PostgreSQL name")]


def test_a_record_outside_its_zone_is_told():
    assert told(zone(simple("y.example.com", "A", "192.0.2.9"))) == [("zone-x y.example.com A", "the name is outside the zone x.example.com")]


def test_a_name_that_only_ends_like_the_zone_is_outside_it():
    assert told(zone(simple("my-x.example.com", "A", "192.0.2.9"))) == [("zone-x my-x.example.com A", "the name is outside the zone x.example.com")]


def test_a_cname_at_the_apex_is_told():
    (fault,) = faults(topology(zone(simple("x.example.com", "CNAME", "shop.example.com"))))
    assert (fault.resource, fault.problem, fault.remedy) == ("zone-x x.example.com CNAME", "a CNAME at the zone apex", "use an alias record of type A instead")


def test_a_cname_beside_other_records_is_told():
    assert told(zone(simple("a.x.example.com", "CNAME", "b.x.example.com"), simple("a.x.example.com", "TXT", "t"))) == [
        ("zone-x a.x.example.com CNAME", "a CNAME beside TXT of the same name"),
    ]


def test_two_record_sets_of_one_name_and_type_are_told():
    assert told(zone(simple("a.x.example.com", "A", "192.0.2.9"), simple("a.x.example.com", "A", "192.0.2.8"))) == [
        ("zone-x a.x.example.com A", "2 record sets of one name and type"),
    ]


def test_a_record_with_neither_values_nor_alias_is_told():
    assert told(zone(RecordSet(name="a.x.example.com", type="A"))) == [("zone-x a.x.example.com A", "neither values nor an alias target")]


def test_a_simple_record_without_ttl_is_told():
    assert told(zone(RecordSet(name="a.x.example.com", type="A", resource_records=("192.0.2.9",)))) == [("zone-x a.x.example.com A", "a simple record needs a TTL")]


def test_an_address_record_with_a_name_as_value_is_told():
    assert told(zone(simple("a.x.example.com", "A", "b.example.com"))) == [("zone-x a.x.example.com A", "value 'b.example.com' is not an IPv4 address")]


def test_an_alias_with_a_ttl_is_told():
    assert told(zone(RecordSet(name="a.x.example.com", type="A", alias_target="alb", ttl=60))) == [("zone-x a.x.example.com A", "an alias with a TTL or values of its own")]


def test_an_alias_to_nothing_is_told_with_the_most_alike():
    (fault,) = faults(topology(zone(RecordSet(name="a.x.example.com", type="A", alias_target="albb"))))
    assert fault.problem == "alias_target 'albb' is neither a distribution, nor a load balancer, nor an accelerator, nor a record of the zone"
    assert fault.remedy == "did you mean alb?"


def test_an_alias_of_another_type_than_its_target_is_told():
    record = RecordSet(name="a.x.example.com", type="AAAA", alias_target="b.x.example.com")
    assert told(zone(record, simple("b.x.example.com", "A", "192.0.2.9"))) == [("zone-x a.x.example.com AAAA", "b.x.example.com has no record of type AAAA")]


def test_an_alias_to_itself_is_told():
    assert told(zone(RecordSet(name="a.x.example.com", type="A", alias_target="a.x.example.com"))) == [("zone-x a.x.example.com A", "the alias leads back to itself")]


def test_aliases_in_a_circle_are_told():
    records = (RecordSet(name="a.x.example.com", type="A", alias_target="b.x.example.com"), RecordSet(name="b.x.example.com", type="A", alias_target="a.x.example.com"))
    assert told(zone(*records)) == [("zone-x a.x.example.com A", "the alias leads back to itself"), ("zone-x b.x.example.com A", "the alias leads back to itself")]


def test_an_alias_of_a_name_that_the_distribution_does_not_have_is_told():
    assert told(zone(RecordSet(name="a.x.example.com", type="A", alias_target="cdn"))) == [("zone-x a.x.example.com A", "cdn does not have the alias a.x.example.com")]


def test_a_second_zone_of_one_name_is_told():
    assert told(HostedZone(id="zone-x", name="shop.example.com")) == [("zone-x", "shop.example.com already is the zone zone")]


def test_a_behaviour_with_an_origin_that_is_not_there_is_told():
    assert told(small("cdn", cache_behaviors=(CacheBehavior(target_origin_id="gone", path_pattern="/a"),))) == [
        ("cdn /a", "target_origin_id 'gone' is no origin of the distribution"),
    ]


def test_two_behaviours_of_one_pattern_are_told():
    assert told(small("cdn", cache_behaviors=(CacheBehavior(target_origin_id="alb", path_pattern="/a"),) * 2)) == [("cdn /a", "2 behaviours have this path pattern")]


def test_two_origins_with_one_id_are_told():
    assert told(small("cdn", origins=(Origin(id="alb", domain_name="a.example.com"), Origin(id="alb", domain_name="b.example.com")))) == [("cdn alb", "2 origins have this id")]


def test_an_origin_that_is_an_address_is_told():
    assert told(small("cdn", origins=(Origin(id="alb", domain_name="192.0.2.1"),))) == [("cdn alb", "domain_name '192.0.2.1' is not a domain name")]


def test_methods_that_cloudfront_does_not_offer_together_are_told():
    assert told(small("cdn", default_cache_behavior=CacheBehavior(target_origin_id="alb", allowed_methods=("GET", "POST")))) == [
        ("cdn *", "allowed_methods GET, POST is no set that CloudFront offers"),
    ]


def test_a_cache_policy_with_ttls_out_of_order_is_told():
    policy = CachePolicy(name="mine", min_ttl=10, default_ttl=5)
    assert told(small("cdn", default_cache_behavior=CacheBehavior(target_origin_id="alb", cache_policy=policy))) == [("cdn *", "cache policy mine: the TTLs are out of order")]


def test_an_alias_of_two_distributions_is_told():
    second = Distribution(id="cdn-x", aliases=("shop.example.com",), origins=(Origin(id="alb", domain_name="a.example.com"),), default_cache_behavior=BEHAVIOR)
    assert told(second) == [("cdn-x", "alias shop.example.com already belongs to cdn")]


def test_a_database_that_the_application_names_by_another_kinds_id_is_told():
    assert told(Instance(id="x", subnet_id="sub-b", user_data=WebApplication(database_id="alb"))) == [("x", "user_data database_id 'alb' is not a DB instance")]


def test_a_database_on_a_port_that_rds_refuses_is_told():
    assert told(DBInstance(id="db-x", db_name="x", master_username="x", master_user_password="correct-horse", port=80, db_subnet_group=("sub-a", "sub-b"))) == [
        ("db-x", "port 80 is out of bounds"),
    ]


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"slow_start_duration_seconds": 30, "load_balancing_algorithm_type": "weighted_random"}, "slow start with the algorithm weighted_random"),
        ({"slow_start_duration_seconds": 10}, "slow_start_duration_seconds 10 is out of bounds"),
        ({"load_balancing_algorithm_anomaly_mitigation": True}, "anomaly mitigation with the algorithm round_robin"),
        ({"stickiness_enabled": True, "load_balancing_algorithm_type": "weighted_random"}, "stickiness with the algorithm weighted_random"),
        ({"stickiness_enabled": True, "load_balancing_cross_zone_enabled": False}, "stickiness in a target group with cross-zone load balancing off"),
        ({"stickiness_enabled": True, "stickiness_type": "app_cookie", "stickiness_app_cookie_cookie_name": "AWSALB2"}, "stickiness by the application cookie 'AWSALB2'"),
        ({"unhealthy_state_routing_minimum_healthy_targets_count": 0}, "unhealthy_state_routing_minimum_healthy_targets_count is below 1"),
    ],
)
def test_attributes_of_a_target_group_that_do_not_go_together_are_told(attributes: dict[str, object], problem: str):
    assert told(small("tg", **attributes)) == [("tg", problem)]


@pytest.mark.parametrize(
    ("conditions", "problem"),
    [
        ({"path_pattern_regex": ("/(",)}, "'/(' is no regular expression: missing ), unterminated subpattern at position 1"),
        ({"path_pattern": ("api/*",)}, "path_pattern 'api/*' matches no path: paths begin with a slash"),
        ({"http_request_method": ("get",)}, "http_request_method 'get'"),
        ({"query_string": tuple(("v", str(n)) for n in range(6))}, "6 condition values, and the quota is 5 a rule"),
        ({}, "the rule has no condition"),
    ],
)
def test_conditions_that_can_never_hold_or_are_too_many_are_told(conditions: dict[str, object], problem: str):
    rule = ListenerRule(priority=5, actions=(Forward(target_group_arn="tg"),), **conditions)
    assert told(small("listener", rules=(rule,))) == [("listener#5", problem)]


def test_a_weighted_forward_names_one_to_five_groups_with_weights_to_999():
    many = ForwardConfig(target_groups=(TargetGroupTuple(target_group_arn="tg", weight=1000),) * 6, target_group_stickiness_duration_seconds=0)
    assert {problem for _, problem in told(small("listener", default_actions=(many,)))} == {
        "6 target groups in an action", "weight of tg 1000 is out of bounds", "target_group_stickiness_duration_seconds 0 is out of bounds",
    }  # fmt: skip


LOGIN = AuthenticateOidc(
    issuer="https://login.example.com", authorization_endpoint="https://login.example.com/authorize", token_endpoint="https://login.example.com/token",
    user_info_endpoint="https://login.example.com/userinfo", client_id="shop", client_secret="hush",
)  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"default_actions": (LOGIN, *OK), "protocol": "HTTP", "certificates": ()}, "users log in over HTTP"),
        ({"default_actions": (LOGIN,)}, "0 actions"),
        ({"default_actions": (*OK, LOGIN)}, "a login that is not alone before the action"),
        ({"default_actions": (LOGIN, LOGIN, *OK)}, "a login that is not alone before the action"),
        ({"default_actions": (replace(LOGIN, token_endpoint="http://x"), *OK)}, "token_endpoint 'http://x'"),
        ({"default_actions": (replace(LOGIN, on_unauthenticated_request="ask"), *OK)}, "on_unauthenticated_request 'ask' is not one of the allowed values"),
        ({"mutual_authentication": "passthrough"}, "mutual_authentication 'passthrough' is not one of the allowed values"),
        ({"mutual_authentication": "verify", "protocol": "HTTP", "certificates": ()}, "mutual authentication without TLS"),
        ({"response_headers": (("x_powered_by", "me"),)}, "response header 'x_powered_by'"),
        ({"response_headers": (("x_frame_options", "a\r\nb"),)}, "the value of response header x_frame_options"),
        ({"rules": (rule(1, url_rewrite=RewriteConfig(regex="(", replace="")),)}, "'(' is no regular expression: missing ), unterminated subpattern at position 0"),
        ({"rules": (rule(1, host_header_rewrite=RewriteConfig(regex="a", replace="$1")),)}, "'$1' names a group that 'a' has not"),
    ],
)
def test_what_a_listener_cannot_do_is_told(fields: dict[str, object], problem: str):
    https = {"protocol": "HTTPS", "certificates": ("shop.example.com",), **fields}
    assert problem in [text for _, text in told(small("listener", **https))]


def test_a_login_before_an_action_is_no_fault():
    resolve(topology(small("listener", protocol="HTTPS", certificates=("shop.example.com",), default_actions=(LOGIN, *OK), mutual_authentication="verify")))


def test_an_identity_provider_knows_its_users():
    ada = IdentityUser(username="ada", password="x")
    provider = IdentityProvider(host_name="login.example.com", client_id="shop", client_secret="hush", users=(ada, ada), auto_login="bob", port=0)
    assert {text for _, text in told(Instance(id="idp", subnet_id="sub-a", user_data=provider))} == {
        "user_data port 0 is out of bounds", "2 users of the name ada", "auto_login 'bob' is none of the users",
    }  # fmt: skip


def test_a_zone_may_not_stay_in_dns_longer_than_its_group_is_served():
    assert [text for _, text in told(small("tg", unhealthy_state_routing_minimum_healthy_targets_count=2))] == ["a zone would leave DNS only after the group routes to unhealthy targets"]


def test_a_token_is_validated_by_keys_from_https_on_an_https_listener_alone():
    wanted = JwtValidation(issuer="https://login.example.com", jwks_endpoint="http://login.example.com/jwks")
    assert {problem for _, problem in told(small("listener", protocol="HTTP", certificates=(), default_actions=(wanted, *OK)))} == {
        "users log in over HTTP", "jwks_endpoint 'http://login.example.com/jwks'",
    }  # fmt: skip
