"""A small topology without faults to spoil, one mistake a test."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.model import (
    CacheBehavior,
    DBInstance,
    Distribution,
    ElasticIp,
    Fault,
    Forward,
    HostedZone,
    Instance,
    Internet,
    InternetGateway,
    Listener,
    LoadBalancer,
    ModelError,
    NatGateway,
    NetworkAcl,
    NetworkInterface,
    Origin,
    RecordSet,
    Resource,
    Route,
    RouteTable,
    SecurityGroup,
    Subnet,
    TargetGroup,
    Topology,
    User,
    Vpc,
    WebApplication,
)
from testbed.resolve import resolve

SMALL: tuple[Resource, ...] = (
    Internet(edge_locations=("LHR",)),
    User(id="client", city="London"),
    Vpc(id="vpc-1", region="eu-west-1", cidr_block="10.0.0.0/16"),
    Vpc(id="vpc-2", region="eu-west-1", cidr_block="10.0.0.0/16"),
    Subnet(id="sub-a", vpc_id="vpc-1", cidr_block="10.0.0.0/24", availability_zone="eu-west-1a"),
    Subnet(id="sub-b", vpc_id="vpc-1", cidr_block="10.0.1.0/24", availability_zone="eu-west-1b"),
    Subnet(id="sub-other", vpc_id="vpc-2", cidr_block="10.0.0.0/24", availability_zone="eu-west-1a"),
    InternetGateway(id="igw-1", vpc_id="vpc-1"),
    ElasticIp(id="eip-nat", region="eu-west-1"),
    NatGateway(id="nat-1", subnet_id="sub-a", allocation_id="eip-nat"),
    RouteTable(id="rtb-1", vpc_id="vpc-1", associations=("sub-a",), routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw-1"),)),
    RouteTable(id="rtb-2", vpc_id="vpc-1", main=True),
    NetworkAcl(id="acl-1", vpc_id="vpc-1", associations=("sub-a",)),
    SecurityGroup(id="sg-1", vpc_id="vpc-1"),
    SecurityGroup(id="sg-other", vpc_id="vpc-2"),
    Instance(id="web", subnet_id="sub-a", security_group_ids=("sg-1",), user_data=WebApplication(database_id="db")),
    Instance(id="other", subnet_id="sub-other"),
    NetworkInterface(id="eni-second", subnet_id="sub-a", instance_id="web"),
    LoadBalancer(id="alb", subnets=("sub-a", "sub-b"), security_groups=("sg-1",)),
    Listener(id="listener", load_balancer_arn="alb", port=443, protocol="HTTPS", certificates=("shop.example.com",), default_actions=(Forward(target_group_arn="tg"),)),
    TargetGroup(id="tg", vpc_id="vpc-1", port=80, targets=("web",)),
    DBInstance(id="db", db_name="shop", master_username="shop", master_user_password="correct-horse", db_subnet_group=("sub-a", "sub-b"), vpc_security_groups=("sg-1",)),
    HostedZone(
        id="zone",
        name="shop.example.com",
        record_sets=(
            RecordSet(name="shop.example.com", type="A", alias_target="cdn"),
            RecordSet(name="origin.shop.example.com", type="A", alias_target="alb"),
        ),
    ),
    Distribution(id="cdn", aliases=("shop.example.com",), origins=(Origin(id="alb", domain_name="origin.shop.example.com"),), default_cache_behavior=CacheBehavior(target_origin_id="alb")),
)


def topology(*changed: Resource, without: tuple[str, ...] = (), **fields: object) -> Topology:
    """SMALL, where each of `changed` takes the place of the resource with its id or is added."""
    ids = {resource.id for resource in changed} | set(without)
    resources = (*(resource for resource in SMALL if resource.id not in ids), *changed)
    return Topology(name="small", resources=resources, **fields)  # type: ignore[arg-type]


def small(resource_id: str, **fields: object) -> Resource:
    """The resource of SMALL with this id, some fields changed."""
    (found,) = (resource for resource in SMALL if resource.id == resource_id)
    return replace(found, **fields)  # type: ignore[arg-type, type-var]


def faults(spoiled: Topology) -> tuple[Fault, ...]:
    """The faults of a topology that must have some."""
    with pytest.raises(ModelError) as error:
        resolve(spoiled)
    return error.value.faults


def told(*changed: Resource, **fields: object) -> list[tuple[str, str]]:
    """Resource and problem of each fault of SMALL with `changed` put in."""
    return [(fault.resource, fault.problem) for fault in faults(topology(*changed, **fields))]
