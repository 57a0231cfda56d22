"""A plan as text for people to read in a diff: every node with its links, routes and services, without MAC addresses and rulesets."""

from __future__ import annotations

from testbed.plan import MAIN_TABLE, Interface, Node, Plan, Route


def plan_text(plan: Plan) -> str:
    """One paragraph a node, one line a fact."""
    return "\n".join(line for node in plan.nodes for line in (*_node(plan, node), ""))


def _node(plan: Plan, node: Node) -> list[str]:
    lines = [f"{node.name}: {node.kind} in {node.city}, {node.label!r} of {node.origin}"]
    lines += [f"  lo {address}" for address in node.loopback]
    for link in plan.links:
        for end, other in ((link.a, link.b), (link.b, link.a)):
            if end.node == node.name:
                lines.append(f"  {_interface(end)} -> {other.node}:{other.name}" + (f" {link.wire.delay_ms} ms" if link.wire else ""))
    lines += [f"  rule {rule.priority}: mark {rule.mark:#x}/{rule.mask:#x} -> table {rule.table} [{rule.origin}]" for rule in node.rules]
    lines += [f"  {_route(route)}" for route in node.routes]
    lines += [f"  neighbour {neighbour.address} dev {neighbour.device}" for neighbour in node.neighbours]
    if node.sysctls:
        lines.append(f"  sysctl {' '.join(f'{key}={value}' for key, value in node.sysctls)}")
    if node.name_servers:
        lines.append(f"  asks {', '.join(map(str, node.name_servers))}")
    for service in plan.services:
        if service.node == node.name:
            lines.append(f"  runs {service.name}" + (f" after {', '.join(service.after)}" if service.after else "") + (" unprivileged" if service.unprivileged else ""))
            lines += [f"    certificate {', '.join(certificate.host_names)}" for certificate in service.certificates]
    return lines


def _interface(end: Interface) -> str:
    return " ".join((end.name, *map(str, end.addresses), f"mtu {end.mtu_bytes}"))


def _route(route: Route) -> str:
    words = ["route", str(route.destination)]
    if route.type != "unicast":
        words.append(route.type)
    if route.via is not None:
        words.append(f"via {route.via}")
    if route.device is not None:
        words.append(f"dev {route.device}")
    if route.table != MAIN_TABLE:
        words.append(f"table {route.table}")
    return f"{' '.join(words)} [{route.origin}]"
