"""The Textual app: themes, modes and the way back through them, the session's task. State lives in the store."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Coroutine, Hashable, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import CommandPalette, Provider
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender

from bascule.errors import BasculeError
from bascule.text import escape
from bascule_console.actions.guard import Guard
from bascule_console.actions.model import Action
from bascule_console.crash import report
from bascule_console.screens.modes import MODES, START, Mode
from bascule_console.widgets.glyphs import glyphs
from bascule_console.widgets.history import History
from bascule_console.widgets.keyturns import KeyTurns
from bascule_console.widgets.plainbar import PlainBar
from bascule_console.widgets.terminal import TerminalDriver
from bascule_console.widgets.theme import START_THEME, load, theme_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from bascule_console.services.session import Session
    from bascule_console.store.store import Store
    from bascule_console.store.vms import VmRow

HERE = Path(__file__).parent
SMALLEST = (60, 16)
SSH_HZ = 4.0
# A full collection walks 100,000 flows and stops the screen for a fifth of a second; next to nothing here makes cycles.
GC_THRESHOLDS = (20_000, 20, 200)


def _palette() -> type[Provider]:
    from bascule_console.screens.palette import Everything

    return Everything


class BasculeApp(App[None]):
    """The console on one session; without one it shows what the store holds."""

    CSS_PATH: ClassVar[str | PurePath | list[str | PurePath] | None] = HERE / "app.tcss"
    TITLE = "bascule"
    DEFAULT_MODE = START
    COMMANDS = {_palette}
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "app.quit", "Quit", show=False, priority=True)]

    def __init__(
        self,
        store: Store,
        session: Session | None,
        *,
        read_only: bool = False,
        protected: bool = False,
        ascii_only: bool = False,
        theme: str = START_THEME,
    ) -> None:
        super().__init__(driver_class=TerminalDriver)
        self.store = store
        self.session = session
        self.guard = Guard(read_only, protected, unasked=session is None)
        self.ascii_only = ascii_only
        self.glyphs = glyphs(ascii_only=ascii_only)
        self.set_class(ascii_only, "-ascii")
        ScrollBar.renderer = PlainBar if ascii_only else ScrollBarRender
        self.histories = {":": History(), "/": History()}
        self.trail: list[tuple[str, Hashable]] = [(START, None)]
        self.wear(theme)
        for each in MODES:
            self.add_mode(each.id, each.make)
        self._running_session: asyncio.Task[None] | None = None
        self.turns = KeyTurns(self)

    # -- what is known ----------------------------------------------------------------------------------------

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our roles for themes that do not define them (Textual's own, before ours is worn)."""
        return dict(load(START_THEME).variables)

    def wear(self, theme: str) -> None:
        """Change to a theme of ours, by its full name; it is read on first use. Raises ThemeError."""
        if theme not in self.available_themes:
            self.register_theme(load(theme))
        self.theme = theme

    @property
    def context(self) -> str:
        """The kubeconfig context, empty while it is not known."""
        return self.session.context if self.session else ""

    @property
    def connected(self) -> bool:
        """Whether the cluster is open; without a session nothing is waited for."""
        return self.session is None or bool(self.context)

    @property
    def problem(self) -> str:
        """Why there is no cluster, or empty."""
        return str(self.session.problem) if self.session and self.session.problem else ""

    def permits(self, action: Action) -> bool:
        """Whether the action is there in this session, on this context, for this user."""
        return self.guard.permits(action, self.store.rights.granted)

    @staticmethod
    def tick_hz(wanted: float) -> float:
        """How often a screen looks at the store: slower over SSH."""
        return min(wanted, SSH_HZ) if "SSH_CONNECTION" in os.environ else wanted

    # -- from start to end ------------------------------------------------------------------------------------

    def on_ready(self) -> None:
        """After the first paint: open the cluster. A terminal that goes away ends the app as `q` does."""
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        gc.enable()
        for ending in (signal.SIGTERM, signal.SIGHUP):
            with suppress(ValueError, RuntimeError):  # not the main thread: whoever runs us there handles signals
                asyncio.get_running_loop().add_signal_handler(ending, self.exit, None, 128 + ending)
        if self.session is not None:
            self._running_session = asyncio.create_task(self.session.run(), name="session")
            self._running_session.add_done_callback(self._session_ended)

    def _session_ended(self, task: asyncio.Task[None]) -> None:
        """A session that breaks would leave a screen that never changes again."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.exit(return_code=1, message=report(error))

    def _fatal_error(self) -> None:
        """A fault in Bascule: end, and say where. Textual's own report would show the values of local variables,
        credentials among them."""
        self.panic(report(sys.exception()))

    async def on_unmount(self) -> None:
        """End the session's streams and watches."""
        if self._running_session is not None:
            self._running_session.cancel()
            await asyncio.gather(self._running_session, return_exceptions=True)

    async def on_event(self, event: events.Event) -> None:
        """A key whose turn has not come is given out later; everything else as Textual does."""
        key = event if isinstance(event, events.Key) and not event.is_forwarded else None
        if key is None or (self.screen_stack and self.turns.admits(key)):  # no screen: the app is ending
            await super().on_event(event)

    def on_resize(self, event: events.Resize) -> None:
        """Below the smallest size every screen would be wrong, so one says so instead."""
        small = event.size.width < SMALLEST[0] or event.size.height < SMALLEST[1]
        showing = self.screen.has_class("-too-small")
        if small and not showing:
            from bascule_console.screens.help.screen import TooSmall

            self.push_screen(TooSmall(SMALLEST))
        elif showing and not small:
            self.pop_screen()

    # -- getting about ----------------------------------------------------------------------------------------

    def open(self, mode_id: str, key: Hashable = None) -> None:
        """Go to a mode, and there to the row of `key`. A mode that is on the way already is gone back to."""
        names = [name for name, _ in self.trail]
        if mode_id in names:
            del self.trail[names.index(mode_id) :]
        self.trail.append((mode_id, key))
        self._show(mode_id, key)

    def back(self) -> None:
        """Out of a pushed screen, else to the mode before."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        elif len(self.trail) > 1:
            self.trail.pop()
            self._show(self.trail[-1][0], None)

    def _show(self, mode_id: str, key: Hashable) -> None:
        from bascule_console.screens.base import BasculeScreen

        self.switch_mode(mode_id)
        base = self.screen_stack[0]
        if key is not None and isinstance(base, BasculeScreen):
            base.arrive(key)

    def crumbs(self) -> list[str]:
        """The way here, by names that people read."""
        from bascule_console.screens.base import BasculeScreen

        titles = {each.id: each.title for each in MODES}
        pushed = [screen.crumb for screen in self.screen_stack[1:] if isinstance(screen, BasculeScreen)]
        return [*(titles[name] for name, _ in self.trail), *pushed]

    def commands(self, text: str) -> Sequence[str]:
        """What `:` completes `text` to."""
        from bascule_console.screens.commands import candidates

        return candidates(text, theme_names())

    def run_command(self, text: str) -> None:
        """What was typed after `:`."""
        from bascule_console.screens.commands import parse

        try:
            command = parse(text, theme_names())
            if isinstance(command.target, Mode):
                self.open(command.target.id)
                if command.filter:
                    self.call_after_refresh(self._filter_here, command.filter)
            elif command.target == "theme":
                self.wear(command.argument)
            elif command.target == "quit":
                self.exit()
            elif command.target == "help":
                self.show_help(self.screen)
        except BasculeError as error:
            self.say(error)

    def _filter_here(self, text: str) -> None:
        from bascule_console.screens.base import BasculeScreen

        if not isinstance(self.screen, BasculeScreen):
            return
        try:
            self.screen.filter_by(text)
        except BasculeError as error:
            self.say(error)

    # -- saying and asking ------------------------------------------------------------------------------------

    def say(self, error: BasculeError) -> None:
        """Show an error with cause and fix; its text is never markup."""
        parts = [error.cause, f"Fix: {error.fix}" if error.fix else ""]
        body = "\n".join(escape(part) for part in parts if part) or escape(error.message)
        self.notify(body, title=escape(error.message), severity="error", timeout=10, markup=False)

    def do(self, work: Coroutine[Any, Any, Any], done: str = "") -> None:
        """Run `work` beside the screen; `done` is said at its end, a BasculeError as `say` does."""

        async def guarded() -> None:
            try:
                await work
            except BasculeError as error:
                self.say(error)
            else:
                if done:
                    self.notify(escape(done), markup=False)

        self.run_worker(guarded(), group="work", exit_on_error=True)

    def confirm(self, action: Action, then: Callable[[], None], **subject: str) -> None:
        """Ask before a danger action on `subject["name"]`; on a protected context that name is typed. Then do it."""
        from bascule_console.screens.dialogs import Confirm

        def answered(sure: bool | None) -> None:
            if sure:
                then()

        self.push_screen(Confirm(action, subject, typed=self.guard.protected), answered)

    def action_command_palette(self) -> None:
        """Textual's palette, in our words."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder="a place or an action", id="--command-palette"))

    def show_help(self, screen: Screen[Any]) -> None:
        """Help from the bindings of `screen`."""
        from bascule_console.screens.help.screen import HelpScreen

        self.push_screen(HelpScreen(screen, read_only=self.guard.read_only))

    def show_yaml(self, plural: str, key: str) -> None:
        """An object of the inventory as YAML; one that left meanwhile is said so."""
        from bascule_console.screens.dialogs import TextDialog, yaml_lines

        found = self.store.inventory.get(plural, key)
        if found is None:
            self.notify(f"{escape(key)} is not there any more", markup=False)
            return
        self.push_screen(TextDialog(f"{plural} {key}", yaml_lines(found)))

    def start_move(self, vm: VmRow) -> None:
        """Move a VM: node, confirmation, phases, record."""
        from bascule_console.screens.move.start import start_move

        start_move(self, vm)

    def show_record(self, vm: VmRow) -> None:
        """The VM's last record, if this console has seen one."""
        from bascule_console.screens.move.start import show_record

        show_record(self, vm)
