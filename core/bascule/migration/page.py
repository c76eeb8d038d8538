"""The readiness report as one self-contained page: no script, nothing loaded, every text from outside escaped."""

from __future__ import annotations

from collections.abc import Sequence

from bascule.htmlpage import page, table, text
from bascule.migration.checks import ERROR, OK, UNKNOWN, WARNING
from bascule.migration.compare import Row
from bascule.migration.readiness import Assessment, Judged

_HEADLINES = {
    ERROR: "No: some checks have errors",
    WARNING: "Yes, when the warnings are understood",
    UNKNOWN: "Not known yet: some things only you can answer",
    OK: "Yes",
}
MOST = 200
"""How many results of one check are listed; all are in the JSON."""
_SIGNS = {ERROR: "✗", WARNING: "!", UNKNOWN: "?", OK: "✓"}


def html(found: Assessment, changes: Sequence[Row] | None = None) -> str:
    """The page; `changes` is bascule.migration.compare's, None when nothing is compared."""
    counts = ", ".join(f"{found.count(verdict)} {verdict}" for verdict in (ERROR, WARNING, UNKNOWN, OK))
    ready = sum(1 for _, verdict in found.vms.values() if verdict != ERROR)
    sources = text(", ".join(found.sources) or "none")
    summary = f"{len(found.judged)} checks on {len(found.vms)} VMs, {text(found.at)}: {counts}. "
    summary += f"{ready} VMs have no error. Sources: {sources}."
    listed = [each for each in found.judged if each.results]
    parts = [
        f"<h1>Ready to move? {_HEADLINES[found.verdict]}</h1>",
        f"<p>{summary}</p>",
        *([] if changes is None else ["<h2>What changed</h2>", _changes(changes)]),
        "<h2>Four questions</h2>",
        table(
            ("", "Question", "Answer", "Evidence", "VMs"),
            [
                (
                    _sign(each.answer),
                    each.text,
                    each.answer,
                    "\n".join((*each.evidence, f"why it matters: {each.why}")),
                    _few(each.vms),
                )
                for each in found.questions
            ],
            [UNKNOWN if each.answer.startswith("unknown") else "" for each in found.questions],
        ),
        "<h2>Checks</h2>",
        table(
            ("", "Check", "Verdict", "Evidence"),
            [(_SIGNS[each.verdict], each.check.title, each.verdict, each.evidence) for each in _worst(found.judged)],
            [each.verdict for each in _worst(found.judged)],
        ),
        *(part for each in _worst(listed) for part in _details(each)),
    ]
    return page("Bascule: ready to move?", parts, _STYLE)


def _worst(judged: Sequence[Judged]) -> list[Judged]:
    order = (ERROR, WARNING, UNKNOWN, OK)
    return sorted(judged, key=lambda each: order.index(each.verdict))


def _details(judged: Judged) -> list[str]:
    rows = [(_SIGNS[each.verdict], each.object, each.evidence, each.fix) for each in judged.results[:MOST]]
    more = len(judged.results) - MOST
    head = f"<h3>{text(judged.check.title)} <code>{text(judged.check.id)}</code></h3>"
    listed = table(("", "Of", "Evidence", "What to do"), rows, [each.verdict for each in judged.results[:MOST]])
    return [head, listed, f"<p>and {more} more: they are in the JSON.</p>" if more > 0 else ""]


def _changes(changes: Sequence[Row]) -> str:
    rows = [(each["change"], each["check"], each["object"], each["before"], each["after"]) for each in changes[:MOST]]
    return table(("Change", "Check", "Of", "Before", "Now"), rows, [each["after"] for each in changes[:MOST]])


def _sign(answer: str) -> str:
    return "?" if answer.startswith("unknown") else "✓"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


_STYLE = """
th, td { overflow-wrap: break-word; max-width: 34rem; }
td:first-child { font-weight: 700; }
tr.unknown td:first-child { color: #3d4f9f; }
tr.ok td:first-child { color: #22663b; }
code { background: #f3f5f7; padding: .1rem .3rem; font-size: 13px; font-weight: 400; }
"""
