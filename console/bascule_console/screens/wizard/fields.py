"""The answers of a page as a form: a line each, the complaint under the field it is about, help under the one in hand.

What is typed is never lost: it stays in its field until it is answered, also when the page is made anew meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input, Label, Static

from bascule.migration.wizard_page import CHOICE, PATH, YES_NO, Choice, Field
from bascule.text import escape
from bascule_console.screens.wizard.choice import Choose
from bascule_console.screens.wizard.complete import SHOWN, completed
from bascule_console.widgets.columns import cells
from bascule_console.widgets.difftext import note_line
from bascule_console.widgets.lines import Line

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp

YES_OR_NO = (Choice("yes", "yes"), Choice("no", "no"))
LONG_LABEL = 26  # cells; a longer one stands above its control


class _Paths(Suggester):
    """The first file in grey behind the cursor; the right arrow takes it."""

    def __init__(self, *, many: bool) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._many = many

    async def get_suggestion(self, value: str) -> str | None:
        return next(iter(await asyncio.to_thread(completed, value, many=self._many)), None) if value else None


class Answer(Input):
    """Typed text; in an empty one the right arrow takes what counts already, to be kept or changed."""

    default = ""

    def action_cursor_right(self, select: bool = False) -> None:
        """On, or take the default, or take what is offered in grey."""
        if not self.value and self.default:
            self.value = self.default
            self.cursor_position = len(self.value)
        else:
            super().action_cursor_right(select)


class FieldRow(Vertical):
    """One field. `told` is what the page has; what is in the control may be newer."""

    app: BasculeApp

    class Answered(Message):
        """The answer is finished: left, chosen, or entered."""

        def __init__(self, row: FieldRow) -> None:
            super().__init__()
            self.row = row

    class Step(Message):
        """On to the next field, or back to the one before."""

        def __init__(self, row: FieldRow, by: int) -> None:
            super().__init__()
            self.row, self.by = row, by

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,enter", "step(1)", "Next field", show=False),
        Binding("up", "step(-1)", "Field before", show=False),
    ]

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.field = field
        self._told = escape(field.value) if field.given else ""
        self._refused = ""
        self._offer: list[str] = []

    def compose(self) -> ComposeResult:
        asked = self.field.kind == YES_NO
        self.set_class(asked, "-asked")
        self.set_class(not asked and (cells(escape(self.field.label)) >= LONG_LABEL or _wordy(self.field)), "-long")
        with Container(classes="asks"):
            yield Label(Text(escape(self.field.label)))
            if self.field.kind in (CHOICE, YES_NO):
                yield Choose(choices(self.field), self.field.value)
            else:
                suggester = _Paths(many=self.field.many) if self.field.kind == PATH else None
                box = Answer(
                    self._told,
                    placeholder=placeholder(self.field),
                    compact=True,
                    suggester=suggester,
                    select_on_focus=False,  # what is typed adds to the answer, it does not replace it
                )
                box.cursor_blink = False  # a repaint every half second, over SSH too
                yield box
        yield Static("", classes="under", markup=False)

    def on_mount(self) -> None:
        """Say what is wrong with it."""
        self._default()
        self._say()

    @property
    def control(self) -> Input | Choose:
        """What takes the keys."""
        found = self.query_one(".asks").children[1]
        assert isinstance(found, (Input, Choose))
        return found

    @property
    def value(self) -> str:
        """What stands in the control."""
        return self.control.value

    @property
    def owing(self) -> bool:
        """Whether what stands there was not answered yet."""
        control = self.control
        return control.value != (self.field.value if isinstance(control, Choose) else self._told)

    def take(self, field: Field) -> None:
        """The page was made anew; what is being typed stays."""
        if not self.query(".asks"):  # not composed yet, or closing already
            self.field = field
            return
        control, owing = self.control, self.owing
        same = field.label == self.field.label
        self.field, told = field, escape(field.value) if field.given else ""
        if told != self._told:
            self._refused = ""
        self._told = told
        if not same:
            self.query_one(Label).update(Text(escape(field.label)))
        if isinstance(control, Choose):
            control.offer(choices(field), field.value)
        else:
            self._default()
            if not owing and control.value != told:
                control.value = told
        self._say()

    def kept(self) -> None:
        """The answer was taken."""
        self._told = self.value

    def _default(self) -> None:
        control = self.control
        if isinstance(control, Answer):
            control.placeholder = placeholder(self.field)
            control.default = "" if self.field.given else escape(self.field.value)

    def refuse(self, words: str) -> None:
        """The answer was not taken: say why; what is typed stays."""
        self._refused = words
        self._say()

    def action_step(self, by: int) -> None:
        """To a neighbour."""
        self.post_message(self.Step(self, by))

    # -- inner ------------------------------------------------------------------------------------------------

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Entered: on to the next field."""
        event.stop()
        self.post_message(self.Answered(self))
        self.post_message(self.Step(self, 1))

    def on_input_changed(self, event: Input.Changed) -> None:
        """What was refused is being mended; what a path could become is looked up."""
        event.stop()
        self._refused = ""
        if self.field.kind == PATH:
            self.run_worker(self._look_up(event.value), exclusive=True, exit_on_error=True)

    def on_choose_chosen(self, event: Choose.Chosen) -> None:
        """Chosen is answered."""
        event.stop()
        self.post_message(self.Answered(self))

    def on_descendant_focus(self) -> None:
        """In hand: its help stands under it."""
        self.set_class(True, "-in-hand")
        self._say()

    def on_descendant_blur(self) -> None:
        """Left is answered."""
        self.set_class(False, "-in-hand")
        self._say()
        if self.owing:
            self.post_message(self.Answered(self))

    async def _look_up(self, value: str) -> None:
        found = await asyncio.to_thread(completed, value, many=self.field.many) if value else []
        self._offer = [each for each in found[: SHOWN + 1] if each != value]
        self._say()

    def _say(self) -> None:
        under = self.query_one(".under", Static)
        app, wrong = self.app, self._refused or self.field.error
        lines = [note_line(app, app.glyphs, "error", [wrong])] if wrong else []
        if self.has_class("-in-hand"):
            lines += [Text(escape(words), "dim" if app.no_color else "") for words in self._help() if words]
        under.update(Text("\n").join(lines))
        under.display = bool(lines)

    def _help(self) -> list[str]:
        if self._offer and isinstance(self.control, Input):
            names = "  ".join(
                each.rstrip("/").rpartition("/")[2] + ("/" if each.endswith("/") else "")
                for each in self._offer[:SHOWN]
            )
            more = "  " + self.app.glyphs.more if len(self._offer) > SHOWN else ""
            return [f"right takes the first: {names}{more}"]
        if isinstance(self.control, Choose):
            taken = "; delete takes the answer back" if self.field.given else ""
            return [self.field.help, f"left and right choose{taken}"]
        default = self.control.default if isinstance(self.control, Answer) and not self.control.value else ""
        return [self.field.help, "right takes what is there" if default else ""]


class Fields(Vertical):
    """The fields of one page, one under the other; up and down go between them."""

    DEFAULT_CSS = """
    Fields { height: auto; }
    Fields FieldRow { height: auto; padding: 0 1; }
    Fields .asks { height: auto; layout: horizontal; }
    Fields Label { width: 27; padding: 0 1 0 0; color: $foreground; height: auto; }
    Fields .-long .asks { layout: vertical; }
    Fields .-long Label { width: 100%; padding: 0; }
    Fields .-asked Label { width: 1fr; }
    Fields .-asked Choose { width: 27; }
    Fields Input, Fields Input:focus {
        border: none; height: 1; padding: 0 1 !important; background: $panel; color: $foreground; width: 1fr;
    }
    Fields Input:focus, Fields Choose:focus { background: $cursor-blurred; color: $cursor-blurred-ink; }
    Fields Input:focus > .input--placeholder, Fields Input:focus > .input--suggestion { color: $cursor-blurred-ink; }
    Fields Input > .input--placeholder, Fields Input > .input--suggestion { color: $muted; }
    Fields .under { height: auto; padding: 0 0 0 2; color: $muted; }
    """

    def __init__(self) -> None:
        super().__init__(id="fields")
        self.display = False

    def compose(self) -> ComposeResult:
        yield Line(id="fields-head")

    async def show(self, fields: Sequence[Field]) -> None:
        """These fields; the same ones keep their control, focus and what is typed."""
        self.display = bool(fields)
        given = sum(1 for each in fields if each.given)
        self.query_one(Line).show(
            [(" Your answers ", "strong"), (f"{given} given of {len(fields)}", "")],
            [("enter, up and down; esc out ", "muted")],
        )
        rows = self.rows
        if [(row.field.id, row.field.kind) for row in rows] != [(each.id, each.kind) for each in fields]:
            rows = await self._rearrange(rows, fields)
        for row, field in zip(rows, fields, strict=True):
            row.take(field)

    async def _rearrange(self, rows: list[FieldRow], fields: Sequence[Field]) -> list[FieldRow]:
        kept = {(row.field.id, row.field.kind): row for row in rows}
        wanted = [kept.pop(key) if (key := (each.id, each.kind)) in kept else FieldRow(each) for each in fields]
        for gone in kept.values():
            await gone.remove()
        before: FieldRow | Line = self.query_one(Line)
        for row in wanted:
            if row.parent is None:
                await self.mount(row, after=before)
            else:
                self.move_child(row, after=before)
            before = row
        return wanted

    @property
    def rows(self) -> list[FieldRow]:
        """Every field, in order."""
        return [*self.query(FieldRow)]

    def row(self, identity: str) -> FieldRow | None:
        """The field of that id."""
        return next((row for row in self.rows if row.field.id == identity), None)

    def on_field_row_step(self, event: FieldRow.Step) -> None:
        """The neighbour takes the keys; the first and the last keep them."""
        event.stop()
        rows = self.rows
        at = rows.index(event.row) + event.by
        if 0 <= at < len(rows):
            rows[at].control.focus()


def choices(field: Field) -> tuple[Choice, ...]:
    """What may be answered."""
    return field.choices or (YES_OR_NO if field.kind == YES_NO else ())


def _wordy(field: Field) -> bool:
    """Whether its answers want the whole width."""
    return sum(cells(escape(each.label or each.value)) + 3 for each in field.choices) > LONG_LABEL * 2


def placeholder(field: Field) -> str:
    """What counts while nothing is typed."""
    default = "" if field.given else field.value
    return escape(f"as it is: {default}") if default else "empty"


def row_of(widget: Widget | None) -> FieldRow | None:
    """The field that a widget is part of."""
    return next((each for each in widget.ancestors_with_self if isinstance(each, FieldRow)), None) if widget else None
