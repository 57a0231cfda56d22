"""S3, DynamoDB, SQS and KMS of a Region: one front and one state on its services plane, and a door in every endpoint's namespace.

    internet gateway     the services' public addresses, on the plane itself
    gateway endpoint     the same addresses, in the endpoint's namespace: clients come with their private addresses, whatever other VPCs have the same
    interface endpoint   the network interfaces' addresses, in their namespaces

Which door a request came through is known by the socket, so nothing has to be translated or marked to tell an endpoint's id.
Source: PrivateLink guide, "Gateway endpoints", "AWS services that integrate with AWS PrivateLink"; AWS general reference, "Service endpoints and quotas" (names documented).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from services.aws.config import Config, Door
from services.aws_state.config import Bucket as SeededBucket
from services.aws_state.config import Config as StateConfig
from services.common.config import Listen, encode
from services.dns.config import LocalZone, Record
from testbed.compile.tls import certificate, tls
from testbed.model.bucket import Bucket
from testbed.model.vpc_endpoint import HTTP, HTTPS, VpcEndpoint, ports
from testbed.model.vpc_endpoint_service import VpcEndpointService
from testbed.plan import Certificate, ServiceSpec
from testbed.resolve.resolved import AwsService, Resolved, ResolvedInterface, ResolvedRegion

FRONT, STATE = "aws", "aws_state"
STATE_LISTEN = Listen(address=IPv4Address("127.0.0.1"), port=4566)
TTL_S = 60
"""Of the services' names and the endpoints' (assumed)."""
ACCESS_KEY_ID, SECRET_ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
"""Those of AWS's documentation."""
LEGACY_S3_REGION = "us-east-1"
"""Where ``s3.amazonaws.com`` is too."""


def services(region: ResolvedRegion, resolved: Resolved) -> tuple[ServiceSpec, ...]:
    """The Region's two daemons; none if nothing uses its services."""
    if not region.aws_services:
        return ()
    account = resolved.topology.account
    state_name, front_name = f"{region.node}.{STATE}", f"{region.node}.{FRONT}"
    buckets = tuple(SeededBucket(name=b.bucket_name, policy=b.policy_document) for b in resolved.topology.of(Bucket) if b.region == region.id)
    state = StateConfig(name=region.node, region=region.id, account=account, listen=STATE_LISTEN, buckets=buckets)
    certificates = tuple(_certificates(front_name, region, resolved))
    front = Config(
        name=region.node,
        region=region.id,
        account=account,
        state=STATE_LISTEN,
        doors=tuple(_doors(region, resolved)),
        tls=tuple(map(tls, certificates)),
        host_suffixes=(*service_names("s3", region.id), *(f"bucket.{endpoint_name(e)}" for e in _endpoints(region, resolved) if e.aws_service == "s3" and not e.is_gateway)),
    )
    return (
        ServiceSpec(name=front_name, kind=FRONT, node=region.node, config=encode(front), after=(state_name,), certificates=certificates, origin=region.id),
        ServiceSpec(name=state_name, kind=STATE, node=region.node, config=encode(state), origin=region.id),
    )


def environment(region: ResolvedRegion) -> tuple[tuple[str, str], ...]:
    """What AWS's tools on an instance need: a Region, and credentials. Any will do: whoever signs is the account's administrator (`services/aws/authorisation.py`).

    Version 1 of the AWS CLI asks for SQS by its legacy name, which an endpoint's private DNS does not have: without a way to the internet ``aws sqs`` hangs,
    here as on AWS, and wants ``--endpoint-url https://sqs.eu-west-1.amazonaws.com``.
    """
    if not region.aws_services:
        return ()
    return (("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID), ("AWS_DEFAULT_REGION", region.id), ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY))


def service_names(service: str, region: str) -> tuple[str, ...]:
    """The public names of a service that private DNS stands in for."""
    legacy = ("s3.amazonaws.com",) if service == "s3" and region == LEGACY_S3_REGION else ()
    return (f"{service}.{region}.amazonaws.com", *legacy)


def public_only_names(service: str, region: str) -> tuple[str, ...]:
    """Names that always lead to the public addresses: SQS's legacy one (SQS developer guide, "Internetwork traffic privacy in Amazon SQS": private DNS does not support it; documented)."""
    return (f"{region}.queue.amazonaws.com",) if service == "sqs" else ()


def account_names(region: str) -> str:
    """DynamoDB's account-based endpoints, which newer SDKs ask for (DynamoDB developer guide, "Account-based endpoints"; that private DNS has them too is assumed)."""
    return f"*.ddb.{region}.amazonaws.com"


def endpoint_name(endpoint: VpcEndpoint, zone: str = "") -> str:
    """An interface endpoint's own name, of all its zones or of one (PrivateLink guide, "Access an AWS service using an interface VPC endpoint")."""
    return f"{endpoint.id}{zone and f'-{zone}'}.{endpoint.aws_service or endpoint.provider_service}.{endpoint.region}.vpce.amazonaws.com"


def public_records(resolved: Resolved) -> tuple[Record, ...]:
    """What public DNS says: services by their public addresses, endpoints' own names by their private ones."""
    of_services = (record for region in resolved.regions for service in region.aws_services for record in _service_records(service, region, tuple(map(str, service.addresses))))
    return (*of_services, *endpoint_records(resolved))


def endpoint_records(resolved: Resolved, vpc: str | None = None) -> tuple[Record, ...]:
    """The own names of interface endpoints (of one VPC)."""
    return tuple(record for endpoint in resolved.topology.of(VpcEndpoint) if endpoint.is_interface and vpc in (None, endpoint.vpc_id) for record in _endpoint_records(endpoint, resolved))


def local_zones(vpc: str, region: ResolvedRegion, resolved: Resolved) -> tuple[LocalZone, ...]:
    """What the resolver of a VPC answers by itself: its Region's services, its endpoints, and by private DNS the endpoints in the services' place.

    That it knows its Region's services without asking the internet is this testbed's: a lab need not have edge locations (assumed).
    """
    own = [endpoint for endpoint in resolved.topology.of(VpcEndpoint) if endpoint.vpc_id == vpc and endpoint.is_interface]
    private = {endpoint.service_name: endpoint for endpoint in own if endpoint.private_dns_enabled}
    zones: dict[str, tuple[Record, ...]] = {}
    for service in region.aws_services:
        instead = private.get(f"com.amazonaws.{region.id}.{service.name}")
        values = tuple(map(str, service.addresses)) if instead is None else _addresses(instead, resolved)
        for record in _service_records(service, region, values, instead.id if instead is not None else region.id):
            apex = record.name.removeprefix("*.")
            zones[apex] = (*zones.get(apex, ()), record)
    for endpoint in private.values():
        name = _provider_name(endpoint, resolved)
        if name is not None:
            zones[name] = (_record(name, _addresses(endpoint, resolved), endpoint.id),)
    for endpoint in own:
        for record in _endpoint_records(endpoint, resolved):
            zones[record.name.removeprefix("*.")] = (*zones.get(record.name.removeprefix("*."), ()), record)
    return tuple(LocalZone(name=name, records=zones[name]) for name in sorted(zones))


def _provider_name(endpoint: VpcEndpoint, resolved: Resolved) -> str | None:
    return next((s.private_dns_name for s in resolved.topology.of(VpcEndpointService) if s.id == endpoint.provider_service), None)


def _endpoints(region: ResolvedRegion, resolved: Resolved) -> Iterator[VpcEndpoint]:
    return (endpoint for endpoint in resolved.topology.of(VpcEndpoint) if endpoint.region == region.id and endpoint.aws_service is not None)


def _doors(region: ResolvedRegion, resolved: Resolved) -> Iterator[Door]:
    for service in region.aws_services:
        yield _door(service.name, tuple((address, None) for address in service.addresses), None)
    for endpoint in _endpoints(region, resolved):
        service = next(s for s in region.aws_services if s.name == endpoint.aws_service)
        interfaces = tuple((i.address, i.node) for i in resolved.interfaces_of(endpoint.id))
        yield _door(service.name, tuple((address, endpoint.id) for address in service.addresses) if endpoint.is_gateway else interfaces, endpoint)


def _door(service: str, places: tuple[tuple[IPv4Address, str | None], ...], endpoint: VpcEndpoint | None) -> Door:
    http, https = (tuple(Listen(address=address, port=port, namespace=namespace) for address, namespace in places if port in ports(service)) for port in (HTTP, HTTPS))
    if endpoint is None:
        return Door(service=service, https=https, http=http)
    return Door(service=service, https=https, http=http, endpoint=endpoint.id, vpc=endpoint.vpc_id, policy=endpoint.policy_document)


def _certificates(front: str, region: ResolvedRegion, resolved: Resolved) -> Iterator[Certificate]:
    """One for the services' names and all names of endpoints; one for each S3 endpoint, whose names have a part more."""
    names = [name for service in region.aws_services for name in (*service_names(service.name, region.id), *public_only_names(service.name, region.id), f"*.{service.name}.{region.id}.vpce.amazonaws.com")]
    names += [*(f"*.{name}" for name in service_names("s3", region.id)), account_names(region.id)]
    yield certificate(front, 0, tuple(names))
    for endpoint in _endpoints(region, resolved):
        if endpoint.aws_service == "s3" and not endpoint.is_gateway:
            bucket = f"bucket.{endpoint_name(endpoint)}"
            yield certificate(f"{front}.{endpoint.id}", 0, (bucket, f"*.{bucket}"))


def _service_records(service: AwsService, region: ResolvedRegion, values: tuple[str, ...], origin: str = "AWS") -> Iterator[Record]:
    for name in service_names(service.name, region.id):
        yield _record(name, values, origin)
        if service.name == "s3":
            yield _record(f"*.{name}", values, origin)
    for name in public_only_names(service.name, region.id):
        yield _record(name, tuple(map(str, service.addresses)), region.id)
    if service.name == "dynamodb":
        yield _record(account_names(region.id), values, origin)


def _endpoint_records(endpoint: VpcEndpoint, resolved: Resolved) -> Iterator[Record]:
    yield _record(endpoint_name(endpoint), _addresses(endpoint, resolved), endpoint.id)
    for interface in resolved.interfaces_of(endpoint.id):
        yield _record(endpoint_name(endpoint, interface.availability_zone), (str(interface.address),), interface.id)
    if endpoint.aws_service == "s3":
        yield _record(f"*.{endpoint_name(endpoint)}", _addresses(endpoint, resolved), endpoint.id)


def _addresses(endpoint: VpcEndpoint, resolved: Resolved) -> tuple[str, ...]:
    interfaces: tuple[ResolvedInterface, ...] = resolved.interfaces_of(endpoint.id)
    return tuple(str(interface.address) for interface in interfaces)


def _record(name: str, values: tuple[str, ...], origin: str) -> Record:
    return Record(name=name, type="A", ttl=TTL_S, values=values, origin=origin)
