"""Points as SVG, by hand: one colour for each series, and the spread of each written beside it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 190, 50, 50
COLOURS = ("#1f6feb", "#d1590b", "#2da44e", "#8250df")
STEPS = 5

Points = Sequence[tuple[float, float]]


def scatter(series: Mapping[str, tuple[Points, str]], *, title: str, x: str, y: str) -> str:
    """The picture; `series` by name: points, and words about them for the legend."""
    everything = [point for points, _ in series.values() for point in points]
    last_x, step_y = max(at for at, _ in everything), _round(statistics.quantiles([value for _, value in everything], n=50)[-1] / STEPS)
    highest, step_x = step_y * STEPS, _round(last_x / STEPS)

    def place(at: float, value: float) -> tuple[float, float]:
        """What is above the picture is at its upper edge."""
        return LEFT + (WIDTH - LEFT - RIGHT) * at / last_x, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * min(value, highest) / highest

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="24" font-size="15">{title}</text>',
        f'<text x="{LEFT}" y="42" fill="#666">{y}</text>',
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 12}" text-anchor="end" fill="#666">{x}</text>',
    ]
    for step in range(STEPS + 1):
        across, up = place(step_x * step, 0)[0], place(0, step_y * step)[1]
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up:.0f}" y2="{up:.0f}" stroke="#e4e4e4"/><text x="{LEFT - 6}" y="{up + 4:.0f}" text-anchor="end">{step_y * step:g}</text>')
        if step_x * step <= last_x:
            parts.append(f'<text x="{across:.0f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step_x * step:g}</text>')
    for number, (name, (points, words)) in enumerate(series.items()):
        colour, top = COLOURS[number % len(COLOURS)], TOP + 20 + 70 * number
        parts += [f'<circle cx="{place(*point)[0]:.1f}" cy="{place(*point)[1]:.1f}" r="1.6" fill="{colour}" fill-opacity="0.6"/>' for point in points]
        parts.append(f'<circle cx="{WIDTH - RIGHT + 18}" cy="{top - 4}" r="5" fill="{colour}"/><text x="{WIDTH - RIGHT + 30}" y="{top}" font-weight="bold">{name}</text>')
        parts += [f'<text x="{WIDTH - RIGHT + 30}" y="{top + 16 * (row + 1)}" fill="#444">{line}</text>' for row, line in enumerate(words.splitlines())]
    return "\n".join((*parts, "</svg>")) + "\n"


def _round(step: float) -> float:
    """The next of 1, 2, 2.5, 5 and 10, with any power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * digit for digit in (1, 2, 2.5, 5, 10) if power * digit >= step * (1 - 1e-9))
