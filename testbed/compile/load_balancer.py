"""An Application Load Balancer becomes one namespace with one daemon in each of its subnets; every node serves all targets (cross-zone).

Source: ELB user guide, "How Elastic Load Balancing works", "Listeners", "Health checks for ALB target groups" (documented).
"""

from __future__ import annotations

from services.alb.config import Attributes, Config, Desync, ForwardedFor
from services.common.config import encode
from testbed.compile import fabric, gateway_load_balancer, network_load_balancer, shield_protection
from testbed.compile.fragment import Fragment, join
from testbed.compile.instance import service_name as instance_service_name
from testbed.compile.listener import listener_config
from testbed.compile.load_balancer_keys import cookie_key
from testbed.compile.network_interface import guest_node
from testbed.compile.network_interface import lower as lower_interface
from testbed.compile.places import region_of_interface
from testbed.compile.target_group import target_group_config
from testbed.compile.tls import TRUST_FILE, certificate
from testbed.compile.vpc import resolver_addresses_of
from testbed.compile.zone_health import zone_health_file
from testbed.model.instance import Instance, WebApplication
from testbed.model.listener import Listener, target_groups_of
from testbed.model.load_balancer import GATEWAY, NETWORK, LoadBalancer
from testbed.model.target_group import TargetGroup
from testbed.plan import NodeKind, ServiceSpec
from testbed.resolve.names import load_balancer_resource, target_group_arn
from testbed.resolve.resolved import Resolved, ResolvedInterface

KIND = "alb"


def lower(balancer: LoadBalancer, resolved: Resolved) -> Fragment:
    """The nodes of the balancer, an interface and a daemon each; a network balancer has the kernel in place of the daemon, a gateway balancer another one."""
    if balancer.type == NETWORK:
        return network_load_balancer.lower(balancer, resolved)
    if balancer.type == GATEWAY:
        return gateway_load_balancer.lower(balancer, resolved)
    return join(*(_node(balancer, interface, resolved) for interface in resolved.interfaces_of(balancer.id)))


def service_name(interface: ResolvedInterface) -> str:
    """The service of one node of a balancer."""
    return f"{interface.node}.{KIND}"


def _node(balancer: LoadBalancer, interface: ResolvedInterface, resolved: Resolved) -> Fragment:
    guest = guest_node(interface, NodeKind.LOAD_BALANCER, f"{balancer.id} ({interface.availability_zone})", resolved)
    return join(lower_interface(interface, resolved), Fragment(nodes=(guest,), services=(_service(balancer, interface, resolved),)))


def _service(balancer: LoadBalancer, interface: ResolvedInterface, resolved: Resolved) -> ServiceSpec:
    name, account, region = service_name(interface), resolved.topology.account, region_of_interface(resolved, interface)
    listeners = tuple(listener for listener in resolved.topology.of(Listener) if listener.load_balancer_arn == balancer.id)
    secure = tuple(listener for listener in listeners if listener.protocol == "HTTPS")
    hosts = tuple((listener.id, host) for listener in secure for host in listener.certificates)
    certificates = tuple((listener, certificate(name, number, (host,))) for number, (listener, host) in enumerate(hosts))
    groups = _target_groups(listeners, resolved)
    config = Config(
        name=interface.node,
        load_balancer=balancer.id,
        dns_name=dict(resolved.load_balancer_names)[balancer.id],
        address=interface.address,
        availability_zone=interface.availability_zone,
        resource=load_balancer_resource(account, region.id, balancer.id),
        listeners=tuple(
            listener_config(listener, interface.address, tuple(issued for owner, issued in certificates if owner == listener.id), account, region.id)
            for listener in listeners
        ),
        target_groups=tuple(target_group_config(group, resolved, target_group_arn(account, region.id, group.id)) for group in groups),
        workers=balancer.workers_per_node,
        idle_timeout_s=float(balancer.idle_timeout_seconds),
        attributes=_attributes(balancer),
        cookie_key=cookie_key(balancer),
        arn=f"arn:aws:elasticloadbalancing:{region.id}:{account}:loadbalancer/{load_balancer_resource(account, region.id, balancer.id)}",
        resolvers=resolver_addresses_of(fabric.vpc_of(resolved, interface.vpc))[:1],
        zone_health_file=zone_health_file(interface.node),
        trust_file=TRUST_FILE,
        rate_rule=shield_protection.rate_rule(balancer.id, resolved),
    )
    targets = {target for group in groups for target in group.targets}
    after = tuple(instance_service_name(instance) for instance in resolved.topology.of(Instance) if instance.id in targets and isinstance(instance.user_data, WebApplication))
    return ServiceSpec(name=name, kind=KIND, node=interface.node, config=encode(config), after=after, certificates=tuple(issued for _, issued in certificates), origin=balancer.id)


def _attributes(balancer: LoadBalancer) -> Attributes:
    return Attributes(
        forwarded_for=ForwardedFor(balancer.routing_http_xff_header_processing_mode),
        client_port=balancer.routing_http_xff_client_port_enabled,
        preserve_host=balancer.routing_http_preserve_host_header_enabled,
        drop_invalid_headers=balancer.routing_http_drop_invalid_header_fields_enabled,
        tls_headers=balancer.routing_http_x_amzn_tls_version_and_cipher_suite_enabled,
        desync=Desync(balancer.routing_http_desync_mitigation_mode),
        client_keep_alive_s=float(balancer.client_keep_alive_seconds),
        access_logs=balancer.access_logs_s3_enabled,
    )


def _target_groups(listeners: tuple[Listener, ...], resolved: Resolved) -> tuple[TargetGroup, ...]:
    """The groups to which some rule of the listeners forwards."""
    actions = [action for listener in listeners for action in (*listener.default_actions, *(a for rule in listener.rules for a in rule.actions))]
    named = {each.target_group_arn for action in actions for each in target_groups_of(action)}
    return tuple(group for group in resolved.topology.of(TargetGroup) if group.id in named)
