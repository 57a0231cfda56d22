"""A Resolver endpoint becomes a node for each of its addresses, with an interface in its subnet; nobody lives there but sockets of the Region's resolver.

    inbound    the resolver of the VPC also listens at the endpoint's addresses (`listens`): asked there, it answers as at base+2
    outbound   questions that a rule forwards are asked from sockets in the endpoint's nodes (`rules`), so routes, ACLs and groups of its subnets apply

Source: Route 53 developer guide, "Resolving DNS queries between VPCs and your network" (documented).
"""

from __future__ import annotations

from services.common.config import Listen, Transport
from services.dns.config import ForwardingRule
from testbed.compile.fragment import Fragment, join
from testbed.compile.network_interface import guest_node
from testbed.compile.network_interface import lower as lower_interface
from testbed.model.resolver_endpoint import INBOUND, ResolverEndpoint
from testbed.model.resolver_rule import DNS_PORT, EVERY_NAME, ResolverRule
from testbed.plan import NodeKind
from testbed.resolve.resolved import Resolved

ANY_PORT = 0


def lower(endpoint: ResolverEndpoint, resolved: Resolved) -> Fragment:
    """The nodes of the endpoint's addresses."""
    return join(
        *(
            join(lower_interface(interface, resolved), Fragment(nodes=(guest_node(interface, NodeKind.RESOLVER_ENDPOINT, f"{endpoint.id} {endpoint.direction.lower()} {interface.address}", resolved),)))
            for interface in resolved.interfaces_of(endpoint.id)
        )
    )


def listens(vpc_id: str, resolved: Resolved) -> tuple[Listen, ...]:
    """Where the VPC's resolver is asked from outside: the addresses of its inbound endpoints."""
    inbound = {endpoint.id for endpoint in resolved.topology.of(ResolverEndpoint) if endpoint.direction == INBOUND}
    return tuple(
        Listen(address=interface.address, port=DNS_PORT, transport=transport, namespace=interface.node)
        for interface in (resolved.interfaces_in(vpc_id) if inbound else ())
        if interface.owner in inbound
        for transport in (Transport.UDP, Transport.TCP)
    )


def rules(vpc_id: str, resolved: Resolved) -> tuple[ForwardingRule, ...]:
    """The rules in force in a VPC, by domain."""
    found = (rule for rule in resolved.topology.of(ResolverRule) if vpc_id in rule.associations)
    return tuple(
        ForwardingRule(
            domain="" if rule.domain_name == EVERY_NAME else rule.domain_name,
            targets=rule.target_ips,
            target_port=rule.target_port,
            via=tuple(
                Listen(address=interface.address, port=ANY_PORT, transport=Transport.UDP, namespace=interface.node)
                for interface in resolved.interfaces_of(rule.resolver_endpoint_id or "")
            ),
            origin=rule.id,
        )
        for rule in sorted(found, key=lambda rule: rule.domain_name)
    )
