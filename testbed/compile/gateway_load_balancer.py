"""A Gateway Load Balancer becomes a namespace with a daemon in each of its subnets; its endpoints are namespaces in their own VPCs, whose packets that daemon carries.

    consumer's fabric ─ eth0 [endpoint] tun ═ daemon of the node of the endpoint's zone ─ eth0 ─ provider's fabric ─ UDP 6081 ─▶ appliance
                             eth0 ─▶ tun, tun ─▶ eth0, whatever the destination

The daemon holds the endpoint's TUN from the balancer's node: all that the two namespaces share, like PrivateLink's two ends, between which no address of either VPC is seen. The
endpoint tracks no connections, is no hop (TTL; assumed), and is an end of no flow: the fabric's groups are the two real ends'. Without its daemon the TUN loses packets: nothing
passes uninspected. Packets over 8500 bytes vanish at the endpoint; TCP's MSS is clamped.
Source: ELB user guide, "Gateway Load Balancers", "Target groups for your GWLB"; PrivateLink guide, "Access an inspection system using a GWLB endpoint", "PrivateLink quotas"
(documented). Of several balancers of a service the first by id with a node in the endpoint's zone serves it (AWS: one at random). What is sent to an endpoint's own address vanishes (assumed).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from services.common.config import HealthCheck, encode
from services.geneve_appliance import config as appliance
from services.gwlb.config import Appliance, Config, Endpoint, Stickiness
from testbed.compile import fabric
from testbed.compile.fragment import Fragment, NodePart, join
from testbed.compile.network_interface import guest_node
from testbed.compile.network_interface import lower as lower_interface
from testbed.compile.places import forwarding_sysctls
from testbed.model.instance import GeneveAppliance
from testbed.model.listener import Forward, Listener
from testbed.model.load_balancer import LoadBalancer
from testbed.model.target_group import GENEVE_PORT, IP, REBALANCE, TargetGroup
from testbed.model.vpc_endpoint import MTU_BYTES, VpcEndpoint
from testbed.model.vpc_endpoint_service import VpcEndpointService
from testbed.plan import Neighbour, NftChain, NftRule, NftTable, NodeKind, PolicyRule, Route, ServiceSpec, Tun
from testbed.plan.names import mac_address
from testbed.resolve.interfaces import hashed
from testbed.resolve.resolved import Resolved, ResolvedInterface

KIND, APPLIANCE_KIND = "gwlb", "geneve_appliance"
TUN = "gwlb"
INWARD, OUTWARD, MARK_MASK = 1, 2, 0xFF
FIRST_TABLE = 100
MSS_BYTES = MTU_BYTES - 40
ANY_ADDRESS = IPv4Address("0.0.0.0")


def lower(balancer: LoadBalancer, resolved: Resolved) -> Fragment:
    """The balancer's nodes, an interface and a daemon each."""
    return join(*(_node(balancer, interface, resolved) for interface in resolved.interfaces_of(balancer.id)))


def lower_endpoint(endpoint: VpcEndpoint, resolved: Resolved) -> Fragment:
    """An endpoint's interface and its namespace."""
    (interface,) = resolved.interfaces_of(endpoint.id)
    router = fabric.router(fabric.subnet_of(resolved, interface.subnet).subnet)
    guest = guest_node(interface, NodeKind.GATEWAY_LOAD_BALANCER_ENDPOINT, f"{endpoint.id} ({endpoint.provider_service}, {interface.availability_zone})", resolved, forwards=forwarding_sysctls())
    part = NodePart(
        name=interface.node,
        tuns=(Tun(name=TUN, mtu_bytes=MTU_BYTES, origin=endpoint.id),),
        keeps_ttl=True,
        rules=tuple(PolicyRule(priority=FIRST_TABLE + mark, mark=mark, mask=MARK_MASK, table=FIRST_TABLE + mark, origin=endpoint.id) for mark in (INWARD, OUTWARD)),
        routes=(
            Route(destination=fabric.EVERYTHING, device=TUN, table=FIRST_TABLE + INWARD, origin=f"{endpoint.id} to {endpoint.provider_service}"),
            Route(destination=fabric.EVERYTHING, device=interface.device, via=router, onlink=True, table=FIRST_TABLE + OUTWARD, origin=f"{endpoint.id} to {endpoint.vpc_id}"),
        ),
        neighbours=(Neighbour(address=router, mac=mac_address(interface.vpc, fabric.device(interface)), device=interface.device),),
        tables=(_table(endpoint, interface),),
    )
    return join(lower_interface(interface, resolved, mtu_bytes=MTU_BYTES, fabric_mtu_bytes=fabric.VPC_MTU_BYTES), Fragment(nodes=(guest, part)))


def service_name(interface: ResolvedInterface) -> str:
    """The daemon of one node of a balancer."""
    return f"{interface.node}.{KIND}"


def appliance_service(program: GeneveAppliance, instance: str, node: str) -> ServiceSpec:
    """The inspection program on an instance's node."""
    config = appliance.Config(address=ANY_ADDRESS, signatures=program.signatures, health_check_port=program.health_check_port)
    return ServiceSpec(name=f"{instance}.{APPLIANCE_KIND}", kind=APPLIANCE_KIND, node=node, config=encode(config), origin=instance)


def _table(endpoint: VpcEndpoint, interface: ResolvedInterface) -> NftTable:
    name = endpoint.id
    clamp = NftRule(statement=f"tcp flags & (syn | rst) == syn tcp option maxseg size > {MSS_BYTES} tcp option maxseg size set {MSS_BYTES}", origin=f"{name} clamps the MSS")
    return NftTable(
        name="endpoint",
        chains=(
            NftChain(
                name="prerouting",
                hook="type filter hook prerouting priority raw; policy accept;",
                rules=(
                    NftRule(statement=f'iifname "{interface.device}" meta mark set {INWARD:#x}', origin=f"{name} to {endpoint.provider_service}"),
                    NftRule(statement=f'iifname "{TUN}" meta mark set {OUTWARD:#x}', origin=f"{name} from {endpoint.provider_service}"),
                ),
            ),
            NftChain(name="forward", hook="type filter hook forward priority filter; policy accept;", rules=(clamp,)),
            NftChain(name="input", hook="type filter hook input priority filter; policy drop;", rules=(NftRule(statement="counter drop", origin=f"{name} is no host"),)),
            NftChain(name="output", hook="type filter hook output priority filter; policy drop;", rules=(NftRule(statement="counter drop", origin=f"{name} says nothing, about sizes neither"),)),
        ),
    )


def _node(balancer: LoadBalancer, interface: ResolvedInterface, resolved: Resolved) -> Fragment:
    guest = guest_node(interface, NodeKind.LOAD_BALANCER, f"{balancer.id} ({interface.availability_zone})", resolved)
    listener, group = _listener(balancer, resolved)
    service = ServiceSpec(name=service_name(interface), kind=KIND, node=interface.node, config=encode(_config(balancer, listener, group, interface, resolved)), origin=balancer.id)
    node = NodePart(name=interface.node, tables=(_silence(balancer, group),))
    return join(lower_interface(interface, resolved), Fragment(nodes=(guest, node), services=(service,)))


def _silence(balancer: LoadBalancer, group: TargetGroup | None) -> NftTable:
    """A node hears GENEVE and the answers to its health checks, and nobody gets a word out of it besides (assumed). Without connection tracking."""
    checked = "" if group is None else f"tcp sport {group.checks_at} tcp flags & (syn | ack) != syn accept"
    heard = (NftRule(statement=f"udp dport {GENEVE_PORT} accept", origin=f"{balancer.id} GENEVE"), *((NftRule(statement=checked, origin=f"{balancer.id} health check"),) if checked else ()))
    return NftTable(
        name="gateway_load_balancer",
        chains=(
            NftChain(name="input", hook="type filter hook input priority filter; policy drop;", rules=(*heard, NftRule(statement="counter drop", origin=f"{balancer.id} speaks to its appliances only"))),
            NftChain(name="output", hook="type filter hook output priority filter; policy accept;", rules=(NftRule(statement="ip protocol icmp counter drop", origin=f"{balancer.id} speaks to its appliances only"),)),
        ),
    )


def _listener(balancer: LoadBalancer, resolved: Resolved) -> tuple[Listener | None, TargetGroup | None]:
    listener = next((each for each in resolved.topology.of(Listener) if each.load_balancer_arn == balancer.id), None)
    named = None if listener is None else next((action.target_group_arn for action in listener.default_actions if isinstance(action, Forward)), None)
    return listener, next((group for group in resolved.topology.of(TargetGroup) if group.id == named), None)


def _config(balancer: LoadBalancer, listener: Listener | None, group: TargetGroup | None, interface: ResolvedInterface, resolved: Resolved) -> Config:
    endpoints = tuple(
        Endpoint(id=endpoint.id, tun=TUN, namespace=endpoint.id, interface_number=hashed(f"eni-{endpoint.id}"), attachment_number=hashed(endpoint.id))
        for endpoint in _endpoints(balancer, interface, resolved)
    )
    if listener is None or group is None:
        return Config(address=interface.address, availability_zone=interface.availability_zone, endpoints=endpoints, appliances=())
    return Config(
        address=interface.address,
        availability_zone=interface.availability_zone,
        endpoints=endpoints,
        appliances=tuple(each for target in sorted(group.targets) for each in _appliances(group, target, resolved)),
        cross_zone=balancer.load_balancing_cross_zone_enabled,
        stickiness=Stickiness(group.flow_stickiness),
        rebalance=group.target_failover_on_unhealthy == REBALANCE,
        tcp_idle_s=float(listener.tcp_idle_timeout_seconds),
        deregistration_delay_s=float(group.deregistration_delay_timeout_seconds),
        health_check=HealthCheck(
            protocol=group.checks_by,
            port=group.checks_at,
            path=group.health_check_path,
            interval_s=float(group.checks_every_s),
            timeout_s=float(group.checks_for_s),
            healthy_threshold=group.healthy_threshold_count,
            unhealthy_threshold=group.unhealthy_threshold_count,
            matcher=group.accepted,
        ),
    )


def _endpoints(balancer: LoadBalancer, interface: ResolvedInterface, resolved: Resolved) -> list[VpcEndpoint]:
    """The endpoints that this node serves: those of its zone whose service has no balancer that comes before."""
    serving = {service.id: sorted(service.gateway_load_balancer_arns) for service in resolved.topology.of(VpcEndpointService)}
    found = []
    for endpoint in resolved.topology.of(VpcEndpoint):
        if endpoint.is_gateway_load_balancer:
            (own,) = resolved.interfaces_of(endpoint.id)
            nodes = [node for name in serving.get(endpoint.provider_service or "", ()) for node in resolved.interfaces_of(name) if node.availability_zone == own.availability_zone]
            if nodes and nodes[0].id == interface.id:
                found.append(endpoint)
    return sorted(found, key=lambda endpoint: endpoint.id)


def _appliances(group: TargetGroup, target: str, resolved: Resolved) -> list[Appliance]:
    if group.target_type == IP:
        address = IPv4Address(target)
        subnet = next((each.subnet for each in resolved.subnets if each.subnet.vpc_id == group.vpc_id and address in each.subnet.cidr_block), None)
        return [Appliance(id=target, address=address, availability_zone="" if subnet is None else subnet.availability_zone)]
    return [Appliance(id=target, address=i.address, availability_zone=i.availability_zone) for i in resolved.interfaces_of(target) if i.device == "eth0"]
