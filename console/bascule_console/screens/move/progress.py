"""A move while it runs: its phases as they come, then its record, or why there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from bascule.errors import BasculeError
from bascule.text import escape
from bascule_console.screens.move.choose import DIALOG_CSS
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
        """Begin."""
        self._follow()

    @work(exit_on_error=False, group="moves")
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
        text = Text()
        for at, phase in enumerate(self._phases):
            last = at == len(self._phases) - 1
            failed = phase.phase == "Failed"
            symbol = self._glyphs.bad if failed else self._glyphs.busy if last else self._glyphs.good
            if phase.phase == "Succeeded":
                symbol = self._glyphs.good
            text.append(escape(f"{symbol} {phase.phase:<18} {phase.seconds:6.2f} s  {phase.detail}".rstrip()) + "\n")
        self.query_one("#phases", Static).update(text)

    def _finish(self, event: RecordReady) -> None:
        self._store.keep_record(self._vm.key, event.record)
        if not self.is_mounted:
            return
        width = max(40, self.query_one("#record").size.width)
        text = record_text(self.app, event.record, width, ascii_only=self._glyphs is ASCII)
        self.query_one("#record", Static).update(text)
        self.query_one("#keys", Static).update("esc close   r on the VM shows this again")

    def _show_error(self, error: BasculeError) -> None:
        parts = [
            error.message,
            f"cause: {error.cause}" if error.cause else "",
            f"fix: {error.fix}" if error.fix else "",
        ]
        words = "\n".join(escape(part) for part in parts if part)
        self.query_one("#record", Static).update(Text(f"{self._glyphs.bad} {words}"))
        self.query_one("#keys", Static).update("esc close")

    def action_hide(self) -> None:
        """Close the window; the store still gets the record if the move has ended by then."""
        self.dismiss(None)
