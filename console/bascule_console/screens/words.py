"""What every screen says around its body: banner, crumbs, ledger, status. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bascule_console.store.nodes import agent_target, node_name
from bascule_console.store.store import Store
from bascule_console.store.vms import NODES
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.units import seconds

CRUMBS = 4


def banner(store: Store, context: str, glyphs: Glyphs, *, read_only: bool, protected: bool) -> tuple[Parts, Parts]:
    """Context and what answers on the left, how careful one must be on the right."""
    nodes = store.inventory.all(NODES)
    left: Parts = [(" bascule ", "strong"), (f" {context or 'no context'}", "")]
    if nodes:
        agents = [agent_target(node) for node in nodes]
        heard = [a for a in agents if a is not None and a.node not in store.silent]
        left.append((f"  {len(nodes)} nodes {glyphs.dot} {len(heard)} agents", ""))
    quiet = silent_nodes(store)
    if quiet:
        left.append((f"  {glyphs.bad} silent: {', '.join(quiet)}", "strong"))
    if store.inventory.silent():
        left.append((f"  {glyphs.bad} API silent", "strong"))
    marks = [*(["PROD"] if protected else []), *(["READ-ONLY"] if read_only else [])]
    return left, [(f" {' '.join(marks)} ", "strong")] if marks else []


def crumbs(trail: Sequence[str], glyphs: Glyphs) -> tuple[Parts, Parts]:
    """Where one is and how one came; the last is here."""
    *before, here = trail if len(trail) <= CRUMBS else (glyphs.more, *trail[-CRUMBS:])
    left: Parts = [(" ", ""), *((f"{name} {glyphs.into} ", "muted") for name in before), (here, "strong")]
    return left, [("esc back ", "muted")] if before else []


def silent_nodes(store: Store) -> list[str]:
    """Nodes whose agent does not answer, or that publish none."""
    nodes = store.inventory.all(NODES)
    return [node_name(n) for n in nodes if agent_target(n) is None or node_name(n) in store.silent]


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


def status(store: Store, tick_ms: float, now_ns: int, *, frozen: bool, glyphs: Glyphs) -> Parts:
    """What a tick costs, how old the oldest node's news are, what was lost, whether the view stands still."""
    live = [at for node, at in store.heard_at_ns.items() if node not in store.silent]
    lag = seconds(max(0.0, (now_ns - min(live)) / 1e9)) if live else "-"
    held: Parts = [(f"{glyphs.busy} frozen  ", "busy")] if frozen else []
    return [*held, (f"tick {tick_ms:.0f} ms  lag {lag}  lost {store.flows.lost} ", "muted")]
