"""The short form of a Network: each field is checked as it is typed, by the form and by lint, and the complaint stands
under the field it is about. ctrl+s tries it on the server and shows the diff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static, TextArea

from bascule_console.actions.model import Action
from bascule_console.screens.dialogs import DIALOG_CSS
from bascule_console.screens.networks.linting import lint_here
from bascule_console.services.manifests import Document
from bascule_console.services.networkform import FIELDS, NetworkForm, field_of, from_network, to_network
from bascule_console.services.proposal import Note, of_document
from bascule_console.widgets.difftext import note_line

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp

LABELS = {
    "name": ("Name", "the Network's name"),
    "trunk": ("Trunk", "the node's trunk interface, e.g. bond0"),
    "native": ("Native VLAN", "the untagged VLAN of the trunk; empty for none"),
    "selector": ("Nodes", "a node selector; empty for every node"),
    "bridge": ("Bridge", "an existing bridge; empty lets Bascule make them"),
    "vlans": ("VLANs,", ""),
}
HINT = "a line each: ID[-ID] [CIDR [via GATEWAY]]"


AROUND = 3  # lines of border and keys


class NetworkFormScreen(ModalScreen[None]):
    """Make a Network (`base` None) or change one."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="NetworkFormScreen")
        + """
    NetworkFormScreen > Vertical { width: 90; }
    NetworkFormScreen VerticalScroll { height: auto; scrollbar-size: 1 1; }
    NetworkFormScreen Label { width: 13; color: $foreground; }
    NetworkFormScreen .row { layout: horizontal; height: 1; }
    NetworkFormScreen Input, NetworkFormScreen Input:focus {
        border: none; height: 1; padding: 0 1 !important; background: $panel; color: $foreground;
        width: 1fr;
    }
    NetworkFormScreen Input:focus { background: $cursor-blurred; color: $cursor-blurred-ink; }
    NetworkFormScreen TextArea { height: 6; border: none; padding: 0 1; background: $panel; color: $foreground; }
    NetworkFormScreen TextArea:focus { border: none; }
    NetworkFormScreen .wrong { color: $severity-error; display: none; padding: 0 0 0 13; }
    NetworkFormScreen .-shown { display: block; }
    NetworkFormScreen .hint { color: $muted; }
    NetworkFormScreen #keys { color: $muted; }
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
    app: BasculeApp

    def __init__(self, action: Action, base: dict[str, Any] | None) -> None:
        super().__init__()
        self._action = action
        self._base = base
        self._start = from_network(base)[0] if base else NetworkForm()

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "New Network" if self._base is None else "Edit Network"
            with VerticalScroll(can_focus=False):
                for field in FIELDS[:-1]:
                    words, hint = LABELS[field]
                    with Vertical(classes="row"):
                        yield Label(words)
                        fixed = field == "name" and self._base is not None
                        yield Input(
                            getattr(self._start, field), placeholder=hint, id=field, compact=True, disabled=fixed
                        )
                    yield Static("", id=f"{field}-wrong", classes="wrong", markup=False)
                yield Static(Text(f"{LABELS['vlans'][0]} {HINT}"), classes="hint", markup=False)
                yield TextArea(self._start.vlans, id="vlans", compact=True, highlight_cursor_line=False)
                yield Static("", id="vlans-wrong", classes="wrong", markup=False)
            yield Static("ctrl+s try it on the server   ctrl+y as YAML   esc leave", id="keys", markup=False)

    def on_mount(self) -> None:
        """Begin where typing begins."""
        self.query_one("#trunk" if self._base else "#name").focus()

    def on_resize(self) -> None:
        """On a small terminal the fields scroll; the keys stay in sight."""
        self.query_one(VerticalScroll).styles.max_height = max(3, self.size.height - AROUND)

    @property
    def form(self) -> NetworkForm:
        """What is typed."""
        inputs = {field: self.query_one(f"#{field}", Input).value for field in FIELDS[:-1]}
        return NetworkForm(**inputs, vlans=self.query_one("#vlans", TextArea).text)

    def on_input_changed(self) -> None:
        """Look at it again, once the typing rests."""
        self.set_timer(0.15, self._check, name="check")

    def on_text_area_changed(self) -> None:
        """Likewise."""
        self.set_timer(0.15, self._check, name="check")

    def _check(self) -> bool:
        """Put every complaint under its field; True when there is no error."""
        form = self.form
        document, mistakes = to_network(form, self._base)
        told: dict[str, list[tuple[str, str]]] = {}
        for mistake in mistakes:
            line = f"line {mistake.line}: " if mistake.line else ""
            told.setdefault(mistake.field, []).append(("error", line + mistake.message))
        notes = [] if mistakes else lint_here(self.app, document)
        self._tell(form, told, notes)
        return not mistakes and not any(note.severity == "error" for note in notes)

    def _tell(self, form: NetworkForm, told: dict[str, list[tuple[str, str]]], notes: list[Note]) -> None:
        for note in notes:
            field, line = field_of(note.field, form)
            told.setdefault(field, []).append((note.severity, (f"line {line}: " if line else "") + note.message))
        for field in FIELDS:
            wrong = self.query_one(f"#{field}-wrong", Static)
            lines = [note_line(self.app, self.app.glyphs, severity, [words]) for severity, words in told.get(field, ())]
            wrong.update(Text("\n").join(lines))
            wrong.set_class(bool(lines), "-shown")

    def action_review(self) -> None:
        """Once the field has taken in every key that came before this one, look at what is typed."""
        (self.focused or self).call_later(self._review)

    def _review(self) -> None:
        """Dry run and diff, if nothing is wrong here already."""
        from bascule_console.screens.networks.changes import session_of
        from bascule_console.screens.review.screen import Review

        if not self._check():
            self.app.notify("mend what stands under the fields first", severity="warning", markup=False)
            return
        document = Document(to_network(self.form, self._base)[0], "form", {})
        self.app.push_screen(Review(self._action, of_document(session_of(self.app), document)), self._reviewed)

    def _reviewed(self, notes: list[Note] | None) -> None:
        if notes == []:
            self.dismiss(None)
        elif notes:
            self._tell(self.form, {}, notes)

    def action_as_yaml(self) -> None:
        """Go on in YAML with what is typed so far."""
        from bascule_console.screens.networks.editor import YamlEditor
        from bascule_console.store.documents import as_yaml

        text = as_yaml(to_network(self.form, self._base)[0])
        self.app.pop_screen()
        self.app.push_screen(YamlEditor(self._action, text))

    def action_leave(self) -> None:
        """Leave without a change."""
        self.dismiss(None)
