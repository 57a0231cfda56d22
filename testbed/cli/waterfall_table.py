"""A waterfall drawn for a terminal: one line a span, a bar where it lies in time, and its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from testbed.observe.waterfall import Span, Waterfall

BAR_WIDTH = 28
STYLES = {
    "DNS": "yellow", "resolver": "yellow", "authority": "yellow", "TCP": "cyan", "TLS": "magenta", "edge": "bright_red", "gateway": "blue", "origin": "blue", "ALB": "green",
    "rule": "green", "verdicts": "bright_black", "target": "green", "app": "bright_green", "SQL": "bright_blue", "answer": "white", "failed": "red",
}


def show(waterfall: Waterfall, screen: Console, *, evidence: bool = True) -> None:
    """Print the waterfall; with `evidence` each span's own proof."""
    from rich.markup import escape
    from rich.table import Table

    status = f"[bold]{waterfall.status or 'failed'}[/]"
    cache = f", {waterfall.result.upper()} at {waterfall.pop}" if waterfall.result else ""
    screen.print(f"[bold]{waterfall.method} {escape(waterfall.url)}[/] from {waterfall.node}: {status}{cache}, {waterfall.total_ms:.1f} ms, {waterfall.gateway_packets} packets across internet gateways")
    table = Table(box=None, pad_edge=False, show_header=True, header_style="dim")
    table.add_column("at ms", justify="right")
    table.add_column("took", justify="right")
    table.add_column("", width=BAR_WIDTH, no_wrap=True)
    table.add_column("layer", no_wrap=True)
    table.add_column("what happened", ratio=3, overflow="fold")
    if evidence:
        table.add_column("evidence", ratio=2, overflow="fold", style="dim")
    total_ms = max(waterfall.total_ms, 0.001)
    for span in waterfall.spans:
        style = STYLES.get(span.layer, "white")
        took = "" if span.duration_ms is None else f"{span.duration_ms:.1f}"
        row = (f"{span.start_ms:.1f}", took, f"[{style}]{bar(span, total_ms)}[/]", f"[{style}]{'  ' * span.depth}{span.layer}[/]", f"{escape(span.what)} [dim]{escape(span.node)}[/]")
        table.add_row(*row, *((escape("; ".join(span.evidence)),) if evidence else ()))
    screen.print(table)


def bar(span: Span, total_ms: float, width: int = BAR_WIDTH) -> str:
    """The span's place in time: at least one cell, a dot for a moment."""
    first = min(width - 1, max(0, int(span.start_ms / total_ms * width)))
    if span.duration_ms is None:
        return " " * first + "·"
    cells = max(1, round(span.duration_ms / total_ms * width))
    return " " * first + "█" * min(cells, width - first)
