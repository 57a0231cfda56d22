"""Flow logs of a transit gateway: sets in its namespace that count what arrives by each device, what goes on, and what has no way; a daemon there reads them.

    prerouting   in_try   it has arrived              in_try - in_ok = in_no, lost:    noway_ok   its route is a blackhole, or there is none
    forward      in_ok    it goes on, by its arriving device                           ttl_ok     its TTL ends here (between peerings only)
                 out_ok   … by its leaving device                                      else       it is too large for the way on
What the gateway hears itself (BGP, GRE of Connect peers) is not counted: it is no flow of a customer's (assumed).
Source: Transit Gateway guide, "Logging network traffic using Transit Gateway Flow Logs" (documented).
NOT MODELLED: what comes by an attachment that is associated with no route table, which is dropped before anything counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.common.config import encode
from services.transit_gateway_flow_log.config import Config, Device, Log
from testbed.compile import direct_connect_gateway, flow_log, transit_gateway, vpn_connection
from testbed.compile.fragment import Fragment, NodePart
from testbed.compile.transit_gateway_vpc_attachment import zone_letter
from testbed.model.flow_log import TRANSIT_GATEWAY_INTERVAL_S, FlowLog
from testbed.model.transit_gateway import TransitGateway
from testbed.model.transit_gateway_attachment import AttachmentKind
from testbed.plan import NftChain, NftRule, NftTable, ServiceSpec
from testbed.plan.marks import LOSES_TTL
from testbed.resolve.resolved import Resolved
from testbed.resolve.resolved_transit_gateway import ResolvedTransitGatewayAttachment

KIND = "transit_gateway_flow_log"
PLACES = {"in_try": "iifname", "noway_ok": "iifname", "ttl_ok": "iifname", "in_ok": "iifname", "out_ok": "oifname"}


def lower(gateway: TransitGateway, resolved: Resolved) -> Fragment:
    """Counters and daemon of a gateway's logs; nothing without one."""
    attachments = resolved.attachments_of(gateway.id)
    logged = {gateway.id: "", **{attachment.id: attachment.id for attachment in attachments}}
    logs = tuple(Log(id=log.id, attachment=logged[log.resource_id], fields=log.transit_gateway_fields) for log in resolved.topology.of(FlowLog) if log.resource_id in logged)
    if not logs:
        return Fragment()
    config = Config(
        account=resolved.topology.account, region=gateway.region, transit_gateway=gateway.id, table=transit_gateway.TABLE, interval_s=TRANSIT_GATEWAY_INTERVAL_S, logs=logs,
        devices=tuple(device for attachment in attachments for device in _devices(attachment, resolved)),
        services=flow_log.services_of(resolved),
    )  # fmt: skip
    table = NftTable(name=transit_gateway.TABLE, sets=flow_log.counter_sets(tuple(PLACES)), chains=(*_hooks(), *flow_log.counter_chains(PLACES)))
    service = ServiceSpec(name=f"{gateway.id}.{KIND}", kind=KIND, node=gateway.id, config=encode(config), origin=gateway.id)
    return Fragment(nodes=(NodePart(name=gateway.id, tables=(table,)),), services=(service,))


def _hooks() -> tuple[NftChain, NftChain]:
    """After the zone has been chosen, and after everything that drops."""
    arrived = (
        NftRule(statement="fib daddr type local return"),
        NftRule(statement=f"jump {flow_log.counter_chain('in_try')}"),
        NftRule(statement=f"fib daddr . mark oif missing jump {flow_log.counter_chain('noway_ok')}"),
        NftRule(statement=f"ip ttl 1 meta mark & {LOSES_TTL:#x} != 0 jump {flow_log.counter_chain('ttl_ok')}"),
    )
    passing = tuple(NftRule(statement=f"jump {flow_log.counter_chain(place)}") for place in ("in_ok", "out_ok"))
    return (
        NftChain(name="flow_log_arrived", hook="type filter hook prerouting priority -280; policy accept;", rules=arrived),
        NftChain(name="flow_log_passing", hook="type filter hook forward priority 10; policy accept;", rules=passing),
    )


def _devices(attachment: ResolvedTransitGatewayAttachment, resolved: Resolved) -> Iterator[Device]:
    table = None if attachment.table is None else resolved.transit_gateway_route_table(attachment.table)
    blackholes = () if table is None else tuple(route.destination for route in table.routes if route.attachment is None)
    if attachment.kind is AttachmentKind.VPC:
        for number, subnet_id in attachment.subnets:
            zone = resolved.subnet(subnet_id).subnet.availability_zone
            yield Device(
                name=transit_gateway.device(attachment.id, zone_letter(number)), attachment=attachment.id, vpc_id=attachment.resource, subnet_id=subnet_id,
                interface_id=f"eni-{attachment.id}-{zone_letter(number)}", az_id=flow_log.zone_id(zone), blackholes=blackholes,
            )  # fmt: skip
        return
    for name in _names(attachment, resolved):
        yield Device(name=name, attachment=attachment.id, blackholes=blackholes)


def _names(attachment: ResolvedTransitGatewayAttachment, resolved: Resolved) -> tuple[str, ...]:
    match attachment.kind:
        case AttachmentKind.VPN:
            return vpn_connection.gateway_devices(attachment.id, resolved)
        case AttachmentKind.PEERING:
            return (transit_gateway.peering_device(attachment.id),)
        case AttachmentKind.CONNECT:
            return tuple(transit_gateway.connect_device(peer.id) for peer in resolved.connect_peers if peer.connect == attachment.id)
        case _:
            behind = direct_connect_gateway.behind_gateway(attachment.transit_gateway, resolved)
            return tuple(each.device for each in behind if each.association is not None and each.association.id == attachment.id)
