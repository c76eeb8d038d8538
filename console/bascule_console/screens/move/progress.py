"""A move while it runs: its phases as they come, then its record, or why there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from bascule.errors import BasculeError
from bascule.text import escape
from bascule_console.screens.dialogs import DIALOG_CSS
from bascule_console.screens.move.abort import ask_abort
from bascule_console.screens.move.record import DIALOG, EDGES, record_text
from bascule_console.services.moves import PhaseSeen, RecordReady
from bascule_console.store.store import Store
from bascule_console.store.vms import VmRow
from bascule_console.widgets.glyphs import ASCII, Glyphs

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp

LIVE_S = 0.25


class MoveProgress(ModalScreen[None]):
    """Runs the move to its end also when it is closed: closing hides it, it does not abort."""

    app: BasculeApp
    DEFAULT_CSS = (
        DIALOG_CSS.format(name="MoveProgress")
        + """
    MoveProgress > Vertical { width: 100; }
    MoveProgress VerticalScroll { height: auto; max-height: 100%; scrollbar-size: 1 1; }
    MoveProgress #keys { color: $muted; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "hide", "Close"), Binding("x", "abort", "Abort")]

    def __init__(
        self, vm: VmRow, target: str, events: AsyncIterator[PhaseSeen | RecordReady], store: Store, glyphs: Glyphs
    ) -> None:
        super().__init__()
        self._vm = vm
        self._target = target
        self._events = events
        self._store = store
        self._glyphs = glyphs
        self._phases: list[PhaseSeen] = []
        self._over = False

    def compose(self) -> ComposeResult:
        vm = self._vm
        with Vertical():
            head = f"{vm.namespace}/{vm.name}  {vm.node} {self._glyphs.arrow} {self._target}"
            yield Static(Text(escape(head), "bold"))
            with VerticalScroll():
                yield Static("", id="phases", markup=False)
                yield Static("", id="live", markup=False)
                yield Static("", id="record", markup=False)
            yield Static("esc close, the move goes on   x take it back", id="keys", markup=False)

    def on_mount(self) -> None:
        """Begin. The worker is the app's, because a screen's own workers end with the screen."""
        self.app.run_worker(self._follow(), group="moves", exit_on_error=False)
        self.set_interval(LIVE_S, self._show_live)

    async def _follow(self) -> None:
        try:
            async for event in self._events:
                if isinstance(event, PhaseSeen):
                    self._phases.append(event)
                    self._show_phases()
                else:
                    self._finish(event)
        except BasculeError as error:
            self._show_error(error)

    def _show_phases(self) -> None:
        if not self.is_attached:
            return
        lines = []
        for at, phase in enumerate(self._phases):
            words = f"{self._symbol(at)} {phase.phase:<18} {phase.after:>8}  {self._took(at):<12} {phase.detail}"
            lines.append(escape(words.rstrip()))
        self.query_one("#phases", Static).update(Text("\n".join(lines)))

    def _show_live(self) -> None:
        """What the target's agent tells while the move runs: the way, the figures, the newest probes one by one."""
        record = None if self._over else self._store.moves.newest(self._vm.namespace, self._vm.name)
        if record is None or record.get("complete") or not record.get("probes"):
            return
        from bascule.continuity.lines import path_lines, probe_table, tail_lines

        plain, width = self._glyphs is ASCII, min(DIALOG, self.app.size.width) - EDGES
        lines = [*path_lines(record, plain), *tail_lines(record, width, plain), *probe_table(record, width)]
        self.query_one("#live", Static).update(Text("\n".join(escape(line) for line in lines)))

    def _took(self, at: int) -> str:
        """How long the phase lasted; nothing while it lasts, or when whole seconds are all that is known."""
        phase, after = self._phases[at], self._phases[at + 1 : at + 2]
        if not after or not (phase.exact and phase.own and after[0].exact and after[0].own):
            return ""
        return f"took {after[0].seconds - phase.seconds:.2f} s"

    def _symbol(self, at: int) -> str:
        phase = self._phases[at].phase
        if phase == "Failed":
            return self._glyphs.bad
        ended = at < len(self._phases) - 1 or phase == "Succeeded"
        return self._glyphs.good if ended else self._glyphs.busy

    def _finish(self, event: RecordReady) -> None:
        self._over = True
        self._store.keep_record(self._vm.key, event.record)
        if not self.is_attached:
            verdict = str(event.record.get("verdict"))
            self.app.notify(f"{escape(self._vm.key)} moved: {verdict}; r on the VM shows the record", markup=False)
            return
        # One line, or two on a small terminal: the record needs the room.
        words = ""
        if self._phases:
            *before, last = self._phases
            each = f" {self._glyphs.dot} ".join(f"{phase.phase} {phase.after}" for phase in before)
            words = f"{self._symbol(len(before))} {last.phase} after {last.after}" + (f": {each}" if each else "")
        self.query_one("#phases", Static).update(Text(escape(words)))
        self.query_one("#live", Static).update("")
        text = record_text(self.app, event.record, ascii_only=self._glyphs is ASCII)
        self.query_one("#record", Static).update(text)
        self.query_one("#keys", Static).update("esc close   r on the VM shows this again")

    def _show_error(self, error: BasculeError) -> None:
        self._over = True
        parts = (("", error.message), ("cause: ", error.cause), ("fix: ", error.fix))
        words = "\n".join(label + escape(part) for label, part in parts if part)
        if not self.is_attached:
            self.app.notify(words, title=escape(self._vm.key), severity="error", markup=False)
            return
        self.query_one("#record", Static).update(Text(f"{self._glyphs.bad} {words}"))
        self.query_one("#keys", Static).update("esc close")

    def action_abort(self) -> None:
        """Take the move back, after a question."""
        if not self._over:
            ask_abort(self.app, self._vm.key, self._vm.key)

    def action_hide(self) -> None:
        """Close the window; the move goes on, and its end is announced."""
        self.dismiss(None)
