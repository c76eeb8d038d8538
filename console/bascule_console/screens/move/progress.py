"""A move while it runs: its phases as they come, then its record, or why there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from bascule.errors import BasculeError
from bascule.text import escape
from bascule_console.screens.dialogs import DIALOG_CSS
from bascule_console.screens.move.record import record_text
from bascule_console.services.moves import PhaseSeen, RecordReady
from bascule_console.store.store import Store
from bascule_console.store.vms import VmRow
from bascule_console.widgets.glyphs import ASCII, Glyphs


class MoveProgress(ModalScreen[None]):
    """Runs the move to its end also when it is closed: closing hides it, it does not abort."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="MoveProgress")
        + """
    MoveProgress > Vertical { width: 100; }
    MoveProgress VerticalScroll { height: auto; max-height: 100%; }
    MoveProgress #keys { color: $muted; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "hide", "Close")]

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

    def compose(self) -> ComposeResult:
        vm = self._vm
        with Vertical():
            head = f"{vm.namespace}/{vm.name}  {vm.node} {self._glyphs.arrow} {self._target}"
            yield Static(Text(escape(head), "bold"))
            with VerticalScroll():
                yield Static("", id="phases", markup=False)
                yield Static("", id="record", markup=False)
            yield Static("the move goes on when this is closed   esc close", id="keys", markup=False)

    def on_mount(self) -> None:
        """Begin. The worker is the app's, because a screen's own workers end with the screen."""
        self.app.run_worker(self._follow(), group="moves", exit_on_error=False)

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
        text = Text()
        for at, phase in enumerate(self._phases):
            words = f"{self._symbol(at)} {phase.phase:<18} {phase.after:>8}  {self._took(at):<12} {phase.detail}"
            text.append(escape(words.rstrip()) + "\n")
        self.query_one("#phases", Static).update(text)

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
        text = record_text(self.app, event.record, ascii_only=self._glyphs is ASCII)
        self.query_one("#record", Static).update(text)
        self.query_one("#keys", Static).update("esc close   r on the VM shows this again")

    def _show_error(self, error: BasculeError) -> None:
        parts = (("", error.message), ("cause: ", error.cause), ("fix: ", error.fix))
        words = "\n".join(label + escape(part) for label, part in parts if part)
        if not self.is_attached:
            self.app.notify(words, title=escape(self._vm.key), severity="error", markup=False)
            return
        self.query_one("#record", Static).update(Text(f"{self._glyphs.bad} {words}"))
        self.query_one("#keys", Static).update("esc close")

    def action_hide(self) -> None:
        """Close the window; the move goes on, and its end is announced."""
        self.dismiss(None)
