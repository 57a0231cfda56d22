"""How an instance's metadata may be read: IMDSv2's tokens, how far they go, and whether there is any answer.

Source: EC2 user guide, "Use the Instance Metadata Service", "Configure the instance metadata options" (documented). Where neither account nor image says
anything AWS's default is ``optional`` tokens; ours is ``required``, what the console and current images choose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.values import Fault, bounds_faults, choice_faults

ENABLED, DISABLED = "enabled", "disabled"
OPTIONAL, REQUIRED = "optional", "required"
MOST_HOPS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataOptions:
    """`http_put_response_hop_limit` is the IP TTL with which a token leaves: 1 reaches the instance, not a container one hop behind it."""

    http_endpoint: str = ENABLED
    http_tokens: str = REQUIRED
    http_put_response_hop_limit: int = 1

    def faults(self, resource: str) -> Iterator[Fault]:
        """What is wrong with the options of the instance `resource`."""
        yield from choice_faults(resource, "http_endpoint", self.http_endpoint, (ENABLED, DISABLED))
        yield from choice_faults(resource, "http_tokens", self.http_tokens, (OPTIONAL, REQUIRED))
        yield from bounds_faults(resource, "http_put_response_hop_limit", self.http_put_response_hop_limit, 1, MOST_HOPS)
