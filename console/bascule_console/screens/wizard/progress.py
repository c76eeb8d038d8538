"""The VMs of a run: what each is at, how much of it is done, how fast, and how long it will take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bascule.migration import machine, run
from bascule.migration.wizard_page import Progress
from bascule_console.screens.wizard.kept import Kept
from bascule_console.widgets.columns import Column
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.tableblock import TableBlock
from bascule_console.widgets.units import seconds, size

BAR = 8
PAUSED = "paused"
TONES = {
    run.MOVED: "good",
    run.ACCEPTED: "good",
    run.MOVING: "busy",
    run.GOING_BACK: "busy",
    PAUSED: "busy",
    machine.BACK: "unknown",
    machine.BLOCKED: "bad",
    machine.STUCK: "bad",
}


class Runs(Kept[Progress]):
    """The rows, by VM."""

    def put(self, rows: Sequence[Progress]) -> None:
        """Take these in place of the ones before."""
        self.keep((row.vm, row) for row in rows)

    def searchable(self, row: Progress) -> str:
        """Everything that stands there."""
        return f"{row.vm} {row.wave} {row.state} {row.step} {row.evidence}"


class ProgressBlock(TableBlock[Progress]):
    """One row per VM; hidden where nothing runs yet."""

    def __init__(self, glyphs: Glyphs) -> None:
        self._runs = Runs()
        super().__init__(
            "Run",
            columns(glyphs),
            self._runs,
            glyphs,
            id="progress",
            empty=lambda: ["No VM passes the filter.", "Next: press / and Enter on an empty line"],
            extra=lambda: tally([*self._runs.rows().values()], glyphs),
        )
        self.display = False

    def take(self, rows: Sequence[Progress]) -> None:
        """The run went on."""
        self.display = bool(rows)
        self._runs.put(rows)
        self.table.tick()
        self.show()

    def opened(self) -> tuple[str, list[tuple[str, str]]] | None:
        """All that is known about the row under the cursor; None without one."""
        row = self.table.view.cursor_row()
        if row is None:
            return None
        facts = [
            ("wave", str(row.wave)),
            ("state", row.state),
            ("step", row.step),
            ("done", amount(row)),
            ("rate", rate(row)),
            ("left", left(row)),
            ("estimate", row.how),
            ("evidence", row.evidence),
        ]
        return row.vm, [(name, text) for name, text in facts if text]


def columns(glyphs: Glyphs) -> tuple[Column[Progress], ...]:
    """VM, state and how far first; wave and evidence where there is room."""
    return (
        Column("vm", "VM", 11, lambda r: r.vm, lambda r: r.vm, tone=lambda _: "name", grow=2, most=30),
        Column("wave", "WAVE", 4, lambda r: str(r.wave), lambda r: r.wave, priority=5, right=True),
        Column(
            "state",
            "STATE",
            13,
            lambda r: state(r, glyphs),
            lambda r: r.state,
            tone=lambda r: TONES.get(r.state, "muted"),
        ),
        Column("step", "STEP", 9, lambda r: r.step, lambda r: r.step, priority=2, grow=1, most=24),
        Column("bar", "", BAR, lambda r: bar(r, glyphs), share, tone=lambda r: TONES.get(r.state, "muted")),
        Column("done", "DONE", 15, amount, lambda r: r.done, priority=3, right=True),
        Column("rate", "RATE", 8, rate, lambda r: r.rate, priority=4, right=True),
        Column("left", "LEFT", 7, left, lambda r: r.left_s if r.left_s is not None else 1e9, priority=1, right=True),
        Column("evidence", "EVIDENCE", 16, lambda r: r.evidence, lambda r: r.evidence, priority=6, grow=3, most=80),
    )


def state(row: Progress, glyphs: Glyphs) -> str:
    """The state with its symbol."""
    return f"{sign(row.state, glyphs)} {row.state}"


def sign(state_: str, glyphs: Glyphs) -> str:
    """A state's symbol."""
    if state_ == machine.BACK:
        return glyphs.ingress
    return {"good": glyphs.good, "busy": glyphs.busy, "bad": glyphs.bad}.get(TONES.get(state_, ""), glyphs.off)


def share(row: Progress) -> float:
    """How much is done, 0 to 1."""
    if row.state in (run.MOVED, run.ACCEPTED):
        return 1.0
    return min(1.0, row.done / row.total) if row.total > 0 else 0.0


def bar(row: Progress, glyphs: Glyphs) -> str:
    """How much is done, as a bar."""
    full = int(BAR * share(row))
    return glyphs.rule * full + glyphs.off * (BAR - full)


def amount(row: Progress) -> str:
    """How much of how much."""
    if not row.total:
        return ""
    if row.unit == "bytes":
        return f"{size(row.done)} of {size(row.total)}"
    return f"{row.done} of {row.total} {row.unit}"


def rate(row: Progress) -> str:
    """How fast, in bytes; steps have no rate that says anything."""
    return f"{size(row.rate)}/s" if row.rate > 0 and row.unit == "bytes" else ""


def left(row: Progress) -> str:
    """The estimate, or nothing where there is none."""
    return seconds(row.left_s) if row.left_s is not None and row.state == run.MOVING else ""


def tally(rows: Sequence[Progress], glyphs: Glyphs) -> Parts:
    """How many are done, run, wait, and what needs a hand."""
    counted = Counter(row.state for row in rows)
    return [(f"  {sign(name, glyphs)} {counted[name]} {name}", TONES.get(name, "muted")) for name in sorted(counted)]
