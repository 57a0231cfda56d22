"""Interval maps give the verdict that the model's rules give."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from testbed.compile.network_acl import SHORT
from testbed.compile.network_acl import lower as lower_acl
from testbed.compile.security_group import union
from testbed.compile.verdict_maps import types_and_codes
from testbed.model import Direction, Flow, NetworkAcl, NetworkAclEntry, Packet, PortRange, Protocol, SecurityGroup, SecurityGroupRule, Topology, Verdict
from testbed.plan import NftTable
from testbed.resolve.resolved import Resolved

NETWORKS = ("10.0.0.0/8", "10.0.0.0/16", "10.0.1.0/24", "10.0.1.7/32", "0.0.0.0/0", "192.168.0.0/16")
ADDRESSES = ("10.0.1.7", "10.0.1.8", "10.0.2.1", "10.9.0.1", "192.168.3.4", "8.8.8.8")
PORTS = (0, 22, 80, 81, 443, 65535)
NUMBERS = {"tcp": 6, "udp": 17}

port_pairs = st.tuples(st.sampled_from(PORTS), st.sampled_from(PORTS)).map(lambda pair: (min(pair), max(pair)))


def entries() -> st.SearchStrategy[list[NetworkAclEntry]]:
    plain = st.fixed_dictionaries({"rule_action": st.sampled_from(Verdict), "cidr_block": st.sampled_from(NETWORKS).map(ip_network)})
    kinds = st.one_of(
        st.just({}),
        st.fixed_dictionaries({"protocol": st.sampled_from((Protocol.TCP, Protocol.UDP)), "port_range": port_pairs.map(lambda p: PortRange(first=p[0], last=p[1]))}),
        st.fixed_dictionaries({"protocol": st.just(Protocol.ICMP), "icmp_type": st.sampled_from((None, 3, 8)), "icmp_code": st.sampled_from((None, 0, 4))}),
    )
    fields = st.lists(st.tuples(plain, kinds), min_size=SHORT + 1, max_size=SHORT + 8)
    return fields.map(lambda many: [NetworkAclEntry(rule_number=n, direction=Direction.INBOUND, **a, **b) for n, (a, b) in enumerate(many, 1)])


packets = st.one_of(
    st.builds(Packet, source=st.sampled_from(ADDRESSES).map(ip_address), destination=st.just(ip_address("10.0.9.9")), protocol=st.sampled_from((Protocol.TCP, Protocol.UDP)),
              source_port=st.just(1024), destination_port=st.sampled_from(PORTS)),
    st.builds(Packet, source=st.sampled_from(ADDRESSES).map(ip_address), destination=st.just(ip_address("10.0.9.9")), protocol=st.just(Protocol.ICMP),
              icmp_type=st.sampled_from((0, 3, 8)), icmp_code=st.sampled_from((0, 1, 4))),
)  # fmt: skip


@given(entries(), packets)
def test_a_long_acl_gives_the_verdict_and_the_entry_that_the_model_gives(acl_entries, packet):
    acl = NetworkAcl(id="acl-x", vpc_id="vpc-x", entries=tuple(acl_entries))
    tables = [table for part in lower_acl(acl, resolved()).nodes for table in part.tables]
    decision = acl.evaluate(packet, Direction.INBOUND)
    origins = deciders(tables, "acl.acl_x.inbound", packet) or ["acl-x#*"]
    assert origins == [decision.origin]


def rules() -> st.SearchStrategy[list[SecurityGroupRule]]:
    ports = st.builds(lambda protocol, span, block: SecurityGroupRule(ip_protocol=protocol, from_port=span[0], to_port=span[1], cidr_ip=block),
                      st.sampled_from(("tcp", "udp")), port_pairs, st.sampled_from(NETWORKS).map(ip_network))  # fmt: skip
    icmp = st.builds(lambda pair, block: SecurityGroupRule(ip_protocol="icmp", from_port=pair[0], to_port=pair[1], cidr_ip=block),
                     st.sampled_from(((-1, -1), (8, -1), (3, 4), (None, None))), st.sampled_from(NETWORKS).map(ip_network))  # fmt: skip
    all_from_members = st.just(SecurityGroupRule(ip_protocol="-1", security_group_id="sg-peers"))
    return st.lists(st.one_of(ports, icmp, all_from_members), max_size=8)


MEMBERS = (ip_address("10.0.1.7"), ip_address("10.0.1.8"), ip_address("192.168.3.4"))


@given(rules(), packets)
def test_a_groups_union_permits_what_some_rule_permits_and_names_such_a_rule(group_rules, packet):
    group = SecurityGroup(id="sg-x", vpc_id="vpc-x", security_group_ingress=tuple(group_rules))
    name, part = union("vpc-x", ("sg-x",), Flow.INGRESS, resolved(group))
    permitting = {f"rule.sg_x.ingress.x{index}" for index, rule in enumerate(group_rules) if permits(rule, packet)}
    found = set(chains_reached(list(part.tables), name, packet))
    assert found <= permitting
    assert bool(found) == bool(permitting)


def permits(rule: SecurityGroupRule, packet: Packet) -> bool:
    """By the words of AWS's documentation, written down once more."""
    near = packet.source in MEMBERS if rule.cidr_ip is None else packet.source in rule.cidr_ip
    if not near or rule.ip_protocol == "-1":
        return near
    if rule.ip_protocol == "icmp":
        return packet.protocol is Protocol.ICMP and rule.from_port in (None, -1, packet.icmp_type) and rule.to_port in (None, -1, packet.icmp_code)
    return packet.protocol == NUMBERS[rule.ip_protocol] and packet.destination_port is not None and rule.from_port <= packet.destination_port <= rule.to_port


def test_a_rule_that_permits_everything_needs_no_map():
    group = SecurityGroup(id="sg-x", vpc_id="vpc-x")
    _name, part = union("vpc-x", ("sg-x",), Flow.EGRESS, resolved(group))
    (table,) = part.tables
    assert (table.maps, [rule.statement for rule in table.chains[0].rules]) == ((), ["goto rule.sg_x.egress.x0"])


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_icmp_types_and_codes_are_cut_into_rectangles_without_loss(a, b):
    first, last = min(a, b), max(a, b)
    found = [t << 8 | c for types, codes in types_and_codes(first, last) for t in range(types[0], types[1] + 1) for c in range(codes[0], codes[1] + 1)]
    assert found == list(range(first, last + 1))


def deciders(tables: list[NftTable], name: str, packet: Packet) -> list[str]:
    """The origins of the chains that a packet reaches from the chain `name`."""
    origins = {chain.name: chain.rules[0].origin for table in tables for chain in table.chains}
    return [origins[chain] for chain in chains_reached(tables, name, packet)]


def chains_reached(tables: list[NftTable], name: str, packet: Packet) -> Iterator[str]:
    kind = "icmp" if packet.protocol is Protocol.ICMP else "ports"
    key = (packet.icmp_type, packet.icmp_code) if kind == "icmp" else ({6: "tcp", 17: "udp"}[packet.protocol], packet.destination_port)
    for table in tables:
        for nft_map in table.maps:
            if nft_map.name == f"{kind}.{name}":
                for element, verdict in nft_map.elements:
                    address, *fields = element.split(" . ")
                    if in_addresses(address, packet.source) and all(in_span(field, value) for field, value in zip(fields, key, strict=True)):
                        yield verdict.removeprefix("goto ")


def in_addresses(text: str, address) -> bool:
    first, _, last = text.partition("-")
    return ip_address(first) <= address <= ip_address(last) if last else address in ip_network(first)


def in_span(text: str, value: int | str | None) -> bool:
    if isinstance(value, str):
        return text == value
    first, _, last = text.partition("-")
    return value is not None and int(first) <= value <= int(last or first)


def resolved(*groups: SecurityGroup) -> Resolved:
    nothing = {name: () for name, field in Resolved.__dataclass_fields__.items() if field.init and name not in ("topology", "security_groups", "members")}
    return Resolved(topology=Topology(name="x"), security_groups=groups, members=(("sg-peers", MEMBERS),), **nothing)


