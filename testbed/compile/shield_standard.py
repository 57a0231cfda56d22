"""Shield Standard as nftables: one table `shield` at each edge location and at each internet gateway, and SYN cookies at the edge (CloudFront's and Route 53's: "only", documented). The fabric knows nothing of it.

    edge location          before everything, without connection tracking, as AWS's proxy has none:
                           forged source, TCP flags, reflected UDP, DNS answers ─▶ drop ;  SYNs or queries of one source beyond its rate ─▶ drop
                           every connection begins with a SYN cookie: a SYN leaves nothing behind that could run out
    internet gateway, and Global Accelerator's edge locations
                           for what begins a flow only; before any flow is noted, so what is dropped takes no place in the connection table
      SYN ─▶ more than its resource can take? ─ no ─▶ pass ;  yes: the resource is under mitigation for a while
             under mitigation: a source that has proved itself ─▶ pass, at its rate ;  the same SYN a second time ─▶ the source has proved itself ;  else ─▶ drop

A host sends its SYN again after a second, a flood of forged SYNs never does: what is suspicious is dropped first ("suspicion scoring", documented; what is scored is not: assumed).
So a load test that opens more connections a second than its target is taken to bear is a flood here, as it may be at AWS ("Network Stress Test" needs leave beforehand, EC2 testing policy).
Shield Advanced halves the thresholds of what it protects (`shield_protection`). All rates are assumed. `Internet.shield_standard` false leaves all of this out, SYN cookies included.
Sources: see `testbed.model.shield_standard`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from testbed.compile.fragment import NodePart
from testbed.compile.places import end_sysctls
from testbed.model.internet import Internet
from testbed.model.shield_standard import BOGONS, FORGED, ORIGIN, REFLECTED, REFLECTED_FLOOD, REFLECTORS
from testbed.plan import NftChain, NftRule, NftSet, NftTable
from testbed.resolve.resolved import Resolved

TABLE = "shield"
COOKIES_ALWAYS, COOKIES_NEVER = "2", "0"
SYNS_OF_A_SOURCE, QUERIES_OF_A_SOURCE = 500, 5000
"""A second, at an edge location."""
SYNS_OF_A_RESOURCE, STRAYS_OF_A_RESOURCE, REFLECTED_TO_A_RESOURCE, SYNS_OF_A_KNOWN_SOURCE = 1000, 500, 200, 50
"""A second, at an internet gateway."""
SOURCES, RESOURCES = 65536, 4096
RATE_KEPT_S, MITIGATED_S, KNOWN_S = 60, 900, 900
CHALLENGED_S = 10
"""Not scaled: when a host sends its SYN again is the kernel's affair."""
FLAGS = "fin | syn | rst | psh | ack | urg"
BAD_FLAGS = ("tcp flags & (fin | syn) == (fin | syn)", "tcp flags & (syn | rst) == (syn | rst)", f"tcp flags & ({FLAGS}) == 0x0", f"tcp flags & ({FLAGS}) == (fin | psh | urg)")
A_SYN = "tcp flags & (syn | ack) == syn"
CONNECTION = "ip saddr . tcp sport . ip daddr . tcp dport"


def is_on(resolved: Resolved) -> bool:
    """Whether Shield Standard works, as it always does at AWS."""
    return all(internet.shield_standard for internet in resolved.topology.of(Internet))


def edge_sysctls(resolved: Resolved) -> tuple[tuple[str, str], ...]:
    """An end host's, with SYN cookies."""
    return (*end_sysctls(), ("ipv4/tcp_syncookies", COOKIES_ALWAYS if is_on(resolved) else COOKIES_NEVER))


def at_edge(node: str, asks: Iterable[IPv4Address], resolved: Resolved) -> NodePart:
    """The table of an edge location, which asks DNS at `asks`."""
    return NodePart(name=node, tables=(_edge_table(tuple(asks)),) if is_on(resolved) else ())


def at_gateway(gateway: str, outside: str, advanced: Iterable[IPv4Address], resolved: Resolved) -> NodePart:
    """The table of an internet gateway whose device `outside` leads to the internet; `advanced` are public addresses with Shield Advanced."""
    return NodePart(name=gateway, tables=(_gateway_table(outside, tuple(sorted(advanced)), resolved.topology.time_scale),) if is_on(resolved) else ())


def _edge_table(asks: tuple[IPv4Address, ...]) -> NftTable:
    asked = f" ip saddr != {{ {', '.join(map(str, sorted(asks)))} }}" if asks else ""
    rules = (
        *_validation(),
        NftRule(statement=f"udp sport @reflectors{asked} counter drop", origin=REFLECTED),
        NftRule(statement="udp dport 53 @th,80,1 1 counter drop", origin=f"{ORIGIN} (packet validation: a DNS answer where questions are asked)"),
        NftRule(statement=f"{A_SYN} {_beyond('syns', 'ip saddr', SYNS_OF_A_SOURCE)} counter drop", origin=f"{ORIGIN} (SYN flood: more than {SYNS_OF_A_SOURCE} a second from one source)"),
        NftRule(statement=f"udp dport 53 {_beyond('queries', 'ip saddr', QUERIES_OF_A_SOURCE)} counter drop", origin=f"{ORIGIN} (DNS query flood: more than {QUERIES_OF_A_SOURCE} a second from one source)"),
    )
    return NftTable(
        name=TABLE,
        sets=(*_constant_sets(), _filled("queries", "ipv4_addr", SOURCES, RATE_KEPT_S), _filled("syns", "ipv4_addr", SOURCES, RATE_KEPT_S)),
        chains=(NftChain(name="edge", hook="type filter hook prerouting priority raw; policy accept;", rules=rules),),
    )


def _gateway_table(outside: str, advanced: tuple[IPv4Address, ...], time_scale: float) -> NftTable:
    def scaled(seconds: int) -> int:
        return max(1, round(seconds / time_scale))

    first = (
        NftRule(statement=f'iifname != "{outside}" accept'),
        NftRule(statement="ct state established,related accept"),
        *_validation(),
        NftRule(statement=f"{A_SYN} goto syn"),
        NftRule(statement=f"meta l4proto tcp {_beyond('strays', 'ip daddr', STRAYS_OF_A_RESOURCE)} counter drop", origin=f"{ORIGIN} (flood of packets that belong to no connection)"),
        NftRule(statement=f"udp sport @reflectors {_beyond('reflected', 'ip daddr', REFLECTED_TO_A_RESOURCE)} counter drop", origin=REFLECTED_FLOOD),
    )
    return NftTable(
        name=TABLE,
        sets=(
            NftSet(name="advanced", type="ipv4_addr", elements=tuple(map(str, advanced))),
            *_constant_sets(),
            _filled("challenged", "ipv4_addr . inet_service . ipv4_addr . inet_service", SOURCES, CHALLENGED_S),
            _filled("known", "ipv4_addr", SOURCES, scaled(KNOWN_S)),
            _filled("known_syns", "ipv4_addr", SOURCES, RATE_KEPT_S),
            _filled("mitigated", "ipv4_addr", RESOURCES, scaled(MITIGATED_S)),
            _filled("reflected", "ipv4_addr", RESOURCES, RATE_KEPT_S),
            _filled("strays", "ipv4_addr", RESOURCES, RATE_KEPT_S),
            _filled("syns", "ipv4_addr", RESOURCES, RATE_KEPT_S),
        ),
        chains=(
            NftChain(name="gateway", hook="type filter hook prerouting priority mangle; policy accept;", rules=first),
            NftChain(name="syn", rules=tuple(_syn())),
        ),
    )


def _syn() -> Iterator[NftRule]:
    """A SYN at a gateway: counted against what its resource can take and, under mitigation, scored."""
    flood = f"{ORIGIN} (SYN flood:"
    yield NftRule(statement=f"ip daddr @advanced {_beyond('syns', 'ip daddr', SYNS_OF_A_RESOURCE // 2)} update @mitigated {{ ip daddr }}")
    yield NftRule(statement=f"ip daddr != @advanced {_beyond('syns', 'ip daddr', SYNS_OF_A_RESOURCE)} update @mitigated {{ ip daddr }}")
    yield NftRule(statement="ip daddr != @mitigated accept")
    yield NftRule(statement=f"ip saddr @known {_beyond('known_syns', 'ip saddr', SYNS_OF_A_KNOWN_SOURCE)} counter drop", origin=f"{flood} more than {SYNS_OF_A_KNOWN_SOURCE} a second from one source)")
    yield NftRule(statement="ip saddr @known accept")
    yield NftRule(statement=f"{CONNECTION} @challenged update @known {{ ip saddr }} counter accept", origin=f"{ORIGIN} passes (the SYN came again: no flood does that)")
    yield NftRule(statement=f"add @challenged {{ {CONNECTION} }}")
    yield NftRule(statement="counter drop", origin=f"{flood} the first SYN of a source that has not proved itself)")


def _validation() -> Iterator[NftRule]:
    """What no host sends that has a sound stack and its own address."""
    yield NftRule(statement="ip saddr @bogons counter drop", origin=FORGED)
    for flags in BAD_FLAGS:
        yield NftRule(statement=f"{flags} counter drop", origin=f"{ORIGIN} (packet validation: TCP flags)")
    yield NftRule(statement="meta l4proto { tcp, udp } th dport 0 counter drop", origin=f"{ORIGIN} (packet validation: port 0)")


def _constant_sets() -> tuple[NftSet, ...]:
    return (
        NftSet(name="bogons", type="ipv4_addr", flags=("interval",), elements=tuple(map(str, BOGONS))),
        NftSet(name="reflectors", type="inet_service", elements=tuple(map(str, REFLECTORS))),
    )


def _filled(name: str, key: str, size: int, timeout_s: int) -> NftSet:
    """A set that packets fill, and time empties."""
    return NftSet(name=name, type=key, flags=("dynamic", "timeout"), size=size, timeout_s=timeout_s)


def _beyond(name: str, key: str, a_second: int) -> str:
    """Matches what exceeds a rate for each `key`, with a second's worth at once."""
    return f"update @{name} {{ {key} limit rate over {a_second}/second burst {a_second} packets }}"
