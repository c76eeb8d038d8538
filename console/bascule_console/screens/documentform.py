"""A short form of one object: fields, a text of lines below them, complaints under what they are about; ctrl+s has it
tried on the server."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static, TextArea

from bascule_console.actions.model import Action
from bascule_console.screens.dialogs import DIALOG_CSS
from bascule_console.services.networkform import Mistake
from bascule_console.services.proposal import Note, Proposal
from bascule_console.widgets.difftext import note_line

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from bascule_console.app import BasculeApp

Told = dict[str, list[tuple[str, str]]]
"""By field, (severity, words)."""


class DocumentForm(ModalScreen[None]):
    """Make an object (`base` None) or change one. The last of FIELDS is the text below the others."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="DocumentForm")
        + """
    DocumentForm VerticalScroll { height: auto; scrollbar-size: 1 1; }
    DocumentForm Label { width: 13; color: $foreground; }
    DocumentForm .row { layout: horizontal; height: 1; }
    DocumentForm Input, DocumentForm Input:focus {
        border: none; height: 1; padding: 0 1 !important; background: $panel; color: $foreground; width: 1fr;
    }
    DocumentForm Input:focus { background: $cursor-blurred; color: $cursor-blurred-ink; }
    DocumentForm TextArea { border: none; padding: 0 1; background: $panel; color: $foreground; }
    DocumentForm TextArea:focus { border: none; }
    DocumentForm .wrong { color: $severity-error; display: none; padding: 0 0 0 13; }
    DocumentForm .-shown { display: block; }
    DocumentForm .hint { color: $muted; }
    DocumentForm #keys { color: $muted; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "review", "Try it", priority=True),
        Binding("escape", "leave", "Leave", priority=True),
        Binding("ctrl+y", "as_yaml", "As YAML", priority=True),
        # With priority the focus has moved before the next key is sent: on a slow line several come at once.
        Binding("tab", "app.focus_next", "Next field", priority=True, show=False),
        Binding("shift+tab", "app.focus_previous", "Field before", priority=True, show=False),
    ]
    FIELDS: ClassVar[tuple[str, ...]] = ()
    AROUND: ClassVar[int] = 3  # lines that are always in sight: border and keys
    app: BasculeApp

    def __init__(self, action: Action, base: dict[str, Any] | None) -> None:
        super().__init__()
        self._action, self._base = action, base

    # -- what a form overrides --------------------------------------------------------------------------------

    @abstractmethod
    def made(self) -> tuple[dict[str, Any], Sequence[Mistake]]:
        """The object that is typed, and what is wrong with it as a form."""

    @abstractmethod
    def lint(self, document: dict[str, Any]) -> list[Note]:
        """What lint says about the object where it is going."""

    @abstractmethod
    def place(self, note: Note) -> tuple[str, int]:
        """The field a note is about, and the line in it, 0 for all of it."""

    @abstractmethod
    def propose(self, document: dict[str, Any]) -> Awaitable[Proposal]:
        """The change, worked out with the server."""

    @abstractmethod
    def edit_yaml(self, text: str) -> ModalScreen[Any]:
        """Where to go on in YAML."""

    def words(self, note: Note) -> str:
        """What stands under the field."""
        return note.message

    # -- the same for all -------------------------------------------------------------------------------------

    def typed(self) -> dict[str, str]:
        """What stands in the fields."""
        *inputs, lines = self.FIELDS
        found = {field: self.query_one(f"#{field}", Input).value for field in inputs}
        return {**found, lines: self.query_one(f"#{lines}", TextArea).text}

    def on_resize(self) -> None:
        """On a small terminal the fields scroll; the keys stay in sight."""
        self.query_one(VerticalScroll).styles.max_height = max(3, self.size.height - self.AROUND)

    def on_input_changed(self) -> None:
        """Look at it again, once the typing rests."""
        self.set_timer(0.2, self.check, name="check")

    def on_text_area_changed(self) -> None:
        """Likewise."""
        self.set_timer(0.2, self.check, name="check")

    def check(self) -> bool:
        """Put every complaint under its field; True when there is no error."""
        document, mistakes = self.made()
        told: Told = {}
        for mistake in mistakes:
            told.setdefault(mistake.field, []).append(("error", _at(mistake.line) + mistake.message))
        notes = [] if mistakes else self.lint(document)
        self._tell(told, notes)
        return not mistakes and not any(note.severity == "error" for note in notes)

    def _tell(self, told: Told, notes: Sequence[Note]) -> None:
        for note in notes:
            field, line = self.place(note)
            told.setdefault(field, []).append((note.severity, _at(line) + self.words(note)))
        for field in self.FIELDS:
            wrong = self.query_one(f"#{field}-wrong", Static)
            lines = [note_line(self.app, self.app.glyphs, severity, [words]) for severity, words in told.get(field, ())]
            wrong.update(Text("\n").join(lines))
            wrong.set_class(bool(lines), "-shown")

    def action_review(self) -> None:
        """Once the field has taken in every key that came before this one, look at what is typed."""
        (self.focused or self).call_later(self._review)

    def _review(self) -> None:
        """What the server says and what would change, if nothing is wrong here already."""
        from bascule_console.screens.review.screen import Review

        if not self.check():
            self.app.notify("mend what stands under the fields first", severity="warning", markup=False)
            return
        self.app.push_screen(Review(self._action, self.propose(self.made()[0])), self._reviewed)

    def _reviewed(self, notes: list[Note] | None) -> None:
        if notes == []:
            self.dismiss(None)
        elif notes:
            self.reviewed(notes)

    def reviewed(self, notes: list[Note]) -> None:
        """Say what the review found."""
        self._tell({}, notes)

    def action_as_yaml(self) -> None:
        """Go on in YAML with what is typed so far."""
        from bascule_console.store.documents import as_yaml

        text = as_yaml(self.made()[0])
        self.app.pop_screen()
        self.app.push_screen(self.edit_yaml(text))

    def action_leave(self) -> None:
        """Leave without a change."""
        self.dismiss(None)


def _at(line: int) -> str:
    return f"line {line}: " if line else ""
