"""A virtual interface becomes a VLAN on its fibre, from the site's router to AWS's router at the location, and a BGP session in it.

    router-<site> <connection>.<vlan> ═══ VLAN on the fibre ═══ vlan<vlan>-… <gateway>-<location>      eBGP, MD5, BFD (AWS's end passive)

For who lowers a site's router: its one speaker takes `site_neighbours`; the devices are in the plan already, by this module's links.
A packet longer than the virtual interface's MTU is fragmented, or refused with ICMP 3/4 if it must not be (assumed of AWS's end).
Source: Direct Connect user guide, "Virtual interfaces and hosted virtual interfaces", "Routing policies and BGP communities", "Enable BFD"; see `model.virtual_interface`.
"""

from __future__ import annotations

from ipaddress import IPv4Interface

from services.bgp.config import Accept, Advertise, Bfd, Neighbour, PrefixRange
from testbed.compile import direct_connect_connection
from testbed.compile.fragment import Fragment
from testbed.compile.link import ordered
from testbed.model.on_premises_site import OnPremisesSite
from testbed.model.virtual_interface import HOLD_S, KEEPALIVE_S, LOCAL_PREFERENCES, MEDIUM, MOST_ROUTES_FROM_SITE
from testbed.plan import Interface, Link, NftChain, NftRule, Vlan
from testbed.plan.names import interface_name, mac_address
from testbed.resolve.resolved import Resolved, ResolvedSite
from testbed.resolve.resolved_virtual_interface import ResolvedVirtualInterface

MISSING_MED = 0
"""Of a route over Direct Connect ("How AWS Transit Gateway works"; documented)."""
TABLE = "dx"


def lower(session: ResolvedVirtualInterface, resolved: Resolved) -> Fragment:
    """The VLAN of one session."""
    trunk = direct_connect_connection.fibre(session.connection, resolved)
    site = _end(router_of(session.site, resolved), site_device(session), session, session.customer_address)
    amazon = _end(session.node, amazon_device(session), session, session.amazon_address)
    return Fragment(links=(ordered(Link(a=site, b=amazon, vlan=Vlan(tag=session.interface.vlan, trunk=trunk.key), origin=session.session)),))


def site_device(session: ResolvedVirtualInterface) -> str:
    """The site's router's device of a session."""
    return interface_name("", f"{session.connection}.{session.interface.vlan}")


def amazon_device(session: ResolvedVirtualInterface) -> str:
    """AWS's router's device of a session."""
    return interface_name("v-", session.session)


def router_of(site_id: str, resolved: Resolved) -> str:
    """The node of a site's router."""
    return next(site.router for site in resolved.topology.of(OnPremisesSite) if site.id == site_id)


def site_neighbours(site: ResolvedSite, resolved: Resolved, *, table: str) -> tuple[Neighbour, ...]:
    """The sessions of a site's router with AWS over Direct Connect; it keeps what it learns in `table`, and tells what it originates there."""
    return tuple(_site_neighbour(session, site, table) for session in resolved.virtual_interfaces if session.site == site.id)


def router_chains(site: ResolvedSite, resolved: Resolved) -> tuple[NftChain, ...]:
    """On the site's router: what goes over virtual interfaces, and MSS clamping for those that ask for it."""
    sessions = tuple(session for session in (*resolved.virtual_interfaces, *resolved.public_virtual_interfaces) if session.site == site.id)
    if not sessions:
        return ()
    over = tuple(
        NftRule(statement=f'{way} "{site_device(session)}" accept', origin=f"{site.node} {words} {session.session}") for session in sessions for way, words in (("oifname", "into"), ("iifname", "out of"))
    )
    clamp = tuple(
        NftRule(statement=f'{way} "{site_device(session)}" tcp flags & (syn | rst) == syn tcp option maxseg size > {mss} tcp option maxseg size set {mss}', origin=f"{site.node} MSS clamping")
        for session in sessions
        if (mss := session.interface.customer_device.tcp_mss) is not None
        for way in ("iifname", "oifname")
    )
    chains = (("fibres", "filter", over), ("clamp_fibres", "mangle", clamp))
    return tuple(NftChain(name=name, hook=f"type filter hook forward priority {priority}; policy accept;", rules=rules) for name, priority, rules in chains if rules)


def amazon_neighbours(node: str, resolved: Resolved) -> tuple[Neighbour, ...]:
    """The sessions of AWS's router `node` with sites."""
    return tuple(_amazon_neighbour(session) for session in resolved.virtual_interfaces if session.node == node)


def _site_neighbour(session: ResolvedVirtualInterface, site: ResolvedSite, table: str) -> Neighbour:
    device = session.interface.customer_device
    announced = (site.network,) if device.prefixes is None else device.prefixes
    return Neighbour(
        name=session.session,
        address=session.amazon_address.ip,
        local_address=session.customer_address.ip,
        asn=session.gateway_asn,
        local_asn=session.interface.asn,
        device=site_device(session),
        propagates_to=(table,),
        associated=table,
        metric=device.metric,
        password=device.auth_key if device.auth_key is not None else session.auth_key,
        hold_s=HOLD_S,
        keepalive_s=KEEPALIVE_S,
        bfd=Bfd() if device.bfd else None,
        advertise=Advertise(prefixes=tuple(PrefixRange(prefix=block) for block in announced), learned=False, med=device.med, prepend=device.as_path_prepend, communities=device.communities),
        origin=session.id,
    )


def _amazon_neighbour(session: ResolvedVirtualInterface) -> Neighbour:
    return Neighbour(
        name=session.session,
        address=session.customer_address.ip,
        local_address=session.amazon_address.ip,
        asn=session.interface.asn,
        device=amazon_device(session),
        propagates_to=(TABLE,),
        associated=TABLE,
        metric=1,
        password=session.auth_key,
        hold_s=HOLD_S,
        keepalive_s=KEEPALIVE_S,
        bfd=Bfd(passive=True),
        accept=Accept(
            limit=MOST_ROUTES_FROM_SITE,
            local_preference=LOCAL_PREFERENCES[MEDIUM],
            local_preferences=tuple(LOCAL_PREFERENCES.items()),
            missing_med=MISSING_MED,
        ),
        origin=session.id,
    )


def _end(node: str, name: str, session: ResolvedVirtualInterface, address: IPv4Interface) -> Interface:
    return Interface(node=node, name=name, mac=mac_address(node, name), addresses=(address,), mtu_bytes=session.interface.mtu, sysctls=(("send_redirects", "0"),), origin=session.session)
