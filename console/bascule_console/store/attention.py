"""What on the overview wants an eye: one line each, the worst first, with the screen that shows more. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bascule_console.store.networks import NOT_READY
from bascule_console.store.overview import ANSWERS, Overview

RANKS = {"error": 0, "moving": 1, "warning": 2, "info": 3}
_MODES = {
    "Network": "networks",
    "IPPool": "pools",
    "NetworkAttachmentDefinition": "nads",
    "VirtualMachine": "vms",
    "Node": "nodes",
}


@dataclass(frozen=True, slots=True)
class Line:
    """`severity` is a key of RANKS; `mode` and `key` name the screen and its row, "" where none shows more."""

    severity: str
    about: str
    message: str
    fix: str
    mode: str
    key: str


def attention(view: Overview, problems: Mapping[str, str]) -> list[Line]:
    """The lines; `problems` are kinds that the cluster does not let us read, with the reason."""
    lines = [Line("error", kind, why, "", "", "") for kind, why in sorted(problems.items())]
    lines += [
        Line("error", f"{network.name} on {node.node}", node.reason, "", "networks", network.name)
        for network in view.networks
        for node in network.nodes
        if node.state == NOT_READY
    ]
    for agent in view.agents:
        if agent.state != ANSWERS:
            lines.append(Line("error", agent.node, f"agent {agent.state}: {agent.why}", "", "nodes", agent.node))
    for move in view.moves:
        words = f"{move.phase}, from {move.source or '?'} to {move.target or '?'}"
        lines.append(Line("moving", f"{move.namespace}/{move.vm}", words, "", "moves", f"{move.namespace}/{move.vm}"))
    if view.ledger is not None:
        lines += _losses(view)
    for finding in view.findings or ():
        kind, _, key = finding.object.partition("/")
        words = f"{finding.field}: {finding.message}" if finding.field else finding.message
        lines.append(Line(finding.severity, finding.object, words, finding.fix, _MODES.get(kind, ""), key))
    return sorted(lines, key=lambda line: RANKS[line.severity])


def _losses(view: Overview) -> list[Line]:
    assert view.ledger is not None
    lines = [
        Line("warning", "flows", f"{frames} frames lost by {cause}", "", "flows", "")
        for cause, frames in sorted(view.ledger.lost.items())
        if frames
    ]
    if not view.ledger.balanced:
        lines.append(Line("error", "flows", f"{view.ledger.missing} frames unaccounted for", "", "flows", ""))
    return lines


def summary(view: Overview) -> str:
    """The numbers in one line."""
    vms, agents = view.vms, view.agents
    answering = sum(agent.state == ANSWERS for agent in agents)
    parts = [
        f"{vms['running']} of {vms['total']} VMs running",
        f"{answering} of {len(agents)} agents answer",
        f"{len(view.moves)} moves in flight",
    ]
    if vms["failed"]:
        parts.insert(1, f"{vms['failed']} failed")
    if view.ledger is not None:
        parts.append(f"{view.ledger.seen} frames seen, {view.ledger.lost_total} lost")
    return ", ".join(parts)
