"""A Region's services plane: the node from which AWS's own services work, in the Region's city.

Its resolver listens inside every fabric of the Region (base+2 and 169.254.169.253) and asks upstream from here, so that a VPC without any
gateway resolves names; S3, DynamoDB, SQS and KMS are here where something uses them (`aws_service`); so do instance metadata (169.254.169.254) and time (169.254.169.123). Source: VPC user guide, "DNS attributes for your VPC" (documented): 1,024 packets a second for each interface.
"""

from __future__ import annotations

from testbed.compile import aws_service, instance_metadata, load_balancer_keys, time_sync
from testbed.compile.attach import attach
from testbed.compile.fragment import Fragment, join
from testbed.compile.name_server import vpc_resolver_service
from testbed.compile.places import city_of
from testbed.plan import Node, NodeKind
from testbed.resolve.resolved import Resolved, ResolvedRegion


def lower(region: ResolvedRegion, resolved: Resolved) -> Fragment:
    """The plane's node and its services."""
    city = city_of(resolved, region.city)
    identity = Node(name=region.node, kind=NodeKind.SERVICES_PLANE, label=f"{region.id} services", origin=region.id, city=region.city, group=city.node, hosts=((region.address, region.node),))
    services = (vpc_resolver_service(region, resolved), instance_metadata.service(region, resolved), time_sync.service(region, resolved), load_balancer_keys.service(region, resolved))
    public = tuple(address for service in region.aws_services for address in service.addresses)
    running = (*(service for service in services if service is not None), *aws_service.services(region, resolved))
    return join(attach(identity, city, region.address, also=public), Fragment(services=running))


