"""A customer's DNS server becomes a daemon on its machine: its own zone first, then the forwarders, then the world.

Source: RFC 1034 (recursion, authority).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from services.common.config import Listen, Transport, encode
from services.dns.config import Config, ForwardingRule, LocalZone, Record, Resolver
from testbed.compile.fragment import Fragment
from testbed.compile.hosted_zone import plain_record
from testbed.model.dns_server import DnsServer
from testbed.model.resolver_rule import DNS_PORT
from testbed.plan import PlanError, ServiceSpec
from testbed.resolve.resolved import Resolved, ResolvedSite

KIND = "dns"


def lower(server: DnsServer, resolved: Resolved) -> Fragment:
    """The daemon."""
    address = address_of(server, resolved)
    records: tuple[Record, ...] = tuple(plain_record(record) for record in server.record_sets)
    resolver = Resolver(
        listen=tuple(Listen(address=address, port=DNS_PORT, transport=transport) for transport in (Transport.UDP, Transport.TCP)),
        root_hints=tuple(root.address for root in resolved.root_servers),
        local_zones=(LocalZone(name=server.domain, records=records, captures=True),),
        rules=tuple(ForwardingRule(domain=forwarder.domain, targets=forwarder.targets, origin=server.id) for forwarder in server.forwarders),
    )
    name = f"{server.id}.{KIND}"
    return Fragment(services=(ServiceSpec(name=name, kind=KIND, node=server.host_id, config=encode(Config(name=name, resolvers=(resolver,))), origin=server.id),))


def address_of(server: DnsServer, resolved: Resolved) -> IPv4Address:
    """Where the server is asked."""
    for interface in resolved.interfaces_of(server.host_id):
        return interface.address
    for site in resolved.sites:
        for node, address in site.hosts:
            if node == server.host_id:
                return address
    raise PlanError(f"{server.id}: {server.host_id} has no address")


def servers_of(site: ResolvedSite, resolved: Resolved) -> tuple[IPv4Address, ...]:
    """What the machines of a site ask."""
    hosts = {node for node, _ in site.hosts}
    return tuple(address_of(server, resolved) for server in resolved.topology.of(DnsServer) if server.host_id in hosts)
