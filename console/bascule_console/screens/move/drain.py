"""A drain on screen: the queue with what will be skipped and why, a question, then the queue as it empties."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from bascule.errors import BasculeError, UnreachableError
from bascule.text import escape
from bascule_console.actions.registry import action
from bascule_console.screens.dialogs import DIALOG_CSS
from bascule_console.widgets.theme import rich_color

if TYPE_CHECKING:
    from bascule.continuity.limits import Drain
    from bascule_console.app import BasculeApp
    from bascule_console.store.inventory import Inventory

VM_TIMEOUT_S = 300.0
_INK = {"moved": "verdict-allow", "broken": "verdict-drop", "failed": "verdict-drop", "skipped": "verdict-unknown"}


class DrainScreen(ModalScreen[None]):
    """Plans first, asks, then runs to its end also when it is closed; `stop` starts no more."""

    app: BasculeApp
    DEFAULT_CSS = (
        DIALOG_CSS.format(name="DrainScreen")
        + """
    DrainScreen > Vertical { width: 100; }
    DrainScreen VerticalScroll { height: auto; max-height: 100%; }
    DrainScreen #keys { color: $muted; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "hide", "Close"),
        Binding("y", "yes", "Drain"),
        Binding("s", "stop", "Start no more"),
    ]

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node
        self._drain: Drain | None = None
        self._inventory: Inventory | None = None
        self._begun = self._no_more = False

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(escape(f"Drain {self._node}"), "bold"))
            with VerticalScroll():
                yield Static("asking the cluster and the agents ...", id="queue", markup=False)
            yield Static("esc close", id="keys", markup=False)

    def on_mount(self) -> None:
        """Plan."""
        self.run_worker(self._plan(), exit_on_error=False)

    async def _plan(self) -> None:
        from bascule_console.services.drain import plan

        try:
            session = self.app.session
            if session is None:
                raise UnreachableError("there is no cluster to drain in", fix="start the console on a kubeconfig")
            drain, _, self._inventory = await plan(session.cluster, session.agents, self._node)
        except BasculeError as error:
            self._say(error)
            return
        self.show(drain)
        waiting = sum(item.state == "waiting" for item in drain.items)
        self._keys(f"y cordon it, move {waiting} VMs away   esc close" if waiting else "nothing to move   esc close")

    def show(self, drain: Drain) -> None:
        """The queue as it now is."""
        self._drain = drain
        if self.is_attached:
            self.query_one("#queue", Static).update(self._text(drain))

    def _text(self, drain: Drain) -> Text:
        limits, glyphs = drain.limits, self.app.glyphs
        symbols = {"moved": glyphs.good, "broken": glyphs.bad, "failed": glyphs.bad, "skipped": glyphs.unknown}
        head = f"{limits.outbound} at once leave a node, {limits.cluster} in the cluster ({limits.source})"
        text = Text(escape(head) + "\n")
        for item in drain.items:
            symbol = symbols.get(item.state, glyphs.busy if item.state == "moving" else glyphs.off)
            line = f"{symbol} {item.vm:<24} {glyphs.arrow} {item.target or '-':<12} {item.state:<8} {item.why}".rstrip()
            ink = _INK.get(item.state)
            text.append("\n" + escape(line), rich_color(self.app, ink) if ink else "")
        if not drain.items:
            text.append("\nno VM runs here")
        return text

    def action_yes(self) -> None:
        """Begin, once planned; on a protected context the node's name is typed."""
        if self._drain is None or self._begun or self._drain.over:
            return
        if self.app.guard.protected:
            self.app.confirm(action("drain_node"), self._begin, name=self._node)
        else:
            self._begin()

    def _begin(self) -> None:
        self._begun = True
        self._keys("esc close, the drain goes on   s start no more")
        # The worker is the app's, because a screen's own workers end with the screen.
        self.app.run_worker(self._run(), group="moves", exit_on_error=False)

    async def _run(self) -> None:
        from bascule_console.services.drain import run

        session, drain, inventory = self.app.session, self._drain, self._inventory
        if session is None or drain is None or inventory is None:
            return
        try:
            stopped: Callable[[], bool] = lambda: self._no_more  # noqa: E731 - handed on as a function
            async with aclosing(
                run(session.cluster, session.agents, session.journal(), drain, inventory, VM_TIMEOUT_S, stopped)
            ) as states:
                async for state in states:
                    self.show(state)
        except BasculeError as error:
            self._say(error)
            return
        done = self._drain.items if self._drain else ()
        broken = sum(item.state == "broken" for item in done)
        words = f"cordoned, {broken + sum(item.state == 'moved' for item in done)} of {len(done)} moved"
        words += f", continuity broke for {broken}" if broken else ""
        if self.is_attached:
            self._keys(f"{words}   esc close   :moves has the records")
        else:
            self.app.notify(f"{escape(self._node)} drained: {words}", markup=False)

    def action_stop(self) -> None:
        """Start no more; what moves goes on."""
        self._no_more = True

    def action_hide(self) -> None:
        """Close the window."""
        self.dismiss(None)

    def _keys(self, words: str) -> None:
        if self.is_attached:
            self.query_one("#keys", Static).update(words)

    def _say(self, error: BasculeError) -> None:
        if self.is_attached:
            self.query_one("#queue", Static).update(Text(f"{self.app.glyphs.bad} {escape(str(error))}"))
        else:
            self.app.say(error)
