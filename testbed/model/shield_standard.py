"""Shield Standard: what AWS's border drops before it reaches a resource, at no cost and without being asked.

    edge locations       every packet is judged as it comes: validation, a SYN-cookie proxy, rate limits for each source
    internet gateways    (Elastic IPs, ALB, NLB) validation always; floods are shaped once they exceed what the resource can take

Only what a single packet shows is decided here (`evaluate`); a flood is the sum of packets that each are good. Source: AWS Shield developer guide, "AWS Shield Standard overview",
"AWS Shield mitigation features", "AWS Shield mitigation logic for CloudFront and Route 53", "AWS Shield mitigation logic for AWS Regions", "Detection logic for infrastructure layer
threats" (documented); AWS Best Practices for DDoS Resiliency, "UDP reflection attacks" (ports; assumed complete). AWS publishes no thresholds: all figures here are assumed.
NOT MODELLED: mitigation that waits for a minute's evaluation (it acts at once), threat intelligence about sources.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from testbed.model.values import Decision, Packet, Protocol, Verdict

BOGONS = tuple(map(IPv4Network, ("0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3")))
"""Sources that nobody on the internet has (RFC 6890)."""
REFLECTORS = (17, 19, 53, 69, 111, 123, 137, 161, 389, 520, 1900, 11211)
"""UDP ports of services that answer a small question from a forged source with a large answer to its owner."""
DNS_PORT = 53

ORIGIN = "Shield Standard"
FORGED = f"{ORIGIN} (packet validation: a source that nobody on the internet has)"
REFLECTED = f"{ORIGIN} (UDP reflection: an answer that nobody here has asked for)"
REFLECTED_FLOOD = f"{ORIGIN} (UDP reflection flood: more than its resource can have asked for)"
PASSES = f"{ORIGIN} passes"


def evaluate(packet: Packet, *, at_edge: bool, asked: bool = False) -> Decision:
    """What Shield Standard says of a packet from the internet by itself; `asked`: the edge location has sent a question to its source.

    A reflected datagram is dropped by itself at an edge location only, which has no business with such ports; a gateway's resources may, so there it is a matter of rates (assumed).
    """
    if any(packet.source in bogon for bogon in BOGONS):
        return Decision(verdict=Verdict.DENY, origin=FORGED)
    if at_edge and packet.protocol is Protocol.UDP and packet.source_port in REFLECTORS and not asked:
        return Decision(verdict=Verdict.DENY, origin=REFLECTED)
    return Decision(verdict=Verdict.ALLOW, origin=PASSES)
