"""One attach or detach from plan to end: the plan of every node, then commit-confirm with its countdown, then how it
ended. Leaving the screen does not stop a change that has begun."""

from __future__ import annotations

import time

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Static

from bascule.errors import UnreachableError
from bascule.resources.node import Node
from bascule.text import escape
from bascule_console.actions.registry import action
from bascule_console.screens.base import BasculeScreen
from bascule_console.screens.trunks import changewords as words
from bascule_console.screens.trunks.preview import preview
from bascule_console.screens.trunks.typed import TypeNode
from bascule_console.services import trunk_run as stage
from bascule_console.services.session import Session
from bascule_console.services.trunk_run import Run
from bascule_console.services.trunks import ManagementPathError
from bascule_console.store.topics import TRUNKS
from bascule_console.store.vms import NODES
from bascule_console.widgets.detail import Detail
from bascule_console.widgets.difftext import diff_text
from bascule_console.widgets.lines import Line, Parts

ACTIONS = {"apply_change": stage.PLANNED, "keep_change": stage.WAITING, "take_back": stage.WAITING}


class ChangeScreen(BasculeScreen):
    """Shows `run` and drives it."""

    MODE = "trunks"
    TOPICS = (TRUNKS,)
    AUTO_FOCUS = "#change"
    DEFAULT_CSS = """
    ChangeScreen #head { height: 1; background: $header; color: $header-ink; }
    ChangeScreen #change {
        height: 1fr; background: $surface; scrollbar-size: 1 1; scrollbar-background: $surface; scrollbar-color: $muted;
        scrollbar-background-hover: $surface; scrollbar-background-active: $surface;
    }
    ChangeScreen #diff { height: auto; padding: 0 1; }
    """
    BINDINGS = [
        Binding("j", "scroll_change(1)", show=False),
        Binding("k", "scroll_change(-1)", show=False),
    ]

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self._shown = ""

    @property
    def crumb(self) -> str:
        """What is done to which Network."""
        return f"{'Detach' if self._run.order.detaches else 'Attach'} {self._run.order.network}"

    def body(self) -> ComposeResult:
        """One line that says where it stands, and all the rest to scroll."""
        yield Line(id="head")
        with VerticalScroll(id="change"):
            yield Detail(id="lines")
            yield Static("", id="diff", markup=False)

    def on_mount(self) -> None:
        """Have it planned."""
        if self._run.stage == stage.PLANNING:
            self._plan()

    def refresh_rows(self) -> None:
        """The change went on."""
        self._show()
        if self._run.stage != self._shown:
            self._shown = self._run.stage
            self.query_one("#change", VerticalScroll).scroll_home(animate=False)
            self.refresh_bindings()

    def refresh_lines(self) -> None:
        """The countdown goes on."""
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Its own keys are there at their stage only."""
        if action in ACTIONS and (
            self._run.stage != ACTIONS[action] or (action == "apply_change" and not self._run.ready)
        ):
            return False
        if action in ("filter", "sort_next", "sort_reverse", "open_row"):
            return False  # there is no table
        return super().check_action(action, parameters)

    # -- actions ----------------------------------------------------------------------------------------------

    def action_scroll_change(self, step: int) -> None:
        """By a line."""
        self.query_one("#change", VerticalScroll).scroll_relative(y=step, animate=False)

    def action_apply_change(self) -> None:
        """Make the change; a protected context wants the Network's name typed first."""
        if not self._run.ready or not self.app.permits(action("apply_change")):
            return
        if self.app.guard.protected:
            self.app.confirm(action("apply_change"), self._apply, name=self._run.order.network)
        else:
            self._apply()

    def action_keep_change(self) -> None:
        """Confirm on every node that waits."""
        self._run.word(True)

    def action_take_back(self) -> None:
        """Roll back at once on every node that waits."""
        self._run.word(False)

    # -- inner ------------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        async def work() -> None:
            await self._run.plan(self._session())
            error = self._run.error
            if isinstance(error, ManagementPathError) and self.is_current:
                self.app.push_screen(TypeNode(error), lambda sure: self._typed(error.node, sure))

        self.app.do(work())

    def _typed(self, node: str, sure: bool | None) -> None:
        if sure:
            self._run.allow(node)
            self._plan()

    def _apply(self) -> None:
        if self._run.ready:
            # The app's worker: a change that has begun is followed to its end also when this screen is left.
            self.app.run_worker(self._carry_out(), group="changes", exit_on_error=True)

    async def _carry_out(self) -> None:
        from bascule_console.services.trunk_looks import prove

        session = self._session()
        await self._run.apply(session)
        self.app.run_worker(prove(session), group="proof")  # what was proven before was another trunk
        if not self.is_attached:
            network = self._run.order.network
            said = "kept by every node" if self._run.kept else "not kept; :journal shows what was done"
            self.app.notify(escape(f"trunks of {network}: {said}"), markup=False)

    def _session(self) -> Session:
        if self.app.session is None:
            raise UnreachableError("there is no cluster to change", fix="start the console on a kubeconfig")
        return self.app.session

    def _show(self) -> None:
        run, glyphs = self._run, self.glyphs
        self.query_one("#head", Line).show(words.head(run, glyphs))
        self.query_one("#lines", Detail).show_lines(self._lines())
        diffs = (
            [change.diff for change in run.rehearsal.changes] if run.rehearsal and run.stage == stage.PLANNED else []
        )
        self.query_one("#diff", Static).update(diff_text(self.app, "\n".join(diffs)) if diffs else Text(""))

    def _lines(self) -> list[Parts]:
        run, glyphs = self._run, self.glyphs
        lines = words.problem(run.error, glyphs) if run.error else []
        if run.trial is None:
            return lines or [[("Nothing is changed by planning.", "muted")]]
        if run.stage in (stage.PLANNING, stage.PLANNED):
            nodes = [Node.of(node) for node in self.app.store.inventory.all(NODES)]
            lines += preview(run.trial.before, run.trial.after, nodes, glyphs)
            for node in sorted(run.trial.plans):
                lines += words.planned(run.trial, node, glyphs)
            return [*lines, *words.notes(run, glyphs)]
        for node in sorted(run.trial.targets):
            lines += words.state(node, run.trial.states.get(node), time.time_ns(), glyphs)
        return [*lines, *(words.ending(run, glyphs) if run.stage == stage.ENDED else [])]
