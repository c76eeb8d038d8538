"""A Network as YAML, with lint at the field: the lines that a finding is about are marked, the findings stand below
with their line, Enter on one goes there. ctrl+s tries it on the server and shows the diff."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static, TextArea
from textual.widgets.option_list import Option

from bascule.errors import BasculeError
from bascule_console.actions.model import Action
from bascule_console.screens.networks.linting import lint_here
from bascule_console.services.manifests import Document, ManifestError, parse
from bascule_console.services.proposal import Note, Proposal, of_document
from bascule_console.widgets.difftext import note_line

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp

FILE = "yaml"


class MarkedText(TextArea):
    """A text area whose lines can be marked with a style."""

    def __init__(self, text: str) -> None:
        super().__init__(text, id="text", compact=True, show_line_numbers=True, soft_wrap=False, tab_behavior="indent")
        self.marks: dict[int, str] = {}

    def mark(self, lines: dict[int, str]) -> None:
        """Show these lines (from 0) in these styles."""
        if lines != self.marks:
            self.marks = lines
            self._line_cache.clear()
            self.refresh()

    def get_line(self, line_index: int) -> Text:
        """The line, styled where it is marked."""
        line = super().get_line(line_index)
        if line_index in self.marks:
            line.stylize(self.marks[line_index])
        return line


class YamlEditor(ModalScreen[None]):
    """Edit one document."""

    DEFAULT_CSS = """
    YamlEditor { align: center middle; background: $background 60%; }
    YamlEditor > Vertical {
        width: 100; max-width: 100%; height: 100%; background: $surface; color: $foreground;
        border: round $primary; padding: 0 1;
    }
    YamlEditor TextArea, YamlEditor TextArea:focus {
        height: 1fr; border: none; padding: 0; background: $surface; color: $foreground; scrollbar-size: 1 1;
    }
    YamlEditor OptionList, YamlEditor OptionList:focus {
        height: auto; max-height: 6; background: $panel; border: none; padding: 0; scrollbar-size: 1 1;
    }
    YamlEditor .option-list--option-highlighted { background: $cursor-blurred; color: $cursor-blurred-ink; }
    YamlEditor OptionList:focus .option-list--option-highlighted { background: $cursor; color: $cursor-ink; }
    YamlEditor #keys { height: 1; color: $muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "review", "Try it", priority=True),
        Binding("escape", "leave", "Leave", priority=True),
        Binding("f8", "next_finding", "Next finding", priority=True),
    ]
    app: BasculeApp

    def __init__(self, action: Action, text: str) -> None:
        super().__init__()
        self._action = action
        self._text = text
        self._lines: list[int] = []
        self._errors = 0

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._action.label
            yield MarkedText(self._text)
            yield OptionList(id="findings", markup=False)
            yield Static("ctrl+s try it on the server   f8 next finding   esc leave", id="keys", markup=False)

    def on_mount(self) -> None:
        """Look at it as it is."""
        self.editor.focus()
        self._check()

    @property
    def editor(self) -> MarkedText:
        """The text."""
        return self.query_one(MarkedText)

    def on_text_area_changed(self) -> None:
        """Look at it again, once the typing rests."""
        self.set_timer(0.2, self._check, name="check")

    def _check(self) -> Document | None:
        """Read and lint the text, and mark what is wrong; the document when there is no error."""
        try:
            documents = parse(self.editor.text.encode(errors="surrogatepass"), FILE)
            if len(documents) != 1:
                raise ManifestError(f"{FILE}:1: {len(documents)} objects", "one is edited here")
        except BasculeError as error:
            where, _, message = error.message.partition(": ")
            self._tell([(_line_of(where), Note("error", "", message or error.message, error.cause))])
            return None
        document = documents[0]
        self._tell(self._placed(document, self.lint(document)))
        return None if self._errors else document

    def lint(self, document: Document) -> list[Note]:
        """What is wrong with the document, as far as it can be said here."""
        return lint_here(self.app, document.object)

    def propose(self, document: Document) -> Awaitable[Proposal]:
        """The change, tried on the server."""
        from bascule_console.screens.networks.changes import session_of

        return of_document(session_of(self.app), document)

    def _placed(self, document: Document, notes: list[Note]) -> list[tuple[int, Note]]:
        return [(_line_of(document.at(note.field)), note) for note in notes]

    def _tell(self, notes: list[tuple[int, Note]]) -> None:
        self._errors = sum(note.severity == "error" for _, note in notes)
        self._lines = [line for line, _ in notes]
        variables = self.app.theme_variables
        roles = {"error": "severity-error", "warning": "severity-warning"}
        marks = {
            line - 1: f"underline {variables.get(roles.get(n.severity, 'severity-info'), '')}" for line, n in notes
        }
        self.editor.mark(marks)
        box = self.query_one("#findings", OptionList)
        box.clear_options()
        for line, note in notes:
            words = (f"line {line}", note.field, note.message, note.fix)
            box.add_option(Option(note_line(self.app, self.app.glyphs, note.severity, words)))
        box.display = bool(notes)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go to the line that the finding is about."""
        self.editor.move_cursor((self._lines[event.option_index] - 1, 0), center=True)
        self.editor.focus()

    def action_next_finding(self) -> None:
        """The next line with a finding, round and round."""
        here = self.editor.cursor_location[0] + 1
        after = sorted(line for line in self._lines if line > here) or sorted(self._lines)
        if after:
            self.editor.move_cursor((after[0] - 1, 0), center=True)

    def action_review(self) -> None:
        """Once the field has taken in every key that came before this one, look at what is typed."""
        (self.focused or self).call_later(self._review)

    def _review(self) -> None:
        """Dry run and diff, if nothing is wrong here already."""
        from bascule_console.screens.review.screen import Review

        document = self._check()
        if document is None:
            self.app.notify("mend what is marked first", severity="warning", markup=False)
            return

        def reviewed(notes: list[Note] | None) -> None:
            if notes == []:
                self.dismiss(None)
            elif notes:
                self._tell(self._placed(document, notes))

        self.app.push_screen(Review(self._action, self.propose(document)), reviewed)

    def action_leave(self) -> None:
        """Leave without a change."""
        self.dismiss(None)


def _line_of(where: str) -> int:
    """The line of `file:line`, 1 when there is none."""
    number = where.rpartition(":")[2]
    return int(number) if number.isdecimal() else 1
