"""What the live screen says around its tables: failed guests, empty states. Pure."""

from __future__ import annotations

from bascule_console.store.nodes import agent_target, node_name
from bascule_console.store.store import Store
from bascule_console.store.vms import NODES, VMS
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts


def failed(store: Store, glyphs: Glyphs) -> Parts:
    """How many guests are dead: their rows may be scrolled away."""
    dead = sum(row.failed for row in store.vms.rows().values())
    return [(f"  {glyphs.bad} {dead} failed", "bad")] if dead else []


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
