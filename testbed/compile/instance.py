"""An instance becomes a namespace behind its interfaces; `user_data` becomes the daemon that it runs.

The application starts once its database and its VPC's resolver answer: a convenience of the lab, not of AWS.
Source: CloudFormation, "AWS::EC2::Instance" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from services.common.config import Listen, encode
from services.instance.config import Config, Database
from testbed.compile import fabric, gateway_load_balancer, guest_routing, identity_provider, sd_wan_appliance, web_server
from testbed.compile.db_instance import service_name as database_service_name
from testbed.compile.fragment import Fragment, join
from testbed.compile.name_server import vpc_resolver_service_name
from testbed.compile.network_interface import PRIMARY, guest_node
from testbed.compile.network_interface import lower as lower_interface
from testbed.compile.per_topology import per_topology
from testbed.compile.places import forwarding_sysctls, region_of_interface
from testbed.compile.vpc import resolver_addresses_of
from testbed.model.db_instance import DBInstance
from testbed.model.identity_provider import IdentityProvider
from testbed.model.instance import GeneveAppliance, Instance, IpForwarding, SdWanAppliance, StatefulFirewall, WebApplication, WebServer
from testbed.plan import NodeKind, PlanError, ServiceSpec
from testbed.resolve.resolved import Resolved, ResolvedInterface

KIND = "instance"
ANY_ADDRESS = IPv4Address("0.0.0.0")


def lower(instance: Instance, resolved: Resolved) -> Fragment:
    """The instance's node, all its interfaces, and its application."""
    interfaces = _interfaces(resolved).get(instance.id, ())
    primary = next((i for i in interfaces if i.device == PRIMARY), None)
    if primary is None:
        raise PlanError(f"{instance.id} has no primary interface")
    forwards = forwarding_sysctls() if isinstance(instance.user_data, (IpForwarding, SdWanAppliance, StatefulFirewall)) or not all(i.source_dest_check for i in interfaces) else None
    guest = guest_node(primary, NodeKind.INSTANCE, instance.id, resolved, forwards=forwards)
    services = tuple(_services(instance, primary, resolved))
    return join(*(lower_interface(interface, resolved) for interface in interfaces), Fragment(nodes=(guest, guest_routing.part(instance, interfaces, resolved)), services=services))


@per_topology
def _interfaces(resolved: Resolved) -> dict[str, tuple[ResolvedInterface, ...]]:
    """Every owner's interfaces, by id."""
    owned: dict[str, list[ResolvedInterface]] = {}
    for interface in resolved.interfaces:
        owned.setdefault(interface.owner, []).append(interface)
    return {owner: tuple(interfaces) for owner, interfaces in owned.items()}


def _services(instance: Instance, primary: ResolvedInterface, resolved: Resolved) -> Iterator[ServiceSpec]:
    match instance.user_data:
        case WebApplication() as application:
            yield _service(instance, application, primary, resolved)
        case GeneveAppliance() as program:
            yield gateway_load_balancer.appliance_service(program, instance.id, primary.node)
        case IdentityProvider() as provider:
            yield identity_provider.service(provider, instance.id, primary.node)
        case SdWanAppliance() as appliance:
            yield from sd_wan_appliance.services(appliance, instance.id, resolved)
        case WebServer() as server:
            yield web_server.service(server, instance.id, primary.node)


def service_name(instance: Instance) -> str:
    """The service of an instance's application."""
    return f"{instance.id}.{KIND}"


def _service(instance: Instance, application: WebApplication, primary: ResolvedInterface, resolved: Resolved) -> ServiceSpec:
    database = next((d for d in resolved.topology.of(DBInstance) if d.id == application.database_id), None)
    vpc = fabric.vpc_of(resolved, primary.vpc)
    config = Config(
        name=instance.id,
        listen=Listen(address=ANY_ADDRESS, port=application.port),
        database=None if database is None else _database(database, resolved),
        resolvers=resolver_addresses_of(vpc)[:1],
        availability_zone=primary.availability_zone,
        proxy_protocol=application.proxy_protocol_v2,
    )
    waits = [] if database is None else [database_service_name(database)]
    if vpc.vpc.enable_dns_support:
        waits.append(vpc_resolver_service_name(region_of_interface(resolved, primary)))
    return ServiceSpec(name=service_name(instance), kind=KIND, node=primary.node, config=encode(config), after=tuple(sorted(waits)), origin=instance.id)


def _database(database: DBInstance, resolved: Resolved) -> Database:
    endpoint = next(d.endpoint for d in resolved.databases if d.id == database.id)
    return Database(host=endpoint, port=database.port, name=database.db_name, user=database.master_username, password=database.master_user_password)
