"""What is said about one node: its agent, trunk, kernel abilities, clock, Networks, findings. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule_console.screens.nodes.columns import clock_words, ranges
from bascule_console.store.kernel import abilities
from bascule_console.widgets.detail import fact, heading
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts

Row = Mapping[str, Any]
NUMBER = 8


def about(row: Row, glyphs: Glyphs) -> list[Parts]:
    """One node in lines."""
    lines = [heading(str(row["name"])), _agent(row, glyphs)]
    if row["agent"] is not None:
        lines += [_trunk(row, glyphs), *_kernel(row, glyphs), _clock(row)]
    for network in row["conditions"]:
        good = network["status"] == "True"
        words = f"{glyphs.good if good else glyphs.bad} {network['reason']}: {network['message']}"
        lines.append(fact("network", words, "good" if good else "bad"))
    change = row.get("change")
    if change:
        number = f", number {change['id']}" if change.get("id") else ""
        lines.append(fact("changed", f"{change.get('state', '')}{number}"))
    for finding in row.get("findings") or []:
        tone = "bad" if finding.get("severity") == "error" else "busy"
        lines.append(fact("finding", f"{finding.get('severity', '')}: {finding.get('message', '')}", tone))
    return lines


def _agent(row: Row, glyphs: Glyphs) -> Parts:
    agent = row["agent"]
    if agent is None:
        return fact("agent", f"{glyphs.bad} no agent: {row['silent'].removeprefix('no agent: ')}", "bad")
    words = f"{agent.get('mode', '')} {agent.get('version', '')}, seen {agent.get('seen') or 'never'}"
    counts = [f"{agent[key]} {key}" for key in ("adopted", "changes") if key in agent]
    return fact("agent", ", ".join([words, *counts]))


def _trunk(row: Row, glyphs: Glyphs) -> Parts:
    trunk = row["trunk"] or {}
    if not trunk.get("name"):
        return fact("trunk", "none: no Network selects this node", "muted")
    up = trunk.get("carrier")
    state = f"{glyphs.good} carrier" if up else f"{glyphs.bad} no carrier"
    native = f", native {trunk['native']}" if trunk.get("native") else ""
    vlans = ranges(trunk.get("vlans") or []) or "none"
    return fact("trunk", f"{trunk['name']} {state}, MTU {trunk.get('mtu')}, VLANs {vlans}{native}", "" if up else "bad")


def _kernel(row: Row, glyphs: Glyphs) -> list[Parts]:
    release = str((row.get("kernel") or {}).get("release", ""))
    if not release:
        return [fact("kernel", "not told", "muted")]
    symbols = {True: glyphs.good, False: glyphs.bad, None: glyphs.unknown}
    words = [f"{symbols[has]} {name}" + ("" if has else f" (since {since})") for name, has, since in abilities(release)]
    return [fact("kernel", release), fact("can", "  ".join(words))]


def _clock(row: Row) -> Parts:
    source, _, number = str((row.get("clock") or {}).get("source", "")).partition(":")
    which = f", {source} {number[:NUMBER]}".rstrip() if source else ""  # enough of it to see which nodes share a clock
    return fact("clock", clock_words(row) + which)


def searchable(row: Row) -> str:
    """What a filter looks at."""
    trunk = row["trunk"] or {}
    agent = row["agent"] or {"mode": "no agent"}
    vms = " ".join(str(port.get("vm", "")) for port in row["ports"])
    vlans = " ".join(f"vlan {vid}" for vid in trunk.get("vlans") or [])
    return f"{row['name']} {agent.get('mode', '')} {trunk.get('name', '')} {vlans} {vms} {row.get('kernel', '')}"


def no_nodes(known: bool, problem: str) -> list[str]:
    """Why there is no row."""
    if problem:
        return problem.split("; ")
    if not known:
        return ["Connecting …"]
    return ["No node passes the filter.", "Next: press / and Enter on an empty line"]
