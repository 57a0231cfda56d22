"""An edge location: one namespace with its own address and Route 53's four anycast addresses, running CloudFront and Route 53.

Source: CloudFront developer guide, "How CloudFront delivers content"; Route 53 developer guide, "What is Amazon Route 53?" (documented).
"""

from __future__ import annotations

from testbed.compile import shield_standard
from testbed.compile.attach import attach
from testbed.compile.distribution import edge_service
from testbed.compile.fragment import Fragment, join
from testbed.compile.name_server import route53_service
from testbed.compile.places import city_of
from testbed.plan import Node, NodeKind
from testbed.resolve.resolved import Resolved, ResolvedEdge


def lower(edge: ResolvedEdge, resolved: Resolved) -> Fragment:
    """The location's node, its link to its city, and its two services."""
    city = city_of(resolved, edge.city)
    identity = Node(
        name=edge.node, kind=NodeKind.EDGE_LOCATION, label=f"{edge.pop} ({edge.city})", origin=edge.code, city=edge.city, group=city.node,
        name_servers=(city.resolver,), hosts=((edge.address, edge.node),),
    )  # fmt: skip
    first_in_city = min(e.code for e in resolved.edges if e.city == edge.city) == edge.code
    anycast = tuple(server.address for server in resolved.route53_servers) if first_in_city else ()
    services = tuple(service for service in (route53_service(edge, resolved) if first_in_city else None, edge_service(edge, resolved)) if service is not None)
    shield = shield_standard.at_edge(edge.node, (city.resolver,), resolved)
    return join(attach(identity, city, edge.address, also=anycast, sysctls=shield_standard.edge_sysctls(resolved)), Fragment(nodes=(shield,), services=services))
