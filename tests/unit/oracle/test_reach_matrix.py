"""The matrix is what a walk for every single pair would have said."""

from ipaddress import IPv4Address

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.model import Instance, SecurityGroup, SecurityGroupRule, Subnet, Topology, Vpc
from testbed.oracle import Oracle, Outcome
from testbed.resolve import resolve
from tests.strategies import vpcs
from topologies.private_access import private_access
from topologies.web_app import web_app


def walked(oracle: Oracle, matrix, source: str, destination: str) -> tuple[bool, bool]:
    walk = oracle.ask(source, matrix.address(source, destination), matrix.protocol, 40000, matrix.port or 0)
    return walk.outcome is Outcome.DELIVERED, walk.request.outcome is Outcome.DELIVERED


def disagreements(topology: Topology, protocol: str, port: int):
    oracle = Oracle(resolve(topology))
    matrix = oracle.reach(protocol, port)
    return [
        (source, destination)
        for source in matrix.names
        for destination in matrix.names
        if source != destination and (matrix.fate(source, destination).passes, matrix.fate(source, destination).arrives) != walked(oracle, matrix, source, destination)
    ]


def test_every_pair_of_the_web_application_is_what_its_own_walk_says():
    for protocol, port in (("tcp", 80), ("tcp", 443), ("tcp", 5432), ("udp", 443), ("icmp", 0)):
        assert disagreements(web_app(), protocol, port) == []


def test_every_pair_with_endpoints_and_a_network_balancer_is_what_its_own_walk_says():
    for port in (443, 8443):
        assert disagreements(private_access(), "tcp", port) == []


def test_endpoints_and_network_balancers_begin_nothing():
    matrix = Oracle(resolve(private_access())).reach("tcp", 443)
    assert matrix.sources == ("app", "neighbour", "orders", "outsider", "strict")


@settings(max_examples=25, deadline=None)
@given(topology=vpcs(), protocol=st.sampled_from(("tcp", "udp", "icmp")), port=st.sampled_from((22, 80, 443, 8080)))
def test_every_pair_of_a_random_vpc_is_what_its_own_walk_says(topology, protocol, port):
    assert disagreements(topology, protocol, port) == []


def test_nodes_that_differ_only_in_groups_cost_no_walks_of_their_own():
    groups = tuple(SecurityGroup(id=f"sg-{n}", vpc_id="vpc-m", security_group_ingress=(SecurityGroupRule(ip_protocol="tcp", from_port=80, to_port=80, security_group_id=f"sg-{(n + 1) % 10}"),)) for n in range(10))
    instances = tuple(Instance(id=f"i-{n}", subnet_id="subnet-m", security_group_ids=(f"sg-{n % 10}",)) for n in range(60))
    topology = Topology(name="many", resources=(Vpc(id="vpc-m", region="eu-west-1", cidr_block="10.0.0.0/16"), Subnet(id="subnet-m", vpc_id="vpc-m", cidr_block="10.0.0.0/24", availability_zone="eu-west-1a"), *groups, *instances))
    matrix = Oracle(resolve(topology)).reach("tcp", 80)
    assert matrix.walks == 1
    assert len(matrix.groups) == 10
    assert matrix.fate("i-1", "i-0").passes and not matrix.fate("i-0", "i-1").passes
    assert matrix.fate("i-0", "i-1").origin == "sg-1#ingress no rule"


def test_a_reason_names_no_address_of_the_pair_that_spoke_for_others():
    matrix = Oracle(resolve(web_app())).reach("tcp", 443)
    assert matrix.fate("client", "web-a").origin == "internet: nobody has the destination"
    assert matrix.address("client", "alb-shop-a") != matrix.address("web-a", "alb-shop-a")
    assert isinstance(matrix.address("web-a", "client"), IPv4Address)
