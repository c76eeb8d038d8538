"""The wizard: nine steps from an old estate to VMs that run on their old addresses.

It shows the page that services/wizard makes and hands back answers; whatever takes long runs beside it, one after the
other, so that keys are always taken. What was typed is not lost by leaving: an answer is kept when its field is left.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.css.query import NoMatches

from bascule.errors import BasculeError
from bascule.migration.wizard import STEPS
from bascule.migration.wizard_page import Action as Doing
from bascule.migration.wizard_page import Apply, Page, Problem
from bascule_console.actions.registry import action
from bascule_console.screens.base import TYPED
from bascule_console.screens.dialogs import TextDialog
from bascule_console.screens.wizard import words
from bascule_console.screens.wizard.asking import Asks
from bascule_console.screens.wizard.dialogs import DiffDialog, PickDialog
from bascule_console.screens.wizard.doing import DoesThings
from bascule_console.screens.wizard.facts import FactsTable
from bascule_console.screens.wizard.fields import FieldRow, row_of
from bascule_console.screens.wizard.lists import Listed
from bascule_console.screens.wizard.page import PageView
from bascule_console.screens.wizard.progress import ProgressBlock
from bascule_console.widgets.detail import Detail
from bascule_console.widgets.lines import Line
from bascule_console.widgets.prompt import PromptInput
from bascule_console.widgets.table import GridTable

if TYPE_CHECKING:
    from bascule_console.services.wizard import Wizard

WIDE = 120
POLL_S = 1.0
OWN = ("wizard_next", "wizard_previous", "wizard_answer", "wizard_act", "wizard_mend", "wizard_show", "wizard_steps")
Job = Callable[[], Awaitable[Page]]


class WizardScreen(DoesThings, Asks):
    """Shows the wizard and drives it."""

    MODE = "wizard"
    TOPICS = ()
    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = "#page"
    BINDINGS = [
        # With priority the focus has moved before the next key is sent: on a slow line several come at once.
        Binding("tab", "turn(1)", "Next part", priority=True, show=False),
        Binding("shift+tab", "turn(-1)", "Part before", priority=True, show=False),
        Binding("pagedown", "leaf(1)", "Page down", show=False),
        Binding("pageup", "leaf(-1)", "Page up", show=False),
        Binding("j", "line(1)", show=False),
        Binding("k", "line(-1)", show=False),
        *(Binding(str(number), f"go_to('{step}')", show=False) for number, step in enumerate(STEPS, 1)),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._lock = asyncio.Lock()
        self._busy, self._since_s, self._asked_s = "", 0.0, 0.0
        self._summaries: dict[str, str] = {}
        self._errors: dict[str, int] = {}
        self._error: BasculeError | None = None
        self._ran = False

    # -- what is there ----------------------------------------------------------------------------------------

    def body(self) -> ComposeResult:
        """The steps, where one stands, and the page."""
        yield Line(id="strip")
        yield Line(id="head")
        with Container(id="wizard"):
            with Container(id="rail"):
                yield Detail(id="steps")
            yield PageView()
        yield Line(id="onward")

    @property
    def view(self) -> PageView:
        """The page."""
        return self.query_one(PageView)

    @property
    def page(self) -> Page | None:
        """What is shown; None while nothing is."""
        found = self.query(PageView)
        return found.first().page if found else None

    def on_mount(self) -> None:
        """Resume where one left, or begin."""
        self.work("reading", self._open)  # not super's: Textual calls that one by itself

    @on(events.Unmount)
    async def _close(self) -> None:
        """The run pauses after the action that it is at; everything else is kept already."""
        if self.wizard is not None:
            await self.wizard.close()

    def on_resize(self, event: events.Resize) -> None:
        """The steps stand beside the page where there is room, else above it."""
        self.set_class(event.size.width >= WIDE, "-wide")

    def refresh_rows(self) -> None:
        """Rights changed: other things can be done."""
        super().refresh_rows()
        if self.page is not None:
            self.view.offer(self.doings(self.page))

    def refresh_lines(self) -> None:
        """Steps and head; while something runs, the page is asked for again."""
        if len(self.query("#strip, #head, #steps, #onward")) < 4:  # the app ends
            return
        super().refresh_lines()
        now = time.monotonic()
        busy = self._busy or self.doing
        self.query_one("#head", Line).show(*words.head(self.page, busy, now - self._since_s, self.glyphs))
        typing = self.focused is not None and self.focused.check_consume_key(TYPED, TYPED)
        key = "ctrl+n" if typing else "n"
        self.query_one("#onward", Line).show(words.onward(self.page, key, self.glyphs))
        if self.wizard is None:
            return
        state, glyphs = self.wizard.state, self.glyphs
        self.query_one("#strip", Line).show(words.strip(state, self._errors, glyphs))
        self.query_one("#steps", Detail).show_lines(words.rail(state, self._errors, self._summaries, glyphs))
        runs = self.wizard.running or bool(self.doing)
        if (runs or self._ran) and not self._busy and now - self._asked_s >= POLL_S:
            self._ran = runs  # once more after it ended: how it ended is on the page
            self.again(quietly=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the page has nothing for is not there."""
        if action == "turn":
            return not isinstance(self.focused, PromptInput)
        if action in ("filter", "sort_next", "sort_reverse", "open_row") and not isinstance(self.focused, GridTable):
            return False
        if action == "switch_table":
            return False  # Tab goes through every part, tables among them
        if action in OWN and not self._makes_sense(action):
            return False
        return super().check_action(action, parameters)

    def _makes_sense(self, name: str) -> bool:
        page = self.page
        if page is None:
            return False
        return {
            "wizard_next": page.id != STEPS[-1],
            "wizard_previous": page.back.allowed,
            "wizard_answer": bool(page.fields),
            "wizard_act": bool(self.doings(page)),
            "wizard_mend": any(each.field for each in page.problems),
            "wizard_show": bool(page.applies),
        }.get(name, True)

    # -- work beside the screen -------------------------------------------------------------------------------

    def work(self, busy: str, job: Job, then: Callable[[], None] | None = None, *, clears: bool = True) -> None:
        """Have a page made, after whatever was asked for before; `then` follows once it is shown. What went wrong
        before is settled by it, where it `clears`."""
        self.run_worker(self._work(busy, job, then, clears), group="wizard", exit_on_error=True)

    async def _work(self, busy: str, job: Job, then: Callable[[], None] | None, clears: bool) -> None:
        async with self._lock:
            self._busy, self._since_s = busy, time.monotonic()
            self.show_lines()
            if clears:
                self._error = None
            try:
                await self._show(await job())
            except BasculeError as error:
                self.fail(error)
                return
            finally:
                self._busy, self._asked_s = "", time.monotonic()
                self.show_lines()
        if then is not None:
            then()

    async def _open(self) -> Page:
        """Resume. A state that cannot be read was kept aside: say so, and begin anew."""
        await asyncio.to_thread(importlib.import_module, "bascule_console.services.wizard")
        from bascule_console.services.wizard import Wizard

        access = self.app.session.access if self.app.session else None
        resume = partial(Wizard.open, access, guard=self.refuse, ask=partial(self.ask, asyncio.get_running_loop()))
        try:
            self.wizard = await asyncio.to_thread(resume)
        except BasculeError as error:
            error.fix = f"{error.fix.partition(';')[0]}; this is a new walk"
            self._error = error
            self.wizard = await asyncio.to_thread(resume)
        page = await self.wizard.page()
        self.run_worker(self._look_round(), group="round", exclusive=True, exit_on_error=True)
        return page

    async def _show(self, page: Page) -> None:
        if not self.is_attached:
            return
        arrived = self.page is None or self.page.id != page.id
        self._know(page)
        # One repaint, not half a page; and the app may end meanwhile: parts of the page are gone then.
        with self.app.batch_update(), suppress(NoMatches):
            await self.view.show(page, self.doings(page), self._error)
            if arrived:
                self.view.begin()
        self.refresh_bindings()
        self.show_lines()

    def _know(self, page: Page) -> None:
        self._summaries[page.id] = page.summary
        self._errors[page.id] = sum(1 for each in page.problems if each.verdict == "error")

    async def _look_round(self) -> None:
        """What every step that was reached has to say, for the list of steps."""
        wizard = self.wizard
        assert wizard is not None
        for step in STEPS[: STEPS.index(wizard.state.reached) + 1]:
            async with self._lock:
                if step != wizard.state.step:
                    self._know(await wizard.page(step))
        self.show_lines()

    def fail(self, error: BasculeError) -> None:
        """Message, cause and fix, on the page."""
        if not self.is_attached:
            self.app.say(error)
            return
        self._error = error
        self.view.complain(error)
        self.show_lines()

    def again(self, *, quietly: bool = False) -> None:
        """Have the page made anew; `quietly` while something runs, once a second."""
        wizard = self.wizard
        if wizard is not None:
            self._asked_s = time.monotonic()
            self._ran = self._ran or not quietly  # what was just done may have ended before it is looked at
            self.work("" if quietly else "looking", wizard.page, clears=False)

    # -- answers ----------------------------------------------------------------------------------------------

    def on_field_row_answered(self, event: FieldRow.Answered) -> None:
        """Keep it, and show what it makes of the page."""
        event.stop()
        self.work("working it out", lambda: self._answer(event.row))

    async def _answer(self, *rows: FieldRow) -> Page:
        """Keep what these fields have; one that is not understood says so and keeps what is typed."""
        wizard = self._opened()
        page = self.page
        for row in rows:
            if row.is_attached and row.owing:
                try:
                    page = await wizard.answer(row.field.id, row.value)
                    row.kept()
                except BasculeError as error:
                    row.refuse(": ".join(part for part in (error.message, error.cause, error.fix) if part))
                    raise
        self.run_worker(self._look_round(), group="round", exclusive=True, exit_on_error=True)
        return page if page is not None else await wizard.page()

    def _leave_for(self, busy: str, job: Job) -> None:
        """Keep what is typed, then go."""

        async def both() -> Page:
            await self._answer(*self.view.fields.rows)
            return await job()

        # Once the field has taken in every key that came before this one.
        (self.focused or self).call_later(self.work, busy, both)

    def _opened(self) -> Wizard:
        assert self.wizard is not None  # there is a page
        return self.wizard

    # -- actions ----------------------------------------------------------------------------------------------

    def action_wizard_next(self) -> None:
        """One step on, or why not."""
        self._leave_for("making the next step", lambda: self._opened().next())

    def action_wizard_previous(self) -> None:
        """One step back; answers are kept."""
        self._leave_for("going back", lambda: self._opened().back())

    def action_go_to(self, step: str) -> None:
        """To a step that was reached."""
        if self.wizard is not None:
            self._leave_for("going there", lambda: self._opened().go(step))

    def action_wizard_steps(self) -> None:
        """Choose a step that was reached."""
        state = self._opened().state
        lines = words.chooser(state, self._errors, self._summaries, self.glyphs)
        can = [STEPS.index(step) <= STEPS.index(state.reached) for step in STEPS]

        def chosen(at: int | None) -> None:
            if at is not None:
                self.action_go_to(STEPS[at])

        self.app.push_screen(PickDialog("Steps", lines, can, STEPS.index(state.step)), chosen)

    def action_wizard_answer(self) -> None:
        """The first field that has something open."""
        self.view.into_fields()

    def action_wizard_mend(self) -> None:
        """The field that mends the next problem."""
        here = row_of(self.focused)
        problem = self.view.next_problem(here.field.id if here else "")
        if problem is not None:
            self._mend(problem)

    def action_wizard_act(self) -> None:
        """What this page offers to do."""
        page = self.page
        if page is not None:
            (self.focused or self).call_later(self.choose_doing, page)

    def action_wizard_show(self) -> None:
        """Everything that would be applied, as one diff."""
        if self.page is not None:
            self._diff(f"{len(self.page.applies)} objects", [*self.page.applies])

    def action_wizard_restart(self) -> None:
        """Forget every answer, once asked."""
        wizard = self._opened()
        self.app.confirm(action("wizard_restart"), lambda: self.work("beginning anew", wizard.restart), name="wizard")

    def on_descendant_focus(self) -> None:
        """Another key goes on while one types."""
        self.call_later(self.show_lines)

    def action_turn(self, by: int) -> None:
        """The next part of the page takes the keys."""
        self.view.turn(by).focus()

    def action_leaf(self, by: int) -> None:
        """A screenful down or up."""
        self.view.scroll_relative(y=by * max(1, self.view.size.height - 2), animate=False)

    def action_line(self, by: int) -> None:
        """A line down or up."""
        self.view.scroll_relative(y=by, animate=False)

    def action_back(self) -> None:
        """Out of a part of the page, what is typed is kept; else to where one came from."""
        if self.focused is None or self.focused is self.view:
            super().action_back()
        else:
            self.view.focus()

    def action_open_row(self) -> None:
        """A row with all its cells; on the page itself, into the answers."""
        focused = self.focused
        blocks = [*self.query(FactsTable), self.query_one(ProgressBlock)]
        block = next((each for each in blocks if each.table is focused), None)
        if block is None:
            self.view.into_fields()
        elif (opened := block.opened()) is not None:
            title, facts = opened
            self.app.push_screen(
                TextDialog(title, [line for name, text in facts for line in (f"{name}:", f"  {text}")])
            )

    def on_listed_opened(self, event: Listed.Opened) -> None:
        """A problem is mended, an action begun, a diff shown."""
        event.stop()
        if isinstance(event.entry, Problem):
            self._mend(event.entry)
        elif isinstance(event.entry, Apply):
            self._diff(event.entry.object, [event.entry])
        elif isinstance(event.entry, Doing):
            self.begin(event.entry)

    def _mend(self, problem: Problem) -> None:
        step = problem.field.partition(".")[0]
        page = self.page
        if not problem.field or page is None:
            fix = problem.fix or "nothing on this page mends it"
            self.app.notify(fix, title="Outside the wizard", markup=False)
        elif step == page.id:
            self.view.into(problem.field)
        else:
            self.work("going there", lambda: self._opened().go(step), lambda: self.view.into(problem.field))

    def _diff(self, title: str, applies: list[Apply]) -> None:
        whole = "\n".join(f"@@ {each.verb} {each.object}\n{each.diff}" for each in applies if each.diff)
        self.app.push_screen(DiffDialog(title, whole or "nothing would change"))
