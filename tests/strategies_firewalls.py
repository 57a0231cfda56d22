"""Random policies of one network firewall between two hosts, for hypothesis: stateless and stateful rules by 5-tuple, in both orders, with all default actions.

Only what addresses, ports and protocol decide: the oracle says of nothing else what becomes of it. Rules that take only answers are left out, and so are flows that only a later packet would end.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from hypothesis import strategies as st

from testbed.model import (
    FirewallPolicy,
    Instance,
    NetworkFirewall,
    PortRange,
    Protocol,
    Route,
    RouteTable,
    RuleGroup,
    RuleGroupReference,
    SecurityGroup,
    SecurityGroupRule,
    StatefulRule,
    StatelessRule,
    Subnet,
    Topology,
    Vpc,
)
from testbed.model.firewall_policy import DROP_ESTABLISHED, DROP_STRICT
from testbed.model.rule_group import DEFAULT_ACTION_ORDER, STRICT_ORDER
from testbed.model.stateless_rule import STATELESS_ACTIONS
from testbed.oracle import Probe

REGION = "eu-west-1"
NEAR, FAR = IPv4Network("10.0.1.0/24"), IPv4Network("10.0.2.0/24")
LOWEST, HIGHEST = 1000, 1015
BLOCKS = (str(NEAR), str(FAR), "10.0.0.0/16", "192.0.2.0/24")
OPEN = (SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0"),)


def ports() -> st.SearchStrategy[PortRange]:
    return st.tuples(st.integers(LOWEST, HIGHEST), st.integers(0, 6)).map(lambda pair: PortRange(first=pair[0], last=min(pair[0] + pair[1], HIGHEST)))


def stateless_rules() -> st.SearchStrategy[tuple[StatelessRule, ...]]:
    protocols = st.sampled_from(((Protocol.TCP,), (Protocol.UDP,), (Protocol.TCP, Protocol.UDP)))
    rule = st.builds(
        StatelessRule,
        priority=st.integers(1, 100),
        action=st.sampled_from((*STATELESS_ACTIONS, "aws:forward_to_sfe")),
        protocols=protocols,
        sources=st.lists(st.sampled_from(BLOCKS), max_size=2, unique=True).map(tuple),
        destination_ports=st.lists(ports(), max_size=2).map(tuple),
    )
    return st.lists(rule, max_size=3, unique_by=lambda rule: rule.priority).map(tuple)


def addresses() -> st.SearchStrategy[str]:
    plain = st.sampled_from(("any", *BLOCKS))
    return st.one_of(plain, st.sampled_from([f"!{block}" for block in BLOCKS]), st.just(f"[10.0.0.0/16,!{FAR}]"))


def port_words() -> st.SearchStrategy[str]:
    one = ports().map(lambda each: f"{each.first}:{each.last}")
    return st.one_of(st.just("any"), one, one.map(lambda word: f"!{word}"), st.tuples(one, one).map(lambda pair: f"[{pair[0]},{pair[1]}]"))


@st.composite
def stateful_rules(draw: st.DrawFn) -> tuple[StatefulRule, ...]:
    found = []
    for sid in range(1, draw(st.integers(0, 6)) + 1):
        protocol = draw(st.sampled_from(("tcp", "udp", "icmp", "ip")))
        port = draw(port_words()) if protocol in ("tcp", "udp") else "any"
        options = f'msg:"rule {sid}"; {draw(st.sampled_from(("", "flow:to_server; ")))}sid:{sid};'
        found.append(
            StatefulRule(action=draw(st.sampled_from(("alert", "drop", "pass", "pass"))), protocol=protocol, source=draw(addresses()), destination=draw(addresses()), destination_port=port, rule_options=options)
        )
    return tuple(found)


@st.composite
def firewalls(draw: st.DrawFn) -> Topology:
    """Two hosts, each in a subnet of its own, and an endpoint between them."""
    order = draw(st.sampled_from((DEFAULT_ACTION_ORDER, STRICT_ORDER)))
    strict = order == STRICT_ORDER
    less, full = draw(stateless_rules()), draw(stateful_rules())
    groups = (
        *((RuleGroup(id="rg-less", type="STATELESS", stateless_rules=less),) if less else ()),
        *((RuleGroup(id="rg-full", type="STATEFUL", stateful_rules=full, rule_order=order),) if full else ()),
    )
    policy = FirewallPolicy(
        id="policy",
        rule_order=order,
        stateless_default_actions=draw(st.sampled_from(("aws:forward_to_sfe", "aws:forward_to_sfe", "aws:pass", "aws:drop"))),
        stateful_default_actions=draw(st.sampled_from(((), (DROP_STRICT,), (DROP_ESTABLISHED,)))) if strict else (),
        stateless_rule_group_references=(RuleGroupReference(resource_arn="rg-less", priority=1),) if less else (),
        stateful_rule_group_references=(RuleGroupReference(resource_arn="rg-full", priority=1 if strict else None),) if full else (),
    )
    by_endpoint = {near: Route(destination_cidr_block=far, vpc_endpoint_id="vpce-nfw-a") for near, far in ((NEAR, FAR), (FAR, NEAR))}
    return Topology(
        name="firewalls",
        resources=(
            Vpc(id="vpc", region=REGION, cidr_block="10.0.0.0/16"),
            *(Subnet(id=f"subnet-{name}", vpc_id="vpc", cidr_block=block, availability_zone=f"{REGION}a") for name, block in (("near", NEAR), ("far", FAR), ("fw", "10.0.9.0/24"))),
            *(RouteTable(id=f"rtb-{name}", vpc_id="vpc", associations=(f"subnet-{name}",), routes=(by_endpoint[block],)) for name, block in (("near", NEAR), ("far", FAR))),
            SecurityGroup(id="sg", vpc_id="vpc", security_group_ingress=OPEN),
            Instance(id="near", subnet_id="subnet-near", private_ip_address=NEAR[10], security_group_ids=("sg",)),
            Instance(id="far", subnet_id="subnet-far", private_ip_address=FAR[10], security_group_ids=("sg",)),
            *groups,
            policy,
            NetworkFirewall(id="nfw", vpc_id="vpc", subnet_mappings=("subnet-fw",), firewall_policy_arn="policy"),
        ),
    )


def probes() -> tuple[Probe, ...]:
    """Every flow that rules can tell apart: both ways, all ports, and pings."""
    ends = (("near", FAR[10]), ("far", NEAR[10]))
    with_ports = tuple(
        Probe(source=source, destination=destination, protocol=protocol, destination_port=port)
        for source, destination in ends
        for protocol in (Protocol.TCP, Protocol.UDP)
        for port in range(LOWEST, HIGHEST + 1)
    )
    return (*with_ports, *(Probe(source=source, destination=destination, protocol=Protocol.ICMP, icmp_type=8, icmp_code=0) for source, destination in ends))
