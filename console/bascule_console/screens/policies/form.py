"""The short form of a policy: a few fields and a line for each rule; complaints stand under their field, and below them
what the policy would do. ctrl+s tries it on the server and shows the diff."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input, Label, Static, TextArea

from bascule_console.actions.model import Action
from bascule_console.screens.documentform import DocumentForm
from bascule_console.screens.policies.editor import Completion, PolicyEditor, known_here, offered
from bascule_console.screens.policies.panel import ImpactPanel, lint_policy
from bascule_console.screens.policies.propose import of_document
from bascule_console.services.networkform import Mistake
from bascule_console.services.policycomplete import Known, complete_rule, complete_selector
from bascule_console.services.policyform import ENFORCED, FIELDS, STAGED, PolicyForm, field_of, to_policy
from bascule_console.services.proposal import Note, Proposal

LABELS = {
    "name": ("Name", "the policy's name"),
    "namespace": ("Namespace", "empty: for every namespace"),
    "tier": ("Tier", "empty: default"),
    "order": ("Order", "lower comes first; empty: last"),
    "selector": ("Selector", "which VMs, e.g. app == 'web'; empty: all"),
    "types": ("Directions", "Ingress, Egress; empty: as the rules say"),
    "state": ("State", f"{STAGED}: only looked at; {ENFORCED}"),
}
HINT = "Rules: in|out ACTION [PROTO] [from|to SELECTOR|nets CIDR] [ports 22,443]"


class _Offer(Suggester):
    """The first candidate in grey; the right arrow takes it."""

    def __init__(self, have: Known, field: str) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._have, self._field = have, field

    async def get_suggestion(self, value: str) -> str | None:
        have = self._have
        if self._field == "selector":
            found = complete_selector(value, have)
            return value + found[0] if found else None
        words = {"tier": have.tiers, "namespace": have.namespaces, "state": (STAGED, ENFORCED)}.get(self._field, ())
        return next((word for word in words if word.startswith(value) and word != value), None)


class PolicyFormScreen(DocumentForm):
    """Make a policy (`base` None) or change one; `start` is what the fields hold."""

    DEFAULT_CSS = """
    PolicyFormScreen > Vertical { width: 120; }
    PolicyFormScreen TextArea { height: 5; }
    PolicyFormScreen #keys, PolicyFormScreen #offer { color: $muted; height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+n", "complete", "Complete", priority=True)]
    FIELDS = FIELDS
    AROUND = 4  # the offer too

    def __init__(self, action: Action, start: PolicyForm, base: dict[str, Any] | None) -> None:
        super().__init__(action, base)
        self._start = start

    def compose(self) -> ComposeResult:
        self._have = known_here(self.app)
        self._completion = Completion(lambda line: complete_rule(line, self._have))
        with Vertical() as box:
            box.border_title = "New policy" if self._base is None else "Edit policy"
            box.border_subtitle = "staged first: P puts it in force"
            with VerticalScroll(can_focus=False):
                for field in FIELDS[:-1]:
                    yield from self._field(field)
                yield Static(Text(HINT), classes="hint", markup=False)
                yield TextArea(self._start.rules, id="rules", compact=True, highlight_cursor_line=False)
                yield Static("", id="rules-wrong", classes="wrong", markup=False)
                yield ImpactPanel()
            yield Static("", id="offer", markup=False)
            keys = "ctrl+s try it on the server   ctrl+n complete   ctrl+y as YAML   esc leave"
            yield Static(keys, id="keys", markup=False)

    def _field(self, field: str) -> ComposeResult:
        words, hint = LABELS[field]
        with Vertical(classes="row"):
            yield Label(words)
            fixed = field in ("name", "namespace") and self._base is not None
            value = getattr(self._start, field)
            offer = _Offer(self._have, field)
            yield Input(value, placeholder=hint, id=field, compact=True, disabled=fixed, suggester=offer)
        yield Static("", id=f"{field}-wrong", classes="wrong", markup=False)

    def on_mount(self) -> None:
        """Begin where typing begins."""
        for each in (*self.query(Input), *self.query(TextArea)):
            each.cursor_blink = False  # a repaint every half second, over SSH too
        self.query_one("#name" if self._base is None else "#rules").focus()
        self.check()

    @property
    def form(self) -> PolicyForm:
        """What is typed."""
        return PolicyForm(**self.typed())

    def on_text_area_selection_changed(self) -> None:
        """Say what may stand here."""
        area = self.query_one("#rules", TextArea)
        found = self._completion.at(area) if area.has_focus else []
        self.query_one("#offer", Static).update(offered(found, self.size.width - 4))

    def made(self) -> tuple[dict[str, Any], Sequence[Mistake]]:
        """As `DocumentForm.made`."""
        return to_policy(self.form, self._base)

    def lint(self, document: dict[str, Any]) -> list[Note]:
        """What lint says; below it stands what the policy would do."""
        self.query_one(ImpactPanel).consider(document)
        return lint_policy(self.app, document)

    def place(self, note: Note) -> tuple[str, int]:
        """As `DocumentForm.place`."""
        return field_of(note.field, self.form)

    def words(self, note: Note) -> str:
        """With the fix."""
        return f"{note.message}. {note.fix}" if note.fix else note.message

    def propose(self, document: dict[str, Any]) -> Awaitable[Proposal]:
        """Dry run, diff and what-if."""
        return of_document(self.app, document)

    def reviewed(self, notes: list[Note]) -> None:
        """What is no error was said in the review."""
        super().reviewed([note for note in notes if note.severity == "error"])

    def edit_yaml(self, text: str) -> ModalScreen[Any]:
        """As `DocumentForm.edit_yaml`."""
        return PolicyEditor(self._action, text)

    def action_complete(self) -> None:
        """Complete the rule at the cursor, or take what a field offers."""
        focused = self.focused
        if isinstance(focused, TextArea):
            self._completion.advance(focused)
        elif isinstance(focused, Input):
            focused.action_cursor_right()
