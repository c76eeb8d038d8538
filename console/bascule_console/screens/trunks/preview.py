"""How a Network's hostConfig applies before and after a change, in lines. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bascule.resources.node import Node
from bascule_console.store.hostconfig import Entry, entries, left_out, turns
from bascule_console.widgets.detail import fact
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts

NAMES_SHOWN = 6
NOTHING = "not selected"


def preview(before: Mapping[str, Any], after: Mapping[str, Any], nodes: Sequence[Node], glyphs: Glyphs) -> list[Parts]:
    """The entries in the order in which they are tried, who gets which, and whose trunk becomes another."""
    lines: list[Parts] = [[("hostConfig as it will apply: the first entry that selects a node is its own", "strong")]]
    lines += [_entry(entry) for entry in entries(after, nodes, before)]
    if rest := left_out(after, nodes):
        lines.append(fact("no entry", f"{names(rest)}: not selected, no trunk", "muted"))
    changed = turns(before, after, nodes)
    for turn in changed:
        lines.append(fact(turn.node, f"{turn.before or NOTHING} {glyphs.arrow} {turn.after or NOTHING}", "busy"))
    if not changed:
        lines.append(fact("no change", "every node has that trunk already", "muted"))
    return lines


def _entry(entry: Entry) -> Parts:
    who = names(entry.nodes) if entry.nodes else "nobody"
    if entry.shadowed:
        who += f"; earlier entries take {names(entry.shadowed)}"
    words = f"{entry.selector}: {entry.trunk}, for {who}"
    tone = "busy" if entry.new else "" if entry.nodes else "muted"
    return fact(f"[{entry.index}]{' new' if entry.new else ''}", words, tone)


def names(found: Sequence[str]) -> str:
    """Some of the names, and how many more."""
    more = len(found) - NAMES_SHOWN
    return ", ".join(found[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
