"""AWS Network Firewall: an endpoint in one subnet of each Availability Zone, which looks at what route tables send through it.

    subnet's table ─ vpc_endpoint_id ─▶ endpoint: stateless engine ─▶ stateful engine ─▶ on by the table of the endpoint's own subnet

The endpoint of firewall ``nfw`` in eu-west-1a is ``vpce-nfw-a``: a route's target, of internet gateways' route tables too. It has no security group, changes nothing in a packet,
is no hop, and keeps the state of flows for itself: both directions must come by the same endpoint.
Source: Network Firewall developer guide, "How AWS Network Firewall works", "Route table configurations for AWS Network Firewall", "Stream exception policy options"; CloudFormation,
"AWS::NetworkFirewall::Firewall" (documented). Packets of more than 8500 bytes vanish, as at Gateway Load Balancer endpoints, which these are (assumed).
NOT MODELLED: attachments to transit gateways as network functions, delete and change protection, logging destinations (the log is in the lab), the 100 Gbit/s of an endpoint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, id_faults

MTU_BYTES = 8500


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFirewall:
    """A firewall of `vpc_id`, with an endpoint in each subnet of `subnet_mappings`, at most one in a zone; `firewall_policy_arn` is a policy's id."""

    id: str
    vpc_id: str
    subnet_mappings: tuple[str, ...]
    firewall_policy_arn: str

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the firewall by itself."""
        return (*id_faults(self.id), *self._own_faults())

    def _own_faults(self) -> Iterator[Fault]:
        if not self.subnet_mappings:
            yield Fault(resource=self.id, problem="has no subnet", remedy="name a subnet of each Availability Zone in which it shall have an endpoint in subnet_mappings")
        for subnet, times in Counter(self.subnet_mappings).items():
            if times > 1:
                yield Fault(resource=self.id, problem=f"{subnet} is named {times} times", remedy="name each subnet once")


def endpoint_id(firewall_id: str, availability_zone: str) -> str:
    """The id of a firewall's endpoint in a zone, as routes name it."""
    return f"vpce-{firewall_id}-{availability_zone[-1]}"
