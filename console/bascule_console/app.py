"""The Textual app: themes, the first screen, the session's task, and the dialogs. State lives in the store."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen

from bascule.errors import BasculeError
from bascule.text import escape
from bascule_console.screens.help.screen import HelpScreen, TooSmall
from bascule_console.screens.live.screen import LiveScreen
from bascule_console.screens.move.choose import ChooseNode
from bascule_console.screens.move.progress import MoveProgress
from bascule_console.screens.move.record import RecordScreen
from bascule_console.services.session import Session
from bascule_console.store.store import Store
from bascule_console.store.vms import NODES, VmRow
from bascule_console.widgets.glyphs import glyphs
from bascule_console.widgets.theme import all_themes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bascule_console.services.moves import PhaseSeen, RecordReady

HERE = Path(__file__).parent
SMALLEST = (60, 16)
FAST_HZ, SSH_HZ = 20.0, 4.0
MOVE_TIMEOUT_S = 300.0


class BasculeApp(App[None]):
    """The console on one session; without one it shows what the store holds."""

    # The default screen's own CSS_PATH is never read by Textual, so the app loads it.
    CSS_PATH: ClassVar[str | PurePath | list[str | PurePath] | None] = [
        HERE / "app.tcss",
        HERE / "screens/live/screen.tcss",
    ]
    TITLE = "bascule"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "app.quit", "Quit", show=False, priority=True)]

    def __init__(
        self,
        store: Store,
        session: Session | None,
        *,
        read_only: bool = False,
        ascii_only: bool = False,
        theme: str = "bascule-dark",
    ) -> None:
        self._themes = all_themes()
        super().__init__()
        self.store = store
        self.session = session
        self.read_only = read_only
        self.ascii_only = ascii_only
        self.glyphs = glyphs(ascii_only=ascii_only)
        for known in self._themes:
            self.register_theme(known)
        self.theme = theme
        self._running_session: asyncio.Task[None] | None = None

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our roles for themes that do not define them (Textual's own, from the palette)."""
        return dict(self._themes[0].variables)

    @property
    def context(self) -> str:
        """The kubeconfig context, empty while it is not known."""
        return self.session.context if self.session else ""

    @property
    def problem(self) -> str:
        """Why there is no cluster, or empty."""
        return str(self.session.problem) if self.session and self.session.problem else ""

    def get_default_screen(self) -> Screen[None]:
        """The live screen is the app's base."""
        over_ssh = "SSH_CONNECTION" in os.environ
        return LiveScreen(self.glyphs, read_only=self.read_only, tick_hz=SSH_HZ if over_ssh else FAST_HZ)

    def on_ready(self) -> None:
        """After the first paint: open the cluster. A terminal that goes away ends the app as `q` does."""
        for ending in (signal.SIGTERM, signal.SIGHUP):
            with suppress(ValueError, RuntimeError):  # not the main thread: whoever runs us there handles signals
                asyncio.get_running_loop().add_signal_handler(ending, self.exit, None, 128 + ending)
        if self.session is not None:
            self._running_session = asyncio.create_task(self.session.run(), name="session")

    async def on_unmount(self) -> None:
        """End the session's streams and watches."""
        if self._running_session is not None:
            self._running_session.cancel()
            await asyncio.gather(self._running_session, return_exceptions=True)

    def on_resize(self, event: events.Resize) -> None:
        """Below the smallest size every screen would be wrong, so one says so instead."""
        small = event.size.width < SMALLEST[0] or event.size.height < SMALLEST[1]
        showing = isinstance(self.screen, TooSmall)
        if small and not showing:
            self.push_screen(TooSmall(SMALLEST))
        elif showing and not small:
            self.pop_screen()

    def say(self, error: BasculeError) -> None:
        """Show an error with cause and fix; its text is never markup."""
        parts = [error.cause, f"Fix: {error.fix}" if error.fix else ""]
        body = "\n".join(escape(part) for part in parts if part) or escape(error.message)
        self.notify(body, title=escape(error.message), severity="error", timeout=10, markup=False)

    def show_help(self, screen: Screen[None]) -> None:
        """Help from the bindings of `screen`."""
        self.push_screen(HelpScreen(screen, read_only=self.read_only))

    def start_move(self, vm: VmRow) -> None:
        """Ask for a node, check, confirm, and follow the move."""
        nodes = self.store.inventory.all(NODES)

        def chosen(node: str | None) -> None:
            if node is not None:
                self.push_screen(MoveProgress(vm, node, self._move(vm, node), self.store, self.glyphs))

        self.push_screen(ChooseNode(vm, nodes, set(self.store.silent), self.glyphs), chosen)

    def show_record(self, vm: VmRow) -> None:
        """The VM's last record, if this console has seen one."""
        record = self.store.records.get(vm.key)
        if record is None:
            self.notify(f"{escape(vm.key)} has not been moved in this session", markup=False)
            return
        self.push_screen(RecordScreen(record, ascii_only=self.ascii_only))

    async def _move(self, vm: VmRow, target: str) -> AsyncIterator[PhaseSeen | RecordReady]:
        from bascule.errors import UnreachableError
        from bascule_console.services.moves import check_move, move

        if self.session is None:
            raise UnreachableError("there is no cluster to move in", fix="start the console on a kubeconfig")
        current = self.store.vms.rows().get(vm.key, vm)
        node = check_move(current, self.store.inventory.all(NODES), target)
        async for event in move(self.session.cluster, self.session.agents, current, node, MOVE_TIMEOUT_S):
            yield event
