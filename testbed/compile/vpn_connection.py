"""A VPN connection becomes, for each tunnel, an endpoint of AWS's in the Region's city and a charon at either end.

    router-<site> ipsec<n> ─ charon ═══ ESP in UDP over the internet ═══ charon ─ ipsec0 <connection>-tunnel-<n> gateway ═ t-<connection>-<n> <gateway>

The endpoint passes on what is decrypted and encrypts what comes from the gateway, chosen by mark; it sends nothing in the clear, and its link to the gateway has a carrier
only while the tunnel is up (`services.ipsec`). AWS's inside address is the gateway's, on the near side of the endpoint. On the site's router each tunnel has
a charon of its own, with ports of its own, since userspace ESP tells tunnels apart by their charon only.
Source: Site-to-Site VPN user guide, "How Site-to-Site VPN works", "Tunnel options …", "Your customer gateway device" (documented).
"""

from __future__ import annotations

from ipaddress import IPv4Interface

from services.bgp.config import Accept, Advertise, Neighbour
from services.common.config import encode
from services.ipsec.config import Algorithms, Config, Handover, TunnelRoute
from testbed.compile import fabric, private_ip_vpn, transit_gateway, vpn_gateway
from testbed.compile.attach import DEVICE, attach
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.link import ordered
from testbed.compile.places import city_of, forwarding_sysctls, region_of
from testbed.model.vpn_connection import VpnConnection, tunnel_name
from testbed.model.vpn_tunnel import USERSPACE_MTU_BYTES, CustomerDeviceTunnel, VpnTunnelOptions, amazon_address, device_address
from testbed.plan import Interface, Link, NftChain, NftMap, NftRule, NftTable, Node, NodeKind, PlanError, PolicyRule, Route, RouteType, ServiceSpec
from testbed.plan import Neighbour as ArpEntry
from testbed.plan.names import identifier, interface_name, mac_address
from testbed.resolve.resolved import Resolved, ResolvedSite, ResolvedVpnConnection, ResolvedVpnTunnel

KIND = "ipsec"
GATEWAY = "gateway"
TUNNELS = "ipsec*"
TABLE = "vpn_endpoint"
INWARD, OUTWARD, MASK = 0x1, 0x2, 0x3
"""Marks: into the tunnel, and out of it."""
INTO_TUNNEL, OUT_OF_TUNNEL = 100, 101
LAST_RESORT_METRIC = 9000
IKE_PORT, NAT_T_PORT = 500, 4500
HOLD_S, KEEPALIVE_S = 30, 10
"""As in AWS's sample configurations (secondary)."""
AMAZON_MEDS = (100, 200)
"""Of what AWS announces in each tunnel (assumed)."""
MOST_ROUTES_FROM_SITE, MOST_ROUTES_TO_TRANSIT_GATEWAY = 100, 1000
"""Site-to-Site VPN user guide, "Site-to-Site VPN quotas" (documented)."""


def lower(connection: ResolvedVpnConnection, resolved: Resolved) -> Fragment:
    """Both tunnels, at both ends."""
    written = written_as(connection, resolved)
    return join(*(_tunnel(connection, tunnel, written, resolved) for tunnel in connection.tunnels))


def written_as(connection: ResolvedVpnConnection, resolved: Resolved) -> VpnConnection:
    """The connection as the topology has it."""
    return next(each for each in resolved.topology.of(VpnConnection) if each.id == connection.id)


def gateway_device(connection: str, number: int) -> str:
    """The gateway's device of a tunnel."""
    return interface_name("t-", f"{connection}-{number}")


def gateway_devices(connection_id: str, resolved: Resolved) -> tuple[str, ...]:
    """The gateway's devices of a connection's tunnels, in their order."""
    return tuple(gateway_device(each.id, tunnel.number) for each in resolved.vpn_connections if each.id == connection_id for tunnel in each.tunnels)


def endpoint_service(tunnel: ResolvedVpnTunnel) -> str:
    """The service of AWS's end of a tunnel."""
    return f"{tunnel.node}.{KIND}"


def device_service(site: ResolvedSite, connection: str, number: int) -> str:
    """The service of the customer's end of a tunnel."""
    return f"{site.node}.{connection}-{number}.{KIND}"


def router_chains(site: ResolvedSite, resolved: Resolved) -> tuple[NftChain, ...]:
    """On the site's router: what goes through tunnels, and MSS clamping, both ways: the least of what the tunnels ask for."""
    if not any(connection.site == site.id for connection in resolved.vpn_connections):
        return ()
    through = tuple(NftRule(statement=f'{way} "{TUNNELS}" accept', origin=f"{site.node} {words} a tunnel") for way, words in (("oifname", "into"), ("iifname", "out of")))
    forward = NftChain(name="tunnels", hook="type filter hook forward priority filter; policy accept;", rules=through)
    wanted = [device.tcp_mss for connection in resolved.vpn_connections if connection.site == site.id for device in written_as(connection, resolved).customer_device if device.tcp_mss is not None]
    if not wanted:
        return (forward,)
    syn = f"tcp flags & (syn | rst) == syn tcp option maxseg size > {min(wanted)} tcp option maxseg size set {min(wanted)}"
    rules = tuple(NftRule(statement=f'{way} "{TUNNELS}" {syn}', origin=f"{site.node} MSS clamping") for way in ("iifname", "oifname"))
    return (forward, NftChain(name="clamp", hook="type filter hook forward priority mangle; policy accept;", rules=rules),)


def gateway_neighbours(gateway_id: str, resolved: Resolved, *, connection_id: str | None = None, propagates_to: tuple[str, ...], associated: str | None, metric: int, paths_equal: bool = False) -> tuple[Neighbour, ...]:
    """AWS's end of the BGP sessions in tunnels: of all connections of a gateway, or of one. Each tunnel has a metric of its own, the first the lowest, unless `paths_equal` (ECMP)."""
    found = []
    for index, connection in enumerate(resolved.vpn_connections):
        if connection.static or connection.gateway != gateway_id or connection_id not in (None, connection.id):
            continue
        for tunnel in connection.tunnels:
            found.append(
                Neighbour(
                    name=tunnel.node,
                    address=device_address(tunnel.inside),
                    local_address=amazon_address(tunnel.inside),
                    asn=connection.customer_asn,
                    device=gateway_device(connection.id, tunnel.number),
                    propagates_to=propagates_to,
                    associated=associated,
                    metric=metric if paths_equal else metric + index * len(connection.tunnels) + tunnel.number,
                    hold_s=HOLD_S,
                    keepalive_s=KEEPALIVE_S,
                    accept=Accept(limit=MOST_ROUTES_TO_TRANSIT_GATEWAY if connection.is_transit else MOST_ROUTES_FROM_SITE),
                    advertise=Advertise(med=AMAZON_MEDS[tunnel.number - 1]),
                    origin=connection.id,
                )
            )
    return tuple(found)


def site_neighbours(site: ResolvedSite, resolved: Resolved, *, table: str) -> tuple[Neighbour, ...]:
    """The site's end of the same sessions; the router announces its LAN and what else it originates, and takes AWS's routes with its own metric for each tunnel."""
    found = []
    for place, (connection, tunnel) in enumerate(_tunnels_of(site, resolved)):
        if connection.static:
            continue
        device = written_as(connection, resolved).customer_device[tunnel.number - 1]
        found.append(
            Neighbour(
                name=tunnel.node,
                address=amazon_address(tunnel.inside),
                local_address=device_address(tunnel.inside),
                asn=connection.amazon_asn,
                local_asn=connection.customer_asn,
                propagates_to=(table,),
                associated=table,
                metric=device.metric + place,
                hold_s=HOLD_S,
                keepalive_s=KEEPALIVE_S,
                advertise=Advertise(learned=False),
                origin=connection.id,
            )
        )
    return tuple(found)


def _tunnels_of(site: ResolvedSite, resolved: Resolved) -> tuple[tuple[ResolvedVpnConnection, ResolvedVpnTunnel], ...]:
    """All tunnels that end on a site's router, in the order of their ports."""
    return tuple((connection, tunnel) for connection in resolved.vpn_connections if connection.site == site.id for tunnel in connection.tunnels)


def _tunnel(connection: ResolvedVpnConnection, tunnel: ResolvedVpnTunnel, written: VpnConnection, resolved: Resolved) -> Fragment:
    options, device = written.vpn_tunnel_options[tunnel.number - 1], written.customer_device[tunnel.number - 1]
    site = next((site for site in resolved.sites if site.id == connection.site), None)
    endpoint = _endpoint(connection, tunnel, resolved)
    services = [_endpoint_service(connection, tunnel, options)]
    if site is not None:
        services.append(_device_service(connection, tunnel, options, device, site, resolved))
    return join(endpoint, _at_gateway(connection, tunnel, resolved), Fragment(services=tuple(services)))


def _endpoint(connection: ResolvedVpnConnection, tunnel: ResolvedVpnTunnel, resolved: Resolved) -> Fragment:
    name, city = tunnel_name(connection.id, tunnel.number), city_of(resolved, region_of(resolved, connection.region).city)
    identity = Node(
        name=tunnel.node, kind=NodeKind.VPN_ENDPOINT, label=f"{name} {tunnel.outside_address}", origin=connection.id, city=city.city.name, group=city.node,
        hosts=((tunnel.outside_address, tunnel.node),), keeps_ttl=True,
    )  # fmt: skip
    ike = f'iifname "{DEVICE}" udp dport {{ {IKE_PORT}, {NAT_T_PORT} }} accept'
    chains = (
        NftChain(
            name="prerouting",
            hook="type filter hook prerouting priority raw; policy accept;",
            rules=(NftRule(statement=f'iifname "{GATEWAY}" meta mark set {INWARD:#x}', origin=name), NftRule(statement=f'iifname "{TUNNELS}" meta mark set {OUTWARD:#x}', origin=name)),
        ),
        NftChain(name="input", hook="type filter hook input priority filter; policy drop;", rules=(NftRule(statement=ike, origin=name), NftRule(statement="icmp type echo-request accept", origin=name), NftRule(statement='iifname "lo" accept', origin=name))),
        NftChain(
            name="forward",
            hook="type filter hook forward priority filter; policy drop;",
            rules=(NftRule(statement=f'iifname "{GATEWAY}" oifname "{TUNNELS}" accept', origin=name), NftRule(statement=f'iifname "{TUNNELS}" oifname "{GATEWAY}" accept', origin=name)),
        ),
        NftChain(
            name="output",
            hook="type filter hook output priority filter; policy accept;",
            rules=(NftRule(statement="icmp type { destination-unreachable, redirect, time-exceeded, parameter-problem } counter drop", origin=f"{name} is silent"),),
        ),
    )
    part = NodePart(
        name=tunnel.node,
        routes=tuple(
            Route(destination=fabric.EVERYTHING, type=RouteType.BLACKHOLE, table=table, metric=LAST_RESORT_METRIC, origin=f"{name} is down") for table in (INTO_TUNNEL, OUT_OF_TUNNEL)
        ),
        rules=tuple(PolicyRule(priority=table, mark=mark, mask=MASK, table=table, origin=name) for mark, table in ((INWARD, INTO_TUNNEL), (OUTWARD, OUT_OF_TUNNEL))),
        tables=(NftTable(name=TABLE, chains=chains),),
    )
    outside = private_ip_vpn.attach(identity, connection, tunnel, resolved) if connection.transport is not None else attach(identity, city, tunnel.outside_address, sysctls=forwarding_sysctls())
    return join(outside, Fragment(nodes=(part,)))


def _at_gateway(connection: ResolvedVpnConnection, tunnel: ResolvedVpnTunnel, resolved: Resolved) -> Fragment:
    """The link from endpoint to gateway. A virtual private gateway gets its static routes here; a transit gateway's are its route tables' affair."""
    name, device = tunnel_name(connection.id, tunnel.number), gateway_device(connection.id, tunnel.number)
    at_endpoint = Interface(node=tunnel.node, name=GATEWAY, mac=mac_address(tunnel.node, GATEWAY), mtu_bytes=_mtu(tunnel), offloads=False, origin=connection.id)
    at_gateway = Interface(
        node=connection.gateway, name=device, mac=mac_address(connection.gateway, device), mtu_bytes=_mtu(tunnel), coalesces=True, origin=connection.id,
        addresses=(IPv4Interface((amazon_address(tunnel.inside), tunnel.inside.prefixlen)),),
    )  # fmt: skip
    site_end = device_address(tunnel.inside)
    rank = next(index for index, other in enumerate(resolved.vpn_connections) if other.id == connection.id) * len(connection.tunnels) + tunnel.number
    static = () if connection.is_transit else tuple(
        Route(destination=block, device=device, via=site_end, onlink=True, metric=vpn_gateway.STATIC_METRIC + rank, origin=f"{name} static {block}") for block in connection.static_routes
    )  # fmt: skip
    tables = () if connection.is_transit else (_named(device, connection, tunnel),)
    part = NodePart(name=connection.gateway, routes=static, neighbours=(ArpEntry(address=site_end, mac=at_endpoint.mac, device=device),), tables=tables)
    at_hub = _at_transit_gateway(connection, tunnel, device, at_endpoint.mac, resolved) if connection.is_transit else ()
    return Fragment(nodes=(part, *at_hub), links=(ordered(Link(a=at_endpoint, b=at_gateway, origin=name)),))


def _at_transit_gateway(connection: ResolvedVpnConnection, tunnel: ResolvedVpnTunnel, device: str, mac: str, resolved: Resolved) -> tuple[NodePart, ...]:
    """What a transit gateway needs to take a tunnel for its attachment's: the table for what arrives, ears for pings and BGP, and static routes that pass over a tunnel without a carrier."""
    attachment = resolved.attachment(connection.id, connection.gateway)
    if attachment is None:
        raise PlanError(f"{connection.id} is not attached to {connection.gateway}")
    name = tunnel_name(connection.id, tunnel.number)
    heard = tuple(NftRule(statement=f"{what} accept", origin=name) for what in ("icmp type echo-request", "tcp dport 179", "tcp sport 179"))
    sysctls = tuple((f"ipv4/conf/{which}/ignore_routes_with_linkdown", "1") for which in ("all", "default"))
    return (
        transit_gateway.arrivals(attachment, device, resolved),
        transit_gateway.received(connection.gateway, device, heard),
        NodePart(name=connection.gateway, sysctls=sysctls, neighbours=(ArpEntry(address=fabric.FABRIC_END, mac=mac, device=device),)),
    )


def _named(device: str, connection: ResolvedVpnConnection, tunnel: ResolvedVpnTunnel) -> NftTable:
    """What crosses a virtual private gateway is said to do so by its tunnel."""
    chain = identifier("tunnel", connection.id, str(tunnel.number))
    rule = NftRule(statement="accept", origin=f"{connection.gateway}: {tunnel_name(connection.id, tunnel.number)}")
    element = (fabric.quoted(device), f"goto {chain}")
    return NftTable(name=vpn_gateway.TABLE, maps=(NftMap(name=vpn_gateway.TUNNELS, type="ifname", value_type="verdict", elements=(element,)),), chains=(NftChain(name=chain, rules=(rule,)),))


def _endpoint_service(connection: ResolvedVpnConnection, tunnel: ResolvedVpnTunnel, options: VpnTunnelOptions) -> ServiceSpec:
    device = gateway_device(connection.id, tunnel.number)
    config = Config(
        name=tunnel.node,
        connection=connection.id,
        tunnel=tunnel.number,
        local_address=tunnel.outside_address,
        remote_address=connection.device_address,
        pre_shared_key=tunnel.pre_shared_key,
        initiates=options.startup_action == "start",
        phase1=Algorithms(encryption=options.phase1_encryption_algorithms, integrity=options.phase1_integrity_algorithms, dh_groups=options.phase1_dh_group_numbers),
        phase2=Algorithms(encryption=options.phase2_encryption_algorithms, integrity=options.phase2_integrity_algorithms, dh_groups=options.phase2_dh_group_numbers),
        phase1_lifetime_s=options.phase1_lifetime_seconds,
        phase2_lifetime_s=options.phase2_lifetime_seconds,
        rekey_margin_s=options.rekey_margin_time_seconds,
        rekey_fuzz_percent=options.rekey_fuzz_percentage,
        replay_window=options.replay_window_size,
        dpd_timeout_s=options.dpd_timeout_seconds,
        mtu_bytes=_mtu(tunnel),
        inside=tunnel.inside,
        routes=(TunnelRoute(destination=fabric.EVERYTHING, metric=1, table=INTO_TUNNEL),),
        handover=Handover(device=GATEWAY, table=OUT_OF_TUNNEL, next_hop=amazon_address(tunnel.inside), mac=mac_address(connection.gateway, device)),
    )
    return ServiceSpec(name=endpoint_service(tunnel), kind=KIND, node=tunnel.node, config=encode(config), origin=connection.id)


def _device_service(
    connection: ResolvedVpnConnection, tunnel: ResolvedVpnTunnel, options: VpnTunnelOptions, device: CustomerDeviceTunnel, site: ResolvedSite, resolved: Resolved
) -> ServiceSpec:
    place = _tunnels_of(site, resolved).index((connection, tunnel))
    name = device_service(site, connection.id, tunnel.number)
    config = Config(
        name=name.removesuffix(f".{KIND}"),
        connection=connection.id,
        tunnel=tunnel.number,
        local_address=connection.device_address,
        remote_address=tunnel.outside_address,
        pre_shared_key=tunnel.device_pre_shared_key,
        initiates=options.startup_action == "add",
        phase1=Algorithms(encryption=(device.phase1_encryption_algorithm,), integrity=(device.phase1_integrity_algorithm,), dh_groups=(device.phase1_dh_group_number,)),
        phase2=Algorithms(encryption=(device.phase2_encryption_algorithm,), integrity=(device.phase2_integrity_algorithm,), dh_groups=(device.phase2_dh_group_number,)),
        phase1_lifetime_s=options.phase1_lifetime_seconds,
        phase2_lifetime_s=options.phase2_lifetime_seconds,
        rekey_margin_s=options.rekey_margin_time_seconds,
        rekey_fuzz_percent=options.rekey_fuzz_percentage,
        replay_window=options.replay_window_size,
        dpd_timeout_s=options.dpd_timeout_seconds,
        mtu_bytes=_mtu(tunnel),
        inside=tunnel.inside,
        inside_address=device_address(tunnel.inside),
        ike_port=IKE_PORT + place,
        nat_t_port=NAT_T_PORT + place,
        routes=tuple(TunnelRoute(destination=block, metric=device.metric + place) for block in connection.customer_routes),
    )
    return ServiceSpec(name=name, kind=KIND, node=site.node, config=encode(config), after=(endpoint_service(tunnel),) if options.startup_action == "add" else (), origin=connection.id)


def _mtu(tunnel: ResolvedVpnTunnel) -> int:
    """A tunnel that the two ends cannot agree on never carries anything: any MTU will do."""
    return tunnel.mtu_bytes or USERSPACE_MTU_BYTES
