"""Counts become records of a transit gateway, and records AWS's lines.

A flow that crosses the gateway is two records: ingress at the attachment by which it comes, egress at the one by which it goes; each names the other as its pair. What is lost is told at the
ingress alone, with its reason. Two flows with one 5-tuple in different tables (overlapping VPCs) may be given each other's pair: the counters know no more than a device and a 5-tuple.
Source: Transit Gateway guide, "Logging network traffic using Transit Gateway Flow Logs" (documented). That srcaddr and dstaddr are the flow's real ends, and that `packets` leaves out what is lost, is assumed; start and end are those
of the interval.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.flow_log.counters import TCP_KINDS, Count, Flow, Snapshot
from services.transit_gateway_flow_log.config import Config, Device

INGRESS, EGRESS = "ingress", "egress"
NOTHING = "-"
GATEWAY, ATTACHMENT = "TransitGateway", "TransitGatewayAttachment"
VERSIONS = {3: ("type", "tcp-flags"), 4: ("region",), 5: ("flow-direction", "pkt-src-aws-service", "pkt-dst-aws-service")}
OLDEST = ("version", "account-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "log-status")
PASSED_IN, LOST_IN, PASSED_OUT, NO_WAY, TTL_EXPIRED = "in_ok", "in_no", "out_ok", "noway_ok", "ttl_ok"
"""Places of the counters; what is lost without having had no way and with a TTL is too large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one 5-tuple did at one device in one direction, and how many packets of it were lost by reason; `pair` is the device at its other end, None if nothing went on."""

    flow: Flow
    direction: str
    packets: int = 0
    octets: int = 0
    tcp_flags: int = 0
    no_route: int = 0
    blackhole: int = 0
    mtu_exceeded: int = 0
    ttl_expired: int = 0
    pair: str | None = None


def records(counted: Snapshot, config: Config) -> tuple[Record, ...]:
    """The records of what `Deltas` found, sorted by flow."""
    devices = {device.name: device for device in config.devices}
    sums: dict[tuple[str, Flow], tuple[Count, int]] = {}
    for (place, kind, flow), count in counted.items():
        if flow.device in devices:
            before, flags = sums.get((place, flow), (Count(), 0))
            sums[place, flow] = (Count(before.packets + count.packets, before.octets + count.octets), flags | TCP_KINDS.get(kind, 0))
    came = {flow for place, flow in sums if place in (PASSED_IN, LOST_IN)}
    went = {flow for place, flow in sums if place == PASSED_OUT}
    ends = ((INGRESS, came, went), (EGRESS, went, came))
    found = [_record(direction, flow, sums, devices[flow.device], others) for direction, own, others in ends for flow in own]
    return tuple(sorted(found, key=lambda record: (record.flow.device, record.direction, str(record.flow.source), str(record.flow.destination), record.flow.source_port, record.flow.destination_port)))


def line(fields: tuple[str, ...], record: Record, config: Config, start: int, end: int, *, whole: bool) -> str:
    """One record as AWS writes it; `whole`: of a log of the whole gateway."""
    devices = {device.name: device for device in config.devices}
    own, other = devices[record.flow.device], devices.get(record.pair or "")
    source, destination = (own, other) if record.direction == INGRESS else (other, own)
    values = _known(fields, own.attachment, config, start, end, whole) | {
        **_side("src", source, config), **_side("dst", destination, config), "tgw-pair-attachment-id": NOTHING if other is None else other.attachment,
        "srcaddr": record.flow.source, "dstaddr": record.flow.destination, "srcport": record.flow.source_port, "dstport": record.flow.destination_port, "protocol": record.flow.protocol,
        "packets": record.packets, "bytes": record.octets, "log-status": "OK", "type": "IPv4", "packets-lost-no-route": record.no_route, "packets-lost-blackhole": record.blackhole,
        "packets-lost-mtu-exceeded": record.mtu_exceeded, "packets-lost-ttl-expired": record.ttl_expired, "tcp-flags": record.tcp_flags, "flow-direction": record.direction,
        "pkt-src-aws-service": _service(record.flow.source, config), "pkt-dst-aws-service": _service(record.flow.destination, config),
    }  # fmt: skip
    return " ".join(str(values.get(field, NOTHING)) for field in fields)


def empty_line(fields: tuple[str, ...], attachment: str, config: Config, start: int, end: int, status: str) -> str:
    """The line of an interval without records (NODATA), or of one of which some are missing (SKIPDATA)."""
    values = _known(fields, attachment or NOTHING, config, start, end, not attachment) | {"log-status": status}
    return " ".join(str(values.get(field, NOTHING)) for field in fields)


def _record(direction: str, flow: Flow, sums: dict[tuple[str, Flow], tuple[Count, int]], device: Device, others: set[Flow]) -> Record:
    def packets(place: str) -> int:
        return sums.get((place, flow), (Count(), 0))[0].packets

    passed, flags = sums.get((PASSED_IN if direction == INGRESS else PASSED_OUT, flow), (Count(), 0))
    paired = sorted(other.device for other in others if other.device != flow.device and replace(other, device=flow.device) == flow)
    record = Record(flow=flow, direction=direction, packets=passed.packets, octets=passed.octets, tcp_flags=flags, pair=paired[0] if paired else None)
    if direction == EGRESS:
        return record
    lost, no_way, expired = packets(LOST_IN), packets(NO_WAY), packets(TTL_EXPIRED)
    is_blackhole = any(flow.destination in block for block in device.blackholes)
    lost_flags = sums.get((LOST_IN, flow), (Count(), 0))[1]
    return replace(
        record, tcp_flags=flags | lost_flags, no_route=0 if is_blackhole else no_way, blackhole=no_way if is_blackhole else 0, ttl_expired=expired, mtu_exceeded=max(0, lost - no_way - expired)
    )


def _known(fields: tuple[str, ...], attachment: str, config: Config, start: int, end: int, whole: bool) -> dict[str, object]:
    newest = max((number for number, names in VERSIONS.items() if any(field in names for field in fields)), default=2)
    version = newest if all(field in (*OLDEST, *(name for names in VERSIONS.values() for name in names)) for field in fields) else 6
    return {
        "version": version, "resource-type": GATEWAY if whole else ATTACHMENT, "account-id": config.account, "tgw-id": config.transit_gateway, "tgw-attachment-id": attachment, "start": start, "end": end,
        "region": config.region,
    }  # fmt: skip


def _side(which: str, device: Device | None, config: Config) -> dict[str, object]:
    if device is None or not device.vpc_id:
        return {}
    return {
        f"tgw-{which}-vpc-account-id": config.account, f"tgw-{which}-vpc-id": device.vpc_id, f"tgw-{which}-subnet-id": device.subnet_id, f"tgw-{which}-eni": device.interface_id, f"tgw-{which}-az-id": device.az_id,
    }  # fmt: skip


def _service(address: object, config: Config) -> str:
    return next((service.name for service in config.services if address in service.network), NOTHING)
