"""Where accelerated traffic leaves AWS's own network: an exit into each VPC with endpoints that see the client, one to the public addresses of each Region with endpoints that do not.

    edges ══ a-ga-edge-… ┐  dnat: what stands for the endpoint ─▶ its own address                 ┌ vpc ── fabric: ACL, groups (the client's address; always tracked), endpoint
                         ┴  ct mark: the edge, to which replies go back                           ┴ eth0 ── the Region's city ─▶ internet gateway: source is the exit's own address

In a fabric the exit stands for Global Accelerator's interfaces in the endpoints' subnets: replies return by it whatever the route tables say, so that an endpoint may be private. What arrives is asked at the
subnet's network ACL like anything from outside, and its reply, too (the newer of two statements by AWS).
Source: Global Accelerator developer guide, "Requirements for endpoints with client IP preservation", "Best practices for elastic network interfaces and security groups"; EC2 user guide, "Amazon EC2 security
group connection tracking" (documented). Assumed: the exit is no hop. NOT MODELLED: the interfaces' own private addresses, their group (GlobalAccelerator) as a source in rules, their flow logs.
"""

from __future__ import annotations

from testbed.compile import accelerator_link, fabric, return_path
from testbed.compile.accelerator import known_flows, sysctls
from testbed.compile.attach import DEVICE, attach
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.link import ordered
from testbed.compile.places import city_of
from testbed.plan import Interface, Link, Neighbour, NftChain, NftMap, NftRule, NftSet, NftTable, Node, NodeKind, PolicyRule, Route, RouteType
from testbed.plan.names import mac_address
from testbed.resolve.resolved import Resolved
from testbed.resolve.resolved_accelerator import AcceleratorExit

INSIDE = "vpc"
TABLE = "accelerator_exit"
FIRST_TABLE = 1000
EDGE_MASK = 0xFF
PORTS = "1024-65535"


def lower(exit: AcceleratorExit, resolved: Resolved) -> Fragment:
    """One exit."""
    return join(_back_to_edges(exit, resolved), _into_vpc(exit, exit.vpc, resolved) if exit.vpc is not None else _to_public_addresses(exit, resolved))


def _into_vpc(exit: AcceleratorExit, vpc_id: str, resolved: Resolved) -> Fragment:
    vpc = fabric.vpc_of(resolved, vpc_id)
    inside = Interface(node=exit.node, name=INSIDE, mac=mac_address(exit.node, INSIDE), mtu_bytes=fabric.INTERNET_MTU_BYTES, origin="Global Accelerator")
    device = fabric.gateway_device(exit.node)
    at_fabric = fabric.end(vpc_id, device, mtu_bytes=fabric.INTERNET_MTU_BYTES, origin="Global Accelerator")
    identity = Node(name=exit.node, kind=NodeKind.ACCELERATOR, label=f"Global Accelerator in {vpc_id}", origin="Global Accelerator", city=exit.city, group=vpc_id, keeps_ttl=True)
    node = NodePart(
        name=exit.node,
        identity=identity,
        sysctls=sysctls(resolved),
        routes=(
            Route(destination=fabric.EVERYTHING, type=RouteType.BLACKHOLE, origin=f"Global Accelerator leads to {vpc_id} only"),
            *(Route(destination=block, device=INSIDE, via=fabric.FABRIC_END, onlink=True, origin=f"Global Accelerator to {vpc_id}") for block in vpc.vpc.cidr_blocks),
        ),
        neighbours=(Neighbour(address=fabric.FABRIC_END, mac=at_fabric.mac, device=INSIDE),),
        tables=(_table(exit, INSIDE, resolved),),
    )
    tracked = NftTable(name=fabric.TABLE, sets=(NftSet(name=fabric.ALWAYS_TRACKED, type="iface_index", elements=(fabric.quoted(device),)),))
    in_fabric = NodePart(name=vpc_id, neighbours=(Neighbour(address=fabric.GATEWAY_END, mac=inside.mac, device=device),), tables=(tracked,))
    origin = "Global Accelerator return"
    back = fabric.through(device, fabric.EVERYTHING, return_path.kernel_table(vpc_id, exit.node, resolved), origin)
    returns = return_path.lower(vpc_id, exit.node, device, "meta l4proto { tcp, udp }", back, resolved, origin=origin)
    return join(Fragment(nodes=(node, in_fabric, fabric.door(vpc_id, device)), links=(ordered(Link(a=inside, b=at_fabric, origin="Global Accelerator")),)), returns)


def _to_public_addresses(exit: AcceleratorExit, resolved: Resolved) -> Fragment:
    if exit.address is None:
        raise LookupError(f"{exit.node} has no address")
    city = city_of(resolved, exit.city)
    identity = Node(name=exit.node, kind=NodeKind.ACCELERATOR, label=f"Global Accelerator in {exit.region}", origin="Global Accelerator", city=exit.city, group=city.node)
    own = NftRule(statement=f"ct status dnat meta l4proto {{ tcp, udp }} snat ip to {exit.address}:{PORTS}", origin=f"Global Accelerator {exit.address}")
    hiding = NftChain(name="from_exit", hook="type nat hook postrouting priority srcnat; policy accept;", rules=(own,))
    return join(attach(identity, city, exit.address, sysctls=sysctls(resolved)), Fragment(nodes=(NodePart(name=exit.node, tables=(_table(exit, DEVICE, resolved, hiding),)),)))


def _table(exit: AcceleratorExit, outside: str, resolved: Resolved, *added: NftChain) -> NftTable:
    ways = sorted({(str(way.inside), str(way.address)) for way in resolved.accelerated_ways if way.exit == exit.node})
    arrivals = tuple(
        NftRule(statement=f'iifname "{accelerator_link.exit_device(edge)}" ct direction original ct mark set {edge.number:#x}', origin=f"Global Accelerator {edge.code}") for edge in resolved.accelerator_edges
    )
    return NftTable(
        name=TABLE,
        maps=(NftMap(name="endpoints", type="ipv4_addr", value_type="ipv4_addr", elements=tuple(ways)),),
        chains=(
            NftChain(name="input", hook="type filter hook input priority filter; policy drop;", rules=(NftRule(statement="counter drop", origin="Global Accelerator answers nothing here"),)),
            NftChain(
                name="forward", hook="type filter hook forward priority filter; policy drop;", rules=(*known_flows("Global Accelerator"), NftRule(statement="counter drop", origin="Global Accelerator knows no such flow"))
            ),
            NftChain(
                name="edges", hook="type filter hook prerouting priority mangle; policy accept;", rules=(*arrivals, NftRule(statement=f'iifname "{outside}" ct direction reply meta mark set ct mark'))
            ),
            NftChain(name="to_endpoint", hook="type nat hook prerouting priority dstnat; policy accept;", rules=(NftRule(statement="dnat ip to ip daddr map @endpoints", origin="Global Accelerator to its endpoint"),)),
            *added,
        ),
    )


def _back_to_edges(exit: AcceleratorExit, resolved: Resolved) -> Fragment:
    """Replies go to the edge location from which their flow came."""
    rules, routes = [], []
    for edge in resolved.accelerator_edges:
        table, origin = FIRST_TABLE + edge.number, f"Global Accelerator back to {edge.code}"
        rules.append(PolicyRule(priority=table, mark=edge.number, mask=EDGE_MASK, table=table, origin=origin))
        routes.append(Route(destination=fabric.EVERYTHING, device=accelerator_link.exit_device(edge), via=accelerator_link.EDGE_END, onlink=True, table=table, origin=origin))
    return Fragment(nodes=(NodePart(name=exit.node, rules=tuple(rules), routes=tuple(routes)),))
