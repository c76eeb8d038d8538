"""What there is to see of a change: plan, proof and blast radius before, states and countdown while it runs, how it
ended. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.errors import BasculeError
from bascule.trunks import change as c
from bascule_console.screens.trunks import words
from bascule_console.screens.trunks.preview import names
from bascule_console.services import trunk_run as stage
from bascule_console.services.trunk_run import Run
from bascule_console.services.trunks import Trial
from bascule_console.widgets.detail import fact, heading
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.units import count, size

Row = Mapping[str, Any]
TONES = {c.CONFIRMED: "good", c.ROLLED_BACK: "bad", c.REFUSED: "bad", c.WAITING: "busy", c.APPLYING: "busy"}
STEPS = {
    c.APPLYING: ", one by one; the dead-man process holds their inverses",
    c.WAITING: " done; the dead-man process holds their inverses",
    c.CONFIRMED: " done and kept",
    c.ROLLED_BACK: ", taken back last first",
    c.REFUSED: ", none of them done",
}
BAR = 20
VMS_SHOWN = 8


def head(run: Run, glyphs: Glyphs) -> Parts:
    """Where the change stands, in one line."""
    nodes = names(sorted(run.order.links))
    what = (
        f" Detach {run.order.network} from {nodes}" if run.order.detaches else f" Attach {nodes} to {run.order.network}"
    )
    tone, said = _standing(run, glyphs)
    return [(what, "strong"), (f"  {said}", tone)]


def _standing(run: Run, glyphs: Glyphs) -> tuple[str, str]:
    if run.stage == stage.ENDED:
        if run.kept:
            return "good", f"{glyphs.good} kept by every node"
        return "bad", f"{glyphs.bad} {'not finished' if run.error else 'taken back'}"
    if run.stage == stage.PLANNED:
        if run.ready:
            return "busy", f"{glyphs.dot} planned, nothing is changed yet"
        return "bad", f"{glyphs.bad} refused, nothing was changed"
    said = {
        stage.PLANNING: "every node plans and proves it",
        stage.SUBMITTING: "applying the Network",
        stage.FOLLOWING: "the nodes are changing",
        stage.WAITING: "waits for your word",
        stage.RESTORING: "putting the Network back",
    }
    return "busy", f"{glyphs.busy} {said[run.stage]}"


def problem(error: BasculeError, glyphs: Glyphs) -> list[Parts]:
    """An error in lines."""
    lines: list[Parts] = [[(f"{glyphs.bad} {error.message}", "bad")]]
    lines += [fact("cause", error.cause)] if error.cause else []
    lines += [fact("fix", error.fix)] if error.fix else []
    return lines


def planned(trial: Trial, node: str, glyphs: Glyphs) -> list[Parts]:
    """What one node would do: blast radius, steps with their inverses, proof."""
    plan = trial.plans[node]
    blast, steps = plan["blast"], plan["steps"]
    lines = [heading(f"{node}: {len(steps)} steps")]
    for outcome in plan["outcomes"]:
        good = outcome["ready"] or outcome["reason"] == "NotSelected"
        mark = glyphs.good if good else glyphs.bad
        lines.append(fact("becomes", f"{mark} {outcome['reason']}: {outcome['message']}", "good" if good else "bad"))
    lines += [fact("blast", _blast(blast, len(steps)), "busy" if blast["vms"] else "")]
    lines += [fact("VMs", _some(blast["vms"]))] if blast["vms"] else []
    for at, step in enumerate(steps, 1):
        lines.append(fact(f"{at:>3} do", str(step["do"])))
        lines.append(fact("    undo", str(step["undo"]), "muted"))
    if not steps:
        lines.append(fact("steps", "none: no VM here needs a VLAN of it now, bridges are built when one does", "muted"))
    for cell in plan["proof"]:
        verdict = str(cell["verdict"])
        said = f"{words.symbol(verdict, glyphs)} {verdict}: {cell['evidence']}"
        lines.append(fact(f"VLAN {cell['vlan']}", said, words.TONES[verdict]))
    return lines


def _blast(blast: Row, steps: int) -> str:
    if not steps:
        return "nobody"
    traffic = blast["traffic"]
    flows = f"{count(traffic['flows'])} flows, {count(traffic['packets'])} packets, {size(traffic['bytes'])}"
    vlans = ", ".join(blast["vlans"]) or "none"
    links = ", ".join(blast["links"])
    vms = len(blast["vms"])
    who = "1 VM" if vms == 1 else f"{vms} VMs"
    return f"{who}; VLANs {vlans}; links {links}; on this node in the last minute {flows}"


def _some(vms: list[str]) -> str:
    more = len(vms) - VMS_SHOWN
    return ", ".join(vms[:VMS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def notes(run: Run, glyphs: Glyphs) -> list[Parts]:
    """What lint and the server say of the Network as it would be."""
    if run.rehearsal is None:
        return []
    marks = {"error": (glyphs.bad, "bad"), "warning": (glyphs.busy, "busy")}
    lines = []
    for located in run.rehearsal.findings:
        finding = located.finding
        mark, tone = marks.get(finding.severity, (glyphs.dot, "muted"))
        lines.append(fact("finding", f"{mark} {finding.field}: {finding.message}", tone))
    for refusal in run.rehearsal.refusals:
        lines.append(fact("server", f"{glyphs.bad} refuses it: {refusal.error.message}", "bad"))
    for change in run.rehearsal.changes:
        lines += [fact("server", f"{glyphs.busy} warns: {warning}", "busy") for warning in change.warnings]
    return lines


def state(node: str, found: Row | None, now_ns: int, glyphs: Glyphs) -> list[Parts]:
    """Where one node stands: state, countdown, probes, reason."""
    if found is None:
        return [heading(node), fact("state", f"{glyphs.busy} not heard of it yet", "muted")]
    name = str(found["state"])
    mark = {c.CONFIRMED: glyphs.good, c.ROLLED_BACK: glyphs.bad, c.REFUSED: glyphs.bad}.get(name, glyphs.busy)
    lines = [heading(node), fact("state", f"{mark} {name.replace('-', ' ')}", TONES.get(name, ""))]
    if name in (c.APPLYING, c.WAITING) and found.get("deadline_ns"):
        left = countdown(int(found["started_ns"]), int(found["deadline_ns"]), now_ns, glyphs)
        lines.append(fact("goes back", left, "busy"))
    checks: Mapping[str, str] = found.get("checks") or {}
    bad = {check: said for check, said in checks.items() if said}
    if checks:
        said = f"{len(checks) - len(bad)} of {len(checks)} pass that passed before: {names(sorted(checks))}"
        lines.append(fact("probes", f"{glyphs.bad if bad else glyphs.good} {said}", "bad" if bad else "good"))
    lines += [fact("", f"{glyphs.bad} {check}: {said}", "bad") for check, said in sorted(bad.items())]
    steps = found.get("steps") or ()
    if found.get("why"):
        lines.append(fact("why", str(found["why"])))
    if steps:
        lines.append(fact("steps", f"{len(steps)}{STEPS[name]}"))
    return [*lines, *(fact(f"{at:>3}", str(step), "muted") for at, step in enumerate(steps, 1))]


def countdown(started_ns: int, deadline_ns: int, now_ns: int, glyphs: Glyphs) -> str:
    """The time that is left, as a bar and in seconds."""
    left, whole = max(0, deadline_ns - now_ns), max(1, deadline_ns - started_ns)
    full = min(BAR, round(BAR * left / whole))
    return f"{glyphs.rule * full}{glyphs.off * (BAR - full)} in {left / 1e9:.0f} s unless it is kept"


def ending(run: Run, glyphs: Glyphs) -> list[Parts]:
    """How it ended, what that means for the Network, and what to do next."""
    lines: list[Parts] = []
    for node, error in sorted(run.deaf.items()):
        lines.append(fact(node, f"{glyphs.bad} did not take the word: {error.message}", "bad"))
    if run.kept:
        lines.append(fact("next", "m on the trunks screen proves every VLAN; :journal, u takes the change back"))
    elif run.trial is not None and run.trial.failed:
        who = names(sorted(run.trial.failed))
        back = "the Network is as it was, on every node" if run.restored else "the Network could not be put back"
        lines.append(fact("network", f"{who} did not keep the change: {back}", "" if run.restored else "bad"))
        again = (
            "as you wished; nothing is left of it" if run.withdrawn else "mend what the reason names, then do it again"
        )
        fix = again if run.restored else ":journal, u on the newest record"
        lines.append(fact("next", fix))
    return lines
