"""More of something than the account's quota allows, in the words of AWS's own errors.

Source: VPC user guide, "Amazon VPC quotas"; EC2 API reference, "Error codes": VpcLimitExceeded, SubnetLimitExceeded, InternetGatewayLimitExceeded,
AddressLimitExceeded, NatGatewayLimitExceeded (documented).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from testbed.model.elastic_ip import ElasticIp
from testbed.model.internet_gateway import InternetGateway
from testbed.model.nat_gateway import NatGateway
from testbed.model.subnet import Subnet
from testbed.model.values import Fault
from testbed.model.vpc import Vpc
from testbed.resolve.interfaces import Wanted
from testbed.resolve.references import References


def faults(references: References, _: tuple[Wanted, ...]) -> Iterator[Fault]:
    """One fault for each place where a quota is exceeded."""
    topology, quotas = references.topology, references.topology.quotas
    regions = {vpc.id: vpc.region for vpc in topology.of(Vpc)}
    zones = {subnet.id: subnet.availability_zone for subnet in topology.of(Subnet)}
    yield from _over((vpc.region for vpc in topology.of(Vpc)), quotas.vpcs_per_region, "VpcLimitExceeded: The maximum number of VPCs has been reached", "vpcs_per_region")
    yield from _over((subnet.vpc_id for subnet in topology.of(Subnet)), quotas.subnets_per_vpc, "SubnetLimitExceeded: The maximum number of subnets has been reached", "subnets_per_vpc")
    gateways = (regions[gateway.vpc_id] for gateway in topology.of(InternetGateway) if gateway.vpc_id in regions)
    yield from _over(gateways, quotas.internet_gateways_per_region, "InternetGatewayLimitExceeded: The maximum number of internet gateways has been reached", "internet_gateways_per_region")
    allocations = (elastic_ip.region for elastic_ip in topology.of(ElasticIp))
    yield from _over(allocations, quotas.elastic_ips_per_region, "AddressLimitExceeded: The maximum number of addresses has been reached", "elastic_ips_per_region")
    nats = (zones[nat.subnet_id] for nat in topology.of(NatGateway) if nat.subnet_id in zones)
    yield from _over(nats, quotas.nat_gateways_per_zone, f"NatGatewayLimitExceeded: Performing this operation would exceed the limit of {quotas.nat_gateways_per_zone} NAT gateways", "nat_gateways_per_zone")
    for nat in topology.of(NatGateway):
        if len(nat.allocations) > quotas.elastic_ips_per_nat_gateway:
            problem = f"{len(nat.allocations)} Elastic IP addresses, but the quota is {quotas.elastic_ips_per_nat_gateway}"
            yield Fault(resource=nat.id, problem=problem, remedy=_raise("elastic_ips_per_nat_gateway"))


def _over(places: Iterable[str], quota: int, problem: str, name: str) -> Iterator[Fault]:
    for place, count in sorted(Counter(places).items()):
        if count > quota:
            yield Fault(resource=place, problem=f"{problem} ({count} of {quota})", remedy=_raise(name))


def _raise(name: str) -> str:
    return f"remove some, or raise the quota (Quotas.{name})"
