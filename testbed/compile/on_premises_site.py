"""An on-premises site becomes a router with a link to each host of its LAN and one to its city's router.

    host eth0 ═ l-<host> router-<site> eth0 ═ city          LAN to internet: behind the router's public address; tunnels and fibres end on the router, see their nouns

The router answers ARP on each link for whatever it can reach, so that hosts of one LAN meet through it as over a switch. What it could only send to AWS never
leaves by the internet instead: those prefixes are blackholes while no tunnel or fibre leads there.
Source: RFC 3704 (reverse path filter); Site-to-Site VPN user guide, "Your customer gateway device" (MSS clamping; documented).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from testbed.compile import dns_server, fabric, public_virtual_interface, virtual_interface, vpn_connection
from testbed.compile.attach import DEVICE, attach
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.link import ordered
from testbed.compile.places import city_of, end_sysctls, forwarding_sysctls
from testbed.model.on_premises_site import RPF_LOOSE, RPF_OFF, RPF_STRICT
from testbed.plan import Interface, Link, Neighbour, NftChain, NftRule, NftTable, Node, NodeKind, Route, RouteType
from testbed.plan.names import interface_name, mac_address
from testbed.resolve.resolved import Resolved, ResolvedSite

MODES = {RPF_OFF: "0", RPF_STRICT: "1", RPF_LOOSE: "2"}
"""Linux's net.ipv4.conf.*.rp_filter."""
TABLE = "site"
LAST_RESORT_METRIC = 9000


def lower(site: ResolvedSite, resolved: Resolved) -> Fragment:
    """The router, the hosts, and the router's ends of its VPN tunnels."""
    city = city_of(resolved, site.city)
    identity = Node(name=site.node, kind=NodeKind.CUSTOMER_GATEWAY, label=f"{site.id} router ({site.city})", origin=site.id, city=site.city, group=site.id, hosts=((site.public_address, site.node),))
    sysctls = dict(forwarding_sysctls()) | {"ipv4/conf/all/rp_filter": MODES[site.reverse_path_filter]}
    router = attach(identity, city, site.public_address, sysctls=tuple(sorted(sysctls.items())))
    hidden = NftRule(statement=f'oifname "{DEVICE}" ip saddr {site.network} masquerade', origin=f"{site.id} behind {site.public_address}")
    hide = NftChain(name="hide", hook="type nat hook postrouting priority srcnat; policy accept;", rules=(hidden, *public_virtual_interface.hiding(site, resolved)))
    tables = (NftTable(name=TABLE, chains=(hide, *vpn_connection.router_chains(site, resolved), *virtual_interface.router_chains(site, resolved))),)
    lost = tuple(
        Route(destination=block, type=RouteType.BLACKHOLE, metric=LAST_RESORT_METRIC, origin=f"{site.node}: no tunnel to {block}")
        for block in sorted({block for connection in resolved.vpn_connections if connection.site == site.id for block in connection.customer_routes})
    )
    unused = Route(destination=site.network, type=RouteType.BLACKHOLE, origin=f"{site.id} address not in use")
    part = NodePart(name=site.node, loopback=(IPv4Interface(site.gateway),), routes=(unused, *lost), tables=tables)
    servers = dns_server.servers_of(site, resolved)
    hosts = (_host(node, IPv4Interface((address, site.network.prefixlen)), site, servers) for node, address in site.hosts)
    return join(router, Fragment(nodes=(part,)), *hosts)


def lan_device(host: str) -> str:
    """The router's device of a host's link: where a capture sees what the host sends."""
    return interface_name("l-", host)


def _host(node: str, address: IPv4Interface, site: ResolvedSite, servers: tuple[IPv4Address, ...]) -> Fragment:
    device = lan_device(node)
    host = Interface(node=node, name=DEVICE, mac=mac_address(node, DEVICE), addresses=(address,), mtu_bytes=fabric.INTERNET_MTU_BYTES, origin=site.id)
    at_router = Interface(
        node=site.node, name=device, mac=mac_address(site.node, device), mtu_bytes=fabric.INTERNET_MTU_BYTES,
        sysctls=(("ipv4/neigh/{}/proxy_delay", "0"), ("proxy_arp", "1"), ("send_redirects", "0")), origin=site.id,
    )  # fmt: skip
    identity = Node(name=node, kind=NodeKind.ON_PREMISES_HOST, label=node, origin=site.id, city=site.city, group=site.id, hosts=((address.ip, node),), name_servers=servers)
    default = Route(destination=fabric.EVERYTHING, device=DEVICE, via=site.gateway, source=address.ip, origin=site.node)
    on_router = NodePart(
        name=site.node,
        routes=(Route(destination=IPv4Network(address.ip), device=device, source=site.gateway, origin=node),),
        neighbours=(Neighbour(address=address.ip, mac=host.mac, device=device),),
    )
    return Fragment(
        nodes=(NodePart(name=node, identity=identity, sysctls=end_sysctls(), routes=(default,)), on_router),
        links=(ordered(Link(a=host, b=at_router, origin=site.id)),),
    )
