"""A row of numbers as a row of bars, one cell each. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bascule_console.widgets.glyphs import ASCII, Glyphs

BARS, PLAIN = "▁▂▃▄▅▆▇█", ".:-=+*#@"


def spark(values: Sequence[float], cells: int, glyphs: Glyphs) -> str:
    """`values`, oldest first, in `cells` bars scaled to the highest; a cell without traffic is a blank."""
    if not values:
        return " " * cells
    at = [n * len(values) // cells for n in range(cells + 1)]
    means = [_mean(values[start : max(end, start + 1)]) for start, end in zip(at, at[1:], strict=False)]
    most, bars = max(means), PLAIN if glyphs is ASCII else BARS
    if most <= 0:
        return " " * cells
    return "".join(bars[min(7, int(mean / most * 8))] if mean > 0 else " " for mean in means)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
