"""Packets over the internet gateway and the NAT gateway, in both directions."""

from ipaddress import IPv4Address

from testbed.model import Direction, ElasticIp, Instance, Protocol, Route, RouteTable, SecurityGroup, SecurityGroupRule, Subnet
from testbed.oracle import Oracle, Outcome, Probe, Stage
from tests import addresses

from .lab import BACK, FRONT, FRONT_PUBLIC, NAT_PUBLIC, PLAIN, USER, acl, allow, lab, origins, ping, resolved, tcp, udp, verdict

INBOUND, OUTBOUND = Direction.INBOUND, Direction.OUTBOUND


def test_an_instance_with_a_public_address_reaches_the_internet_under_that_address():
    walk = tcp(lab(), "front", USER)
    assert walk.outcome is Outcome.DELIVERED
    assert str(walk.request.hops[-1].packet.source) == FRONT_PUBLIC


def test_a_public_subnet_is_not_enough_without_a_public_address():
    assert verdict(tcp(lab(), "plain", USER)) == ("dropped", "request", f"igw: {PLAIN} has no public address")


def test_a_private_subnet_without_nat_has_no_route():
    table = RouteTable(id="rtb-private", vpc_id="vpc", associations=("private",))
    assert verdict(tcp(lab(table), "back", USER)) == ("dropped", "request", f"rtb-private: no route to {USER}")


def test_a_private_subnet_reaches_the_internet_through_nat():
    walk = tcp(lab(), "back", USER)
    assert walk.outcome is Outcome.DELIVERED
    assert [hop.stage for hop in walk.request.hops] == [
        Stage.SECURITY_GROUP, Stage.NETWORK_ACL, Stage.ROUTE, Stage.NETWORK_ACL, Stage.NAT_GATEWAY,
        Stage.NETWORK_ACL, Stage.ROUTE, Stage.INTERNET_GATEWAY, Stage.INTERNET,
    ]  # fmt: skip
    assert str(walk.request.hops[-1].packet.source) == NAT_PUBLIC


def test_nat_translates_ports_and_the_reply_back():
    walk = lab().walk(Probe(source="back", destination=IPv4Address(USER), protocol=Protocol.UDP, destination_port=53, source_port=50000, nat_source_port=2000))
    assert walk.reply is not None
    (out,) = (hop.translated for hop in walk.request.hops if hop.stage is Stage.NAT_GATEWAY)
    (back,) = (hop.translated for hop in walk.reply.hops if hop.stage is Stage.NAT_GATEWAY)
    assert out is not None and back is not None
    assert (str(out.source), out.source_port) == ("10.0.0.200", 2000)
    assert (str(back.destination), back.destination_port) == (BACK, 50000)


def test_ping_passes_through_nat():
    assert ping(lab(), "back", USER).outcome is Outcome.DELIVERED


def test_nothing_enters_through_nat():
    assert verdict(tcp(lab(), "user", NAT_PUBLIC)) == ("dropped", "request", "nat: accepts nothing that was not asked for from inside")


def test_a_nat_gateway_answers_no_ping_from_inside():
    assert verdict(ping(lab(), "back", "10.0.0.200")) == ("dropped", "request", "nat: accepts nothing that was not asked for from inside")


def test_the_nat_gateways_subnet_must_let_the_inside_ports_in():
    oracle = lab(acl("public", allow(100, INBOUND, 1024, 65535), allow(100, OUTBOUND, 0, 65535)))
    assert verdict(tcp(oracle, "back", USER)) == ("dropped", "request", "acl#*")


def test_the_nat_gateways_subnet_must_let_the_ephemeral_ports_back_in():
    oracle = lab(acl("public", allow(100, INBOUND, 80, 80), allow(100, OUTBOUND, 0, 65535)))
    assert verdict(tcp(oracle, "back", USER)) == ("dropped", "reply", "acl#*")


def test_a_nat_gateway_in_the_clients_own_subnet_leads_back_to_itself():
    table = RouteTable(id="rtb-public", vpc_id="vpc", associations=("public", "private"), routes=(Route(destination_cidr_block="0.0.0.0/0", nat_gateway_id="nat"),))
    assert verdict(tcp(lab(table, without=("rtb-private",)), "back", USER)) == ("dropped", "request", "nat: its own subnet routes back to it")


def test_a_nat_gateway_whose_subnet_has_no_route_out_drops():
    table = RouteTable(id="rtb-public", vpc_id="vpc", associations=("public",))
    assert verdict(tcp(lab(table), "back", USER)) == ("dropped", "request", f"rtb-public: no route to {USER}")


def test_a_user_reaches_an_instance_by_its_public_address():
    walk = tcp(lab(), "user", FRONT_PUBLIC)
    assert walk.outcome is Outcome.DELIVERED
    assert str(walk.request.hops[0].translated.destination) == FRONT  # type: ignore[union-attr]


def test_a_user_does_not_reach_a_private_address():
    assert verdict(tcp(lab(), "user", FRONT)) == ("dropped", "request", f"internet: nobody has {FRONT}")


def test_the_security_group_sees_the_users_own_address():
    group = SecurityGroup(id="sg-open", vpc_id="vpc", security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=80, to_port=80, cidr_ip=f"{USER}/32"),))
    assert tcp(lab(group), "user", FRONT_PUBLIC).outcome is Outcome.DELIVERED
    assert verdict(tcp(lab(group), "city-dublin", FRONT_PUBLIC)) == ("dropped", "request", "sg-open#ingress no rule")


def test_a_stateless_acl_drops_the_answer_to_a_user():
    oracle = lab(acl("public", allow(100, INBOUND, 80, 80), allow(100, OUTBOUND, 80, 80)))
    assert verdict(tcp(oracle, "user", FRONT_PUBLIC)) == ("dropped", "reply", "acl#*")


def test_a_public_address_in_a_private_subnet_lets_the_answer_leave_by_nat_and_be_lost():
    with_public_address = resolved(ElasticIp(id="eip-back", region="eu-west-1", instance_id="back"))
    walk = tcp(Oracle(with_public_address), "user", addresses.public(with_public_address, "back"))
    assert walk.request.outcome is Outcome.DELIVERED
    assert verdict(walk) == ("dropped", "reply", "nat: the reply of a flow that did not come through it")


def test_a_public_address_in_a_subnet_without_default_route_cannot_answer():
    table = RouteTable(id="rtb-public", vpc_id="vpc", associations=("public",))
    assert verdict(tcp(lab(table), "user", FRONT_PUBLIC)) == ("dropped", "reply", f"rtb-public: no route to {USER}")


def test_a_neighbours_public_address_leads_over_the_internet_gateway_and_hides_the_group():
    reference = SecurityGroupRule(ip_protocol="-1", security_group_id="sg-open")
    groups = SecurityGroup(id="sg-open", vpc_id="vpc", security_group_ingress=(reference,))
    assert tcp(lab(groups), "back", FRONT).outcome is Outcome.DELIVERED
    assert verdict(tcp(lab(groups), "back", FRONT_PUBLIC)) == ("dropped", "request", "sg-open#ingress no rule")
    assert origins(tcp(lab(groups), "back", FRONT_PUBLIC)).count("igw") == 2


def test_the_longest_prefix_wins_over_the_default_route():
    routes = (Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw"), Route(destination_cidr_block="198.18.0.0/16", nat_gateway_id="nat"))
    oracle = lab(RouteTable(id="rtb-x", vpc_id="vpc", associations=("third",), routes=routes), Subnet(id="third", vpc_id="vpc", cidr_block="10.0.2.0/24", availability_zone="eu-west-1a"),
                 Instance(id="x", subnet_id="third", security_group_ids=("sg-open",)))  # fmt: skip
    assert "rtb-x 198.18.0.0/16 -> nat" in origins(tcp(oracle, "x", USER))
    assert "rtb-x 0.0.0.0/0 -> igw" in origins(tcp(oracle, "x", "192.0.2.1"))


def test_users_and_edge_hosts_reach_each_other():
    assert udp(lab(), "user", "192.0.2.1").outcome is Outcome.DELIVERED
    assert verdict(udp(lab(), "user", "192.0.2.250")) == ("dropped", "request", "internet: nobody has 192.0.2.250")
