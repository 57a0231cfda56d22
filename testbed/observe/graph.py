"""A plan as a drawing: Graphviz dot, Mermaid, or SVG by way of Graphviz. Nodes are boxed by VPC and subnet, or by city."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.plan import Interface, Link, Node, NodeKind, Plan

COLOURS = {
    NodeKind.ACCELERATOR: "#ffcc80",
    NodeKind.CITY: "#eceff1", NodeKind.DATABASE: "#d1c4e9", NodeKind.DIRECT_CONNECT: "#ffccbc", NodeKind.EDGE_LOCATION: "#ffe0b2", NodeKind.FABRIC: "#f5f5f5", NodeKind.GATEWAY_ENDPOINT: "#ffe082", NodeKind.INSTANCE: "#c8e6c9",
    NodeKind.GATEWAY_LOAD_BALANCER_ENDPOINT: "#ffe082", NodeKind.INTERFACE_ENDPOINT: "#ffe082", NodeKind.INTERNET_GATEWAY: "#b3e5fc", NodeKind.LOAD_BALANCER: "#b2dfdb", NodeKind.NAME_SERVER: "#fff9c4", NodeKind.NAT_GATEWAY: "#b3e5fc", NodeKind.NETWORK_FIREWALL: "#ffab91", NodeKind.NETWORK_INTERFACE: "#dcedc8",
    NodeKind.RESOLVER: "#fff9c4", NodeKind.RESOLVER_ENDPOINT: "#ffe082", NodeKind.SERVICES_PLANE: "#ffecb3", NodeKind.TRANSIT_GATEWAY: "#b39ddb", NodeKind.USER: "#f8bbd0",
    NodeKind.CUSTOMER_GATEWAY: "#d7ccc8", NodeKind.ON_PREMISES_HOST: "#efebe9", NodeKind.VPN_ENDPOINT: "#b3e5fc", NodeKind.VPN_GATEWAY: "#b3e5fc",
}
HAS_ADDRESSES_IN_SUBNETS = frozenset((NodeKind.INSTANCE, NodeKind.DATABASE, NodeKind.LOAD_BALANCER, NodeKind.NAT_GATEWAY, NodeKind.NETWORK_FIREWALL, NodeKind.GATEWAY_LOAD_BALANCER_ENDPOINT, NodeKind.INTERFACE_ENDPOINT, NodeKind.RESOLVER_ENDPOINT))


class DrawingError(Exception):
    """Graphviz is missing or refused; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A frame around nodes, and frames inside it."""

    title: str
    nodes: tuple[Node, ...]
    boxes: tuple[Box, ...] = ()


def boxes(plan: Plan) -> tuple[Box, ...]:
    """The frames of a plan, by title: one for each VPC or city, and in it one for each subnet that its nodes have addresses in."""
    groups: dict[str, list[Node]] = {}
    for node in plan.nodes:
        groups.setdefault(node.group or node.city or "", []).append(node)
    return tuple(_box(title, nodes, plan) for title, nodes in sorted(groups.items()))


def _box(title: str, nodes: list[Node], plan: Plan) -> Box:
    subnets: dict[str, list[Node]] = {}
    loose: list[Node] = []
    for node in sorted(nodes, key=lambda node: node.name):
        own = _subnet(node, plan) if any(other.kind is NodeKind.FABRIC for other in nodes) else None
        (loose if own is None else subnets.setdefault(own, [])).append(node)
    return Box(title=title, nodes=tuple(loose), boxes=tuple(Box(title=name, nodes=tuple(members)) for name, members in sorted(subnets.items())))


def _subnet(node: Node, plan: Plan) -> str | None:
    if node.kind not in HAS_ADDRESSES_IN_SUBNETS:
        return None
    networks = [str(address.network) for interface in _interfaces(plan, node.name) for address in interface.addresses if address.network.prefixlen < 31]
    return networks[0] if networks else None


def _interfaces(plan: Plan, node: str) -> Iterator[Interface]:
    for link in plan.links:
        for interface in (link.a, link.b):
            if interface.node == node:
                yield interface


def _label(node: Node, plan: Plan) -> tuple[str, ...]:
    addresses = [str(address.ip) for interface in _interfaces(plan, node.name) for address in interface.addresses if not address.ip.is_link_local]
    addresses += [str(address.ip) for address in node.loopback]
    shown = addresses[:2] + (["…"] if len(addresses) > 2 else [])
    name = (node.label or node.name) if node.label.startswith(node.name) or not node.label else f"{node.name}: {node.label}"
    return (name, node.kind.value, *([] if node.kind in (NodeKind.FABRIC, NodeKind.CITY) else shown))


def _wire(link: Link) -> str:
    if link.wire is None or not (link.wire.delay_ms or link.wire.loss_percent or link.wire.rate_mbit):
        return ""
    parts = (
        f"{link.wire.delay_ms:.1f} ms" if link.wire.delay_ms else "", f"{link.wire.loss_percent:g} % loss" if link.wire.loss_percent else "", f"{link.wire.rate_mbit:g} Mbit/s" if link.wire.rate_mbit else "",
    )
    return ", ".join(part for part in parts if part)


def dot(plan: Plan) -> str:
    """The plan in Graphviz's language."""
    lines = [
        f"graph {_quoted(plan.name)} {{", "  rankdir=LR; fontname=Helvetica; splines=true; ranksep=1.1;", f"  label={_quoted(plan.name)}; labelloc=t; fontsize=20;",
        '  node [shape=box, style="rounded,filled", fontname=Helvetica, fontsize=11];', "  edge [fontname=Helvetica, fontsize=9, color=\"#607d8b\"];",
    ]
    for number, box in enumerate(boxes(plan)):
        lines += _dot_box(box, plan, f"{number}", "  ")
    for link in plan.links:
        wire = _wire(link)
        lines.append(f"  {_quoted(link.a.node)} -- {_quoted(link.b.node)}{f' [label={_quoted(wire)}]' if wire else ''};")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_box(box: Box, plan: Plan, number: str, indent: str) -> Iterator[str]:
    inner = f"{indent}  " if box.title else indent
    if box.title:
        yield f"{indent}subgraph cluster_{number} {{"
        yield f'{inner}label={_quoted(box.title)}; fontsize=13; style=rounded; color="#90a4ae";'
    for node in box.nodes:
        label = "\\n".join(part.replace("\\", "\\\\").replace('"', '\\"') for part in _label(node, plan))
        yield f'{inner}{_quoted(node.name)} [label="{label}", fillcolor="{COLOURS[node.kind]}"];'
    for index, child in enumerate(box.boxes):
        yield from _dot_box(child, plan, f"{number}_{index}", inner)
    if box.title:
        yield f"{indent}}}"


def mermaid(plan: Plan) -> str:
    """The plan as a Mermaid flow chart."""
    ids = {node.name: f"n{number}" for number, node in enumerate(plan.nodes)}
    lines = ["flowchart LR"]
    for number, box in enumerate(boxes(plan)):
        lines += _mermaid_box(box, plan, ids, f"g{number}", "  ")
    for link in plan.links:
        wire = _wire(link)
        lines.append(f"  {ids[link.a.node]} ---{f'|{wire}|' if wire else ''} {ids[link.b.node]}")
    return "\n".join(lines) + "\n"


def _mermaid_box(box: Box, plan: Plan, ids: dict[str, str], name: str, indent: str) -> Iterator[str]:
    inner = f"{indent}  " if box.title else indent
    if box.title:
        yield f'{indent}subgraph {name}["{_escaped(box.title)}"]'
    for node in box.nodes:
        yield f'{inner}{ids[node.name]}["{"<br>".join(map(_escaped, _label(node, plan)))}"]'
    for index, child in enumerate(box.boxes):
        yield from _mermaid_box(child, plan, ids, f"{name}_{index}", inner)
    if box.title:
        yield f"{indent}end"


def drawn(plan: Plan, form: str = "svg") -> bytes:
    """The plan as ``svg`` or ``png``, drawn by Graphviz. Raises `DrawingError`."""
    try:
        done = subprocess.run(("dot", f"-T{form}"), input=dot(plan).encode(), capture_output=True, timeout=60, check=False)
    except FileNotFoundError as error:
        raise DrawingError(f"drawing {form.upper()} needs Graphviz, which is not installed (remedy: apt install graphviz, or -o mermaid)") from error
    except subprocess.TimeoutExpired as error:
        raise DrawingError("Graphviz took longer than a minute (remedy: -o dot, and draw it with another layout, as sfdp)") from error
    if done.returncode != 0:
        raise DrawingError(f"Graphviz: {done.stderr.decode().strip()}")
    return done.stdout


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
