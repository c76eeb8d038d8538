"""The short form of a Network: each field is checked as it is typed, by the form and by lint, and the complaint stands
under the field it is about. ctrl+s tries it on the server and shows the diff."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static, TextArea

from bascule_console.actions.model import Action
from bascule_console.screens.documentform import DocumentForm
from bascule_console.screens.networks.linting import lint_here
from bascule_console.services.manifests import Document
from bascule_console.services.networkform import FIELDS, Mistake, NetworkForm, field_of, from_network, to_network
from bascule_console.services.proposal import Note, Proposal, of_document

LABELS = {
    "name": ("Name", "the Network's name; needed"),
    "trunk": ("Trunk", "the node's trunk interface, e.g. bond0"),
    "native": ("Native VLAN", "the untagged VLAN of the trunk; empty for none"),
    "selector": ("Nodes", "a node selector; empty for every node"),
    "bridge": ("Bridge", "an existing bridge; empty lets Bascule make them"),
    "vlans": ("VLANs,", ""),
}
HINT = "a line each: ID[-ID] [CIDR [via GATEWAY]]"


class NetworkFormScreen(DocumentForm):
    """Make a Network (`base` None) or change one."""

    DEFAULT_CSS = """
    NetworkFormScreen > Vertical { width: 90; }
    NetworkFormScreen TextArea { height: 6; }
    """
    FIELDS = FIELDS

    def __init__(self, action: Action, base: dict[str, Any] | None) -> None:
        super().__init__(action, base)
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

    @property
    def form(self) -> NetworkForm:
        """What is typed."""
        return NetworkForm(**self.typed())

    def made(self) -> tuple[dict[str, Any], Sequence[Mistake]]:
        """As `DocumentForm.made`."""
        return to_network(self.form, self._base)

    def lint(self, document: dict[str, Any]) -> list[Note]:
        """As `DocumentForm.lint`."""
        return lint_here(self.app, document)

    def place(self, note: Note) -> tuple[str, int]:
        """As `DocumentForm.place`."""
        return field_of(note.field, self.form)

    def propose(self, document: dict[str, Any]) -> Awaitable[Proposal]:
        """Dry run and diff."""
        from bascule_console.screens.networks.changes import session_of

        return of_document(session_of(self.app), Document(document, "form", {}))

    def edit_yaml(self, text: str) -> ModalScreen[Any]:
        """As `DocumentForm.edit_yaml`."""
        from bascule_console.screens.networks.editor import YamlEditor

        return YamlEditor(self._action, text)
