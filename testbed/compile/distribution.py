"""Distributions: what CloudFront's daemon at an edge location is told of them. Every edge location serves every distribution.

Source: CloudFront developer guide, "Values that you specify" (documented).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from services.cloudfront.config import Behavior, CachePolicy, Config, Origin
from services.cloudfront.config import Distribution as DistributionConfig
from services.common.config import Listen, encode
from testbed.compile import shield_protection
from testbed.compile.hosted_zone import absolute
from testbed.compile.load_balancer import service_name
from testbed.compile.name_server import resolver_service_name
from testbed.compile.places import city_of
from testbed.compile.tls import TRUST_FILE, certificate, tls
from testbed.model.distribution import CacheBehavior, Distribution
from testbed.model.hosted_zone import HostedZone
from testbed.plan import Certificate, ServiceSpec
from testbed.resolve.resolved import Resolved, ResolvedEdge

KIND = "cloudfront"
HTTP, HTTPS = 80, 443


def edge_service(edge: ResolvedEdge, resolved: Resolved) -> ServiceSpec | None:
    """The daemon of one edge location, None if there is no distribution. It starts after its resolver and the balancers that are its origins."""
    distributions = resolved.topology.of(Distribution)
    if not distributions:
        return None
    name, city = f"{edge.node}.{KIND}", city_of(resolved, edge.city)
    certificates = tuple(certificate(name, number, _host_names(d, resolved)) for number, d in enumerate(distributions))
    config = Config(
        name=edge.node,
        pop=edge.pop,
        http=(_listen(edge.address, HTTP),),
        https=(_listen(edge.address, HTTPS),),
        distributions=tuple(_distribution(d, issued, resolved) for d, issued in zip(distributions, certificates, strict=True)),
        resolvers=(city.resolver,),
        trust_file=TRUST_FILE,
    )
    after = (resolver_service_name(city), *_origin_services(distributions, resolved))
    return ServiceSpec(name=name, kind=KIND, node=edge.node, config=encode(config), after=tuple(sorted(after)), certificates=certificates, origin="CloudFront")


def _listen(address: IPv4Address, port: int) -> Listen:
    return Listen(address=address, port=port)


def _host_names(distribution: Distribution, resolved: Resolved) -> tuple[str, ...]:
    return (dict(resolved.distribution_names)[distribution.id], *map(absolute, distribution.aliases))


def _distribution(distribution: Distribution, issued: Certificate, resolved: Resolved) -> DistributionConfig:
    return DistributionConfig(
        id=distribution.id,
        domain_name=dict(resolved.distribution_names)[distribution.id],
        aliases=tuple(map(absolute, distribution.aliases)),
        origins=tuple(
            Origin(
                id=origin.id,
                domain_name=absolute(origin.domain_name),
                protocol_policy=origin.origin_protocol_policy,
                http_port=origin.http_port,
                https_port=origin.https_port,
                custom_headers=origin.origin_custom_headers,
            )
            for origin in distribution.origins
        ),
        behaviors=tuple(_behavior(b) for b in (*distribution.cache_behaviors, distribution.default_cache_behavior)),
        tls=tls(issued),
        rate_rule=shield_protection.rate_rule(distribution.id, resolved),
    )


def _behavior(behavior: CacheBehavior) -> Behavior:
    policy = behavior.cache_policy
    return Behavior(
        path_pattern=behavior.path_pattern,
        origin=behavior.target_origin_id,
        viewer_protocol_policy=behavior.viewer_protocol_policy,
        allowed_methods=behavior.allowed_methods,
        cache_policy=CachePolicy(
            name=policy.name,
            min_ttl=policy.min_ttl,
            default_ttl=policy.default_ttl,
            max_ttl=policy.max_ttl,
            headers=policy.headers,
            cookies=policy.cookies,
            query_strings=policy.query_strings,
        ),
        forward_all_query_strings=behavior.forward_all_query_strings,
        forward_all_cookies=behavior.forward_all_cookies,
    )


def _origin_services(distributions: tuple[Distribution, ...], resolved: Resolved) -> tuple[str, ...]:
    """The services of the load balancers whose name, or an alias of it, is an origin's."""
    balancer_of = {absolute(name): balancer for balancer, name in resolved.load_balancer_names}
    balancers = set(balancer_of.values())
    for zone in resolved.topology.of(HostedZone):
        balancer_of |= {absolute(r.name): r.alias_target for r in zone.record_sets if r.alias_target is not None and r.alias_target in balancers}
    names = {absolute(origin.domain_name) for distribution in distributions for origin in distribution.origins}
    found = {balancer_of[name] for name in names if name in balancer_of}
    return tuple(service_name(interface) for balancer in found for interface in resolved.interfaces_of(balancer))
