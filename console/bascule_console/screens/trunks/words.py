"""What is said about trunks: one candidate, the proof in short, the doctor's findings, why a table is empty. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bascule.doctor import Finding
from bascule.trunks.proof import FAILED, PROVEN, UNPROVEN
from bascule_console.screens.nodes.columns import ranges
from bascule_console.screens.trunks.columns import speed, use_tone, use_words
from bascule_console.store.hostconfig import Entry
from bascule_console.store.trunks import Asked, verdicts
from bascule_console.widgets.detail import fact, heading
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.units import seconds

Row = Mapping[str, Any]
SILENT = "silent"
TONES = {PROVEN: "good", UNPROVEN: "busy", FAILED: "bad", SILENT: "bad"}
FINDINGS_SHOWN = 3


def symbol(verdict: str, glyphs: Glyphs) -> str:
    """A verdict's symbol."""
    symbols = {PROVEN: glyphs.good, UNPROVEN: glyphs.unknown, FAILED: glyphs.bad, SILENT: glyphs.bad}
    return symbols.get(verdict, glyphs.off)


def ago(at_ns: int, now_ns: int) -> str:
    """How long ago, in words."""
    age = int((now_ns - at_ns) / 1e9)
    if age < 1:
        return "just now"
    return f"{age} s ago" if age < 90 else f"{seconds(age)} ago"


def about(row: Row, chain: Sequence[tuple[str, Entry]], glyphs: Glyphs) -> list[Parts]:
    """One candidate; `chain` are the hostConfig entries that its node gets, by Network."""
    if not row["name"]:
        return [heading(str(row["node"])), fact("agent", f"{glyphs.bad} {row['problem']}", "bad"), *_chain(chain)]
    up = row["carrier"]
    link = f"{glyphs.good} carrier" if up else f"{glyphs.bad} no carrier"
    fast = speed(row)
    facts = [link, f"{fast[:-1]} {fast[-1]}b/s" if row["speed"] else "speed not told", f"MTU {row['mtu']}", row["mac"]]
    if row["member_of"]:
        facts.append(f"port of {row['member_of']}")
    route = [fact("route", f"{glyphs.busy} the node's default route leaves here: its name has to be typed", "busy")]
    tagged = ranges(list(row["vlans"]))
    return [
        heading(f"{row['node']} {row['name']}"),
        fact("link", ", ".join(facts), "" if up else "bad"),
        fact("tagged", f"VLANs {tagged} came in while listening" if tagged else "no tagged frame while listening"),
        *(route if row["default_route"] else [fact("use", use_words(row, glyphs), use_tone(row))]),
        *_chain(chain),
    ]


def _chain(chain: Sequence[tuple[str, Entry]]) -> list[Parts]:
    if not chain:
        return [fact("hostConfig", "no Network selects this node", "muted")]
    return [
        fact("hostConfig", f"{network}[{entry.index}] {entry.selector}: {entry.trunk}, first match wins")
        for network, entry in chain
    ]


def proof_summary(proof: Asked, now_ns: int, *, proving: bool, glyphs: Glyphs) -> Parts:
    """The proof in one line, with its age."""
    if proving:
        return [(f"  {glyphs.busy} proving", "busy")]
    if proof.problem:
        return [(f"  {glyphs.bad} not proven: {proof.problem}", "bad")]
    if not proof.at_ns:
        return [("  not proven yet: p", "muted")]
    counts = verdicts(proof.rows)
    parts: Parts = [
        (f"  {symbol(verdict, glyphs)} {counts[verdict]} {verdict}", TONES[verdict])
        for verdict in (PROVEN, UNPROVEN, FAILED)
        if counts.get(verdict)
    ]
    if proof.quiet:
        parts.append((f"  {glyphs.bad} {len(proof.quiet)} silent", "bad"))
    if not parts:
        parts.append(("  no VLAN to prove", "muted"))
    return [(f"  proof {ago(proof.at_ns, now_ns)}", "muted"), *parts]


def foot(findings: Iterable[Finding], proof: Asked, glyphs: Glyphs) -> list[Parts]:
    """The doctor's findings about trunks, the worst first; what is only information is counted."""
    everything = list(findings)
    found = [one for one in everything if one.severity != "info"]
    informed = len(everything) - len(found)
    if not found:
        known = "nothing wrong with trunks" if proof.at_ns else "nothing wrong with trunks; nothing was proven yet"
        noted = f"; {informed} notes: bascule doctor" if informed else ""
        return [fact("doctor", f"{glyphs.good if proof.at_ns else glyphs.off} {known}{noted}", "muted")]
    lines = [
        fact("doctor" if at == 0 else "", f"{_mark(one, glyphs)} {one.object}: {one.message}", _tone(one))
        for at, one in enumerate(found[:FINDINGS_SHOWN])
    ]
    more = len(found) - FINDINGS_SHOWN + informed
    return [*lines, fact("next", found[0].fix + (f"; {more} more: bascule doctor" if more > 0 else ""), "muted")]


def _tone(finding: Finding) -> str:
    return {"error": "bad", "warning": "busy"}.get(finding.severity, "muted")


def _mark(finding: Finding, glyphs: Glyphs) -> str:
    return {"error": glyphs.bad, "warning": glyphs.busy}.get(finding.severity, glyphs.dot)


def no_candidates(asked: Asked, problem: str, *, known: bool, nodes: int, session: bool) -> list[str]:
    """Why there is no candidate."""
    if problem:
        return problem.split("; ")
    if asked.problem and not asked.at_ns:
        return ["The nodes could not be asked:", asked.problem, "It is tried again every few seconds."]
    if not known:
        return ["Connecting …"]
    if not nodes:
        return ["This cluster has no node."]
    if not asked.at_ns:
        return ["Listening on every node's links for a second …"] if session else ["No node was asked."]
    if not asked.rows:
        return ["No agent reports a link that could be a trunk.", "Next: bascule nodes list"]
    return ["No link passes the filter.", "Next: press / and Enter on an empty line"]


def no_cells(proof: Asked, *, proving: bool) -> list[str]:
    """Why the matrix is empty."""
    if proving:
        return ["Asking every VLAN of every trunk for an answer …"]
    if proof.problem:
        return ["The proof could not be made:", proof.problem, "Next: p"]
    if not proof.at_ns:
        return ["Nothing was proven yet.", "Next: p"]
    if proof.quiet and not proof.rows:
        return ["No agent answered:", *(f"{node}: {why}" for node, why in sorted(proof.quiet.items()))]
    if not proof.rows:
        return ["No Network has a trunk with a VLAN in use.", "Next: esc, then space and a on a link attach one"]
    return ["No VLAN passes the filter.", "Next: press / and Enter on an empty line"]
