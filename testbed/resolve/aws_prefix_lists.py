"""The prefix lists that AWS keeps: the public addresses of S3 and DynamoDB in each Region whose services run, as if the topology had named them.

Routes and rules name them like any other list (``pl-s3-eu-west-1``). Their contents are AWS's choice, here this testbed's, and no behaviour: the oracle takes them too.
Source: VPC user guide, "AWS-managed prefix lists" (names and weights documented).
"""

from __future__ import annotations

from dataclasses import replace

from testbed.model.prefix_list import AWS, PrefixList, PrefixListEntry
from testbed.model.topology import Topology
from testbed.resolve import world

WEIGHT = 1
"""What S3's and DynamoDB's lists count against a quota."""


def with_aws_prefix_lists(topology: Topology) -> Topology:
    """The topology with the lists of its Regions' services added; itself where there are none, or all are there already."""
    there = {each.id for each in topology.of(PrefixList) if each.owner_id == AWS}
    lists = tuple(
        PrefixList(
            id=service.prefix_list,
            region=region.id,
            max_entries=WEIGHT,
            entries=(PrefixListEntry(cidr=service.block, description=service.name),),
            prefix_list_name=f"com.amazonaws.{region.id}.{service.name}",
            owner_id=AWS,
        )
        for region in world.regions(topology)
        for service in region.aws_services
        if service.prefix_list is not None and service.prefix_list not in there
    )
    return replace(topology, resources=(*topology.resources, *lists)) if lists else topology
