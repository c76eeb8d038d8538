"""One page of the wizard: words, problems, progress, answers, what can be done, what would be applied, facts.

It shows a `Page` as it is and decides nothing; shown again, what is in hand stays in hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widget import Widget

from bascule.errors import BasculeError
from bascule.migration.wizard_page import Action, Page, Problem
from bascule_console.screens.wizard import words
from bascule_console.screens.wizard.facts import FactsTable
from bascule_console.screens.wizard.fields import FieldRow, Fields, row_of
from bascule_console.screens.wizard.lists import Applies, Doings, Problems
from bascule_console.screens.wizard.progress import ProgressBlock
from bascule_console.widgets.detail import Detail
from bascule_console.widgets.glyphs import Glyphs

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp


class PageView(VerticalScroll):
    """Sections one under the other; each takes the keys as a whole."""

    app: BasculeApp

    def __init__(self) -> None:
        super().__init__(id="page")
        self.page: Page | None = None

    def compose(self) -> ComposeResult:
        yield Detail(id="complaint")
        yield Detail(id="explains")
        yield Problems(id="problems")
        yield ProgressBlock(self.app.glyphs)
        yield Fields()
        yield Doings(id="doings")
        yield Applies(id="applies")
        yield Vertical(id="facts")

    def on_mount(self) -> None:
        """Nothing went wrong yet."""
        self.query_one("#complaint").display = False

    @property
    def glyphs(self) -> Glyphs:
        """The symbols of this terminal."""
        return self.app.glyphs

    @property
    def fields(self) -> Fields:
        """The answers."""
        return self.query_one(Fields)

    async def show(self, page: Page, doings: list[Action], error: BasculeError | None) -> None:
        """This page, with the actions that this session permits, and what went wrong last."""
        fresh = self.page is None or self.page.id != page.id
        self.page = page
        self.complain(error)
        self.query_one("#explains", Detail).show_lines(words.explained(page, self.glyphs))
        problems = self.query_one(Problems)
        problems.labels = {each.id: each.label for each in page.fields}
        problems.show(page.problems)
        self.query_one(ProgressBlock).take(page.progress)
        await self.fields.show(page.fields)
        self.offer(doings)
        await self._show_facts(page)
        self.query_one(Applies).show(page.applies)
        if fresh:
            self.scroll_home(animate=False)

    def offer(self, doings: list[Action]) -> None:
        """What can be done."""
        self.query_one(Doings).show(doings)

    def complain(self, error: BasculeError | None) -> None:
        """What went wrong last, at the top; None takes it away."""
        self.query_one("#complaint", Detail).show_lines(words.complaint(error, self.glyphs) if error else [])
        if error is not None:
            self.scroll_home(animate=False)

    async def _show_facts(self, page: Page) -> None:
        box = self.query_one("#facts", Vertical)
        there = [*box.query(FactsTable)]
        if [each.facts.id for each in there] == [each.id for each in page.facts]:
            for each, facts in zip(there, page.facts, strict=True):
                each.take(facts)
            return
        await box.remove_children()
        await box.mount_all(FactsTable(each, self.glyphs) for each in page.facts)
        for each in box.query(FactsTable):
            each.table.tick()
            each.show()

    # -- who has the keys -------------------------------------------------------------------------------------

    def sections(self) -> list[Widget]:
        """What Tab goes through: this page itself (it scrolls), then what takes keys in each section."""
        found: list[Widget] = [self]
        for listed in (self.query_one(Problems), self.query_one(ProgressBlock)):
            if listed.display:
                found.append(listed.options if isinstance(listed, Problems) else listed.table)
        rows = self.fields.rows
        if rows:
            here = row_of(self.screen.focused)
            found.append((here or _first(rows)).control)
        if (doings := self.query_one(Doings)).display:
            found.append(doings.options)
        if (applies := self.query_one(Applies)).display:
            found.append(applies.options)
        found += [each.table for each in self.query(FactsTable) if each.facts.rows]
        return found

    def begin(self) -> None:
        """Arrived: where something has to be typed first, the cursor is there; else the page can be read."""
        assert self.page is not None
        rows = self.fields.rows
        blank = bool(rows) and not self.page.next.allowed and not rows[0].field.value and not self.page.problems
        (rows[0].control if blank else self).focus()

    def into_fields(self) -> None:
        """To the first answer that is open."""
        if rows := self.fields.rows:
            _first(rows).control.focus()

    def into(self, identity: str) -> None:
        """To one field."""
        row = self.fields.row(identity)
        if row is not None:
            row.control.focus()
            self.scroll_to_widget(row, animate=False)

    def next_problem(self, here: str) -> Problem | None:
        """The first problem that a field mends, after the one that the field `here` mends."""
        found = [each for each in self.page.problems if each.field] if self.page else []
        fields = [*dict.fromkeys(each.field for each in found)]
        if not fields:
            return None
        wanted = fields[(fields.index(here) + 1) % len(fields)] if here in fields else fields[0]
        return next(each for each in found if each.field == wanted)

    def turn(self, by: int) -> Widget:
        """The section after, or before, the one that has the keys."""
        found = self.sections()
        focused = self.screen.focused
        at = next((at for at, each in enumerate(found) if each is focused), 0)
        return found[(at + by) % len(found)]


def _first(rows: list[FieldRow]) -> FieldRow:
    """The first field with an error, else the first without an answer, else the first."""
    wrong = next((row for row in rows if row.field.error), None)
    return wrong or next((row for row in rows if not row.field.value), rows[0])
