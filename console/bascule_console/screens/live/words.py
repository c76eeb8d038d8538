"""What the live screen says around its tables: banner, titles, ledger, status, empty states. Pure."""

from __future__ import annotations

from typing import Any

from bascule_console.store.nodes import agent_target, node_name
from bascule_console.store.store import Store
from bascule_console.store.vms import NODES, VMS
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.rowview import RowView
from bascule_console.widgets.units import seconds

Parts = list[tuple[str, str]]


def banner(store: Store, context: str, glyphs: Glyphs, *, read_only: bool) -> tuple[Parts, Parts]:
    """Context and what answers on the left, the mode on the right."""
    nodes = store.inventory.all(NODES)
    left: Parts = [(" bascule ", "strong"), (f" {context or 'no context'}", "")]
    if nodes:
        agents = [agent_target(node) for node in nodes]
        heard = [a for a in agents if a is not None and a.node not in store.silent]
        left.append((f"  {len(nodes)} nodes {glyphs.dot} {len(heard)} agents", ""))
    quiet = silent_nodes(store)
    if quiet:
        left.append((f"  {glyphs.bad} silent: {', '.join(quiet)}", "strong"))
    return left, [(" READ-ONLY ", "strong")] if read_only else []


def silent_nodes(store: Store) -> list[str]:
    """Nodes whose agent does not answer, or that publish none."""
    nodes = store.inventory.all(NODES)
    return [node_name(n) for n in nodes if agent_target(n) is None or node_name(n) in store.silent]


def title(name: str, view: RowView[Any], total: int, *, active: bool, glyphs: Glyphs) -> tuple[Parts, Parts]:
    """A table's title: its name and count, the filter, and on the right whether it follows or is frozen."""
    shown = len(view)
    left: Parts = [
        (f" {name} ", "strong" if active else "muted"),
        (f"{shown}" if shown == total else f"{shown} of {total}", ""),
    ]
    if view.filter.text:
        left.append((f"  /{view.filter.text}", "busy"))
    if view.frozen:
        return left, [(f"{glyphs.busy} frozen, +{view.newer()} newer, {view.lost_since()} lost ", "busy")]
    return left, [("following ", "muted")] if view.follow else []


def failed(store: Store, glyphs: Glyphs) -> Parts:
    """How many guests are dead: their rows may be scrolled away."""
    dead = sum(row.failed for row in store.vms.rows().values())
    return [(f"  {glyphs.bad} {dead} failed", "bad")] if dead else []


def ledger(store: Store, glyphs: Glyphs) -> Parts:
    """seen N = sent N + lost N, or, when it does not add up, by how much not."""
    if not store.flows.heard:
        return [(" no ledger yet", "muted")]
    book = store.flows.ledger
    left: Parts = [
        (f" seen {book.seen} = sent {book.sent} + ", ""),
        (f"lost {book.lost_total}", "bad" if book.lost_total else ""),
    ]
    causes = ", ".join(f"{cause} {n}" for cause, n in sorted(book.lost.items()) if n)
    if causes:
        left.append((f" ({causes})", "muted"))
    if not book.balanced:
        left.append((f"  {glyphs.bad} {book.missing} unaccounted", "bad"))
    return left


def status(store: Store, tick_ms: float, now_ns: int) -> Parts:
    """What a tick costs, how old the oldest node's news are, what was lost."""
    live = [at for node, at in store.heard_at_ns.items() if node not in store.silent]
    lag = seconds(max(0.0, (now_ns - min(live)) / 1e9)) if live else "-"
    return [(f"tick {tick_ms:.0f} ms  lag {lag}  lost {store.flows.lost} ", "muted")]


def no_vms(store: Store, problem: str, *, connected: bool) -> list[str]:
    """Why there is no VM row, and what to do; empty when there are rows."""
    if problem:
        return [*problem.split("; ")]
    trouble = store.inventory.problems()
    if trouble:
        return ["The cluster does not answer everything:", *(f"{kind}: {why}" for kind, why in trouble.items())]
    if not connected or not store.inventory.synced(VMS):
        return ["Connecting …"]
    if not store.inventory.all(VMS):
        return ["This cluster has no VirtualMachine.", "Next: bascule apply -f examples/dc1.yaml"]
    return ["No VM passes the filter.", "Next: press / and Enter on an empty line"]


def no_flows(store: Store) -> list[str]:
    """Why there is no flow row, and what to do."""
    nodes = store.inventory.all(NODES)
    if not nodes:
        return []
    published = [agent_target(node) for node in nodes]
    if not any(published):
        names = ", ".join(node_name(node) for node in nodes)
        return [f"No agent: {names} publish none.", "Next: run bascule-agent on every node"]
    if store.silent and len(store.silent) == sum(a is not None for a in published):
        node, why = next(iter(store.silent.items()))
        return [f"No agent answers. {node}: {why}", "Next: bascule nodes list"]
    if not store.flows.rows():
        return ["No flow yet: no port has seen a frame.", "Next: bascule nodes list -o wide shows the ports"]
    return ["No flow passes the filter.", "Next: press / and Enter on an empty line"]
