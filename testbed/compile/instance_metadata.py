"""The instance metadata service of a Region: one daemon with a listener in every fabric, which knows the instances of each VPC by their addresses.

Source: EC2 user guide, "Use the Instance Metadata Service" (documented): 169.254.169.254, neither routed nor filtered.
"""

from __future__ import annotations

from services.common.config import Listen, encode
from services.imds.config import Config, Network
from services.imds.config import Instance as Asker
from services.imds.config import Interface as AskerInterface
from testbed.compile import fabric
from testbed.compile.link_local import INSTANCE_METADATA, METADATA_PORT
from testbed.model.instance import Instance
from testbed.plan import ServiceSpec
from testbed.resolve.resolved import OwnerKind, Resolved, ResolvedInterface, ResolvedRegion, ResolvedVpc

KIND = "imds"


def service(region: ResolvedRegion, resolved: Resolved) -> ServiceSpec | None:
    """The daemon of a Region; None where it has no VPC."""
    networks = tuple(_network(vpc, resolved) for vpc in resolved.vpcs if vpc.vpc.region == region.id)
    if not networks:
        return None
    name = f"{region.node}.{KIND}"
    return ServiceSpec(name=name, kind=KIND, node=region.node, config=encode(Config(name=name, networks=networks)), origin=region.id)


def _network(vpc: ResolvedVpc, resolved: Resolved) -> Network:
    listen = Listen(address=INSTANCE_METADATA, port=METADATA_PORT, namespace=vpc.vpc.id)
    owned: dict[str, list[ResolvedInterface]] = {}
    for interface in resolved.interfaces_in(vpc.vpc.id):
        if interface.owner_kind is OwnerKind.INSTANCE:
            owned.setdefault(interface.owner, []).append(interface)
    return Network(listen=listen, instances=tuple(_asker(resolved.instance(owner), owned[owner], vpc, resolved) for owner in sorted(owned)))


def _asker(instance: Instance, interfaces: list[ResolvedInterface], vpc: ResolvedVpc, resolved: Resolved) -> Asker:
    interfaces = sorted(interfaces, key=lambda interface: interface.device)
    options = instance.metadata_options
    return Asker(
        id=instance.id,
        account=resolved.topology.account,
        region=vpc.vpc.region,
        availability_zone=interfaces[0].availability_zone,
        interfaces=tuple(_interface(number, interface, vpc, resolved) for number, interface in enumerate(interfaces)),
        http_endpoint=options.http_endpoint,
        http_tokens=options.http_tokens,
        http_put_response_hop_limit=options.http_put_response_hop_limit,
    )


def _interface(number: int, interface: ResolvedInterface, vpc: ResolvedVpc, resolved: Resolved) -> AskerInterface:
    return AskerInterface(
        id=interface.id,
        device_number=number,
        mac=interface.mac,
        addresses=interface.addresses,
        public=tuple((each.address, each.public_address) for each in interface.mapped if each.public_address is not None),
        security_groups=interface.security_groups,
        subnet_id=interface.subnet,
        subnet_cidr_block=fabric.subnet_of(resolved, interface.subnet).subnet.cidr_block,
        vpc_id=vpc.vpc.id,
        vpc_cidr_blocks=vpc.vpc.cidr_blocks,
    )
