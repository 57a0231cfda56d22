"""Customer gateways: what AWS knows of the device at the customer's end of a VPN: its public address and its BGP ASN.

Source: CloudFormation, "AWS::EC2::CustomerGateway"; Site-to-Site VPN user guide, "Customer gateway options" (documented).
NOT MODELLED: certificates in place of pre-shared keys, 4-byte ASNs in `BgpAsnExtended` (bgp_asn takes them).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.model.values import Fault, address, address_faults, bounds_faults, id_faults

DEFAULT_ASN = 65000
HIGHEST_ASN = 2**32 - 1
AWS_RESERVED_ASNS = frozenset({7224, 9059, 10124, 17943})
"""Reserved in us-east-1, eu-west-1, ap-northeast-1 and ap-southeast-1; 7224 everywhere (documented; here all are refused everywhere)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerGateway:
    """`site_id` names the on-premises site whose router is the device; or `ip_address` alone, which may be nobody's: then AWS waits in vain."""

    id: str
    site_id: str | None = None
    ip_address: IPv4Address | None = None
    bgp_asn: int = DEFAULT_ASN

    def __post_init__(self) -> None:
        object.__setattr__(self, "ip_address", address(self.ip_address))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the customer gateway by itself."""
        return (
            *id_faults(self.id),
            *address_faults(self.id, "ip_address", self.ip_address),
            *bounds_faults(self.id, "bgp_asn", self.bgp_asn, 1, HIGHEST_ASN),
            *self._own_faults(),
        )

    def _own_faults(self) -> Iterator[Fault]:
        if (self.site_id is None) == (self.ip_address is None):
            problem = "neither site_id nor ip_address" if self.site_id is None else "both site_id and ip_address"
            yield Fault(resource=self.id, problem=problem, remedy="name the site whose router it is, or the address of a device that is not in the lab")
        if self.bgp_asn in AWS_RESERVED_ASNS:
            yield Fault(resource=self.id, problem=f"bgp_asn {self.bgp_asn} is reserved by AWS", remedy="use a private ASN from 64512 to 65534, or one of your own")
