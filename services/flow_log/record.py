"""Counts become records, and records AWS's lines.

Source: VPC user guide, "Flow log records" (documented): tcp-flags are OR-ed over the interval, a SYN-ACK counts 18; srcaddr and dstaddr show the interface's own primary
address where it only passes a packet on, the packet's real ends are in pkt-srcaddr and pkt-dstaddr; traffic-path is told of outward traffic only.
Start and end of a record are those of its interval (AWS: of its first and last packet within the interval; assumed to be near enough).
NOT MODELLED: sublocations (always ``-``: there are no Outposts or Local Zones here); packets are what the kernel forwards, which merges segments of bulk TCP.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from services.flow_log.config import Config, Interface
from services.flow_log.counters import TCP_KINDS, Flow, Snapshot

ACCEPT, REJECT = "ACCEPT", "REJECT"
INGRESS, EGRESS = "ingress", "egress"
NOTHING = "-"
VERSIONS = {3: ("vpc-id", "subnet-id", "instance-id", "tcp-flags", "type", "pkt-srcaddr", "pkt-dstaddr"), 4: ("region", "az-id", "sublocation-type", "sublocation-id"),
            5: ("pkt-src-aws-service", "pkt-dst-aws-service", "flow-direction", "traffic-path")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one 5-tuple did at one interface in one direction."""

    flow: Flow
    direction: str
    action: str
    packets: int
    octets: int
    tcp_flags: int


def records(counted: Snapshot) -> tuple[Record, ...]:
    """The records of what `Deltas` found, the kinds of packets of a flow together; sorted by flow."""
    sums: dict[tuple[Flow, str, str], tuple[int, int, int]] = {}
    for (place, kind, flow), count in counted.items():
        key = (flow, EGRESS if place.startswith("out") else INGRESS, ACCEPT if place.endswith("_ok") else REJECT)
        packets, octets, flags = sums.get(key, (0, 0, 0))
        sums[key] = (packets + count.packets, octets + count.octets, flags | TCP_KINDS.get(kind, 0))
    found = [
        Record(flow=flow, direction=direction, action=action, packets=packets, octets=octets, tcp_flags=flags) for (flow, direction, action), (packets, octets, flags) in sums.items()
    ]
    return tuple(sorted(found, key=lambda record: (record.flow.device, str(record.flow.source), str(record.flow.destination), record.flow.source_port, record.flow.destination_port, record.action)))


def line(fields: tuple[str, ...], record: Record, interface: Interface, config: Config, start: int, end: int) -> str:
    """One record as AWS writes it."""
    values = _known(interface, config, fields, start, end) | _of_record(record, interface, config) | {"log-status": "OK"}
    return " ".join(str(values.get(field, NOTHING)) for field in fields)


def empty_line(fields: tuple[str, ...], interface: Interface, config: Config, start: int, end: int, status: str) -> str:
    """The line of an interval without traffic (NODATA) or of one in which something was not counted (SKIPDATA)."""
    values = _known(interface, config, fields, start, end) | {"log-status": status}
    return " ".join(str(values.get(field, NOTHING)) for field in fields)


def _known(interface: Interface, config: Config, fields: tuple[str, ...], start: int, end: int) -> dict[str, object]:
    version = max((number for number, names in VERSIONS.items() if any(field in names for field in fields)), default=2)
    return {
        "version": version, "account-id": config.account, "interface-id": interface.interface_id, "start": start, "end": end, "vpc-id": config.vpc_id,
        "subnet-id": interface.subnet_id, "instance-id": interface.instance_id or NOTHING, "region": config.region, "az-id": interface.az_id,
    }


def _of_record(record: Record, interface: Interface, config: Config) -> dict[str, object]:
    flow = record.flow
    source, destination = flow.source, flow.destination
    if record.direction == EGRESS and source not in interface.addresses:
        source = interface.address
    if record.direction == INGRESS and destination not in interface.addresses:
        destination = interface.address
    way = next((way for way in interface.ways if flow.destination in way.network), None) if record.direction == EGRESS else None
    return {
        "srcaddr": source, "dstaddr": destination, "srcport": flow.source_port, "dstport": flow.destination_port, "protocol": flow.protocol, "packets": record.packets,
        "bytes": record.octets, "action": record.action, "tcp-flags": record.tcp_flags, "type": "IPv4", "pkt-srcaddr": flow.source, "pkt-dstaddr": flow.destination,
        "flow-direction": record.direction, "traffic-path": NOTHING if way is None else way.path or NOTHING,
        "pkt-src-aws-service": _service(flow.source, config), "pkt-dst-aws-service": _service(flow.destination, config),
    }


def _service(address: IPv4Address, config: Config) -> str:
    """The AWS service that has an address."""
    return next((service.name for service in config.services if address in service.network), NOTHING)
