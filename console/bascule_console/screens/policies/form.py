"""The short form of a policy: a few fields and a line for each rule; complaints stand under their field, and below them
what the policy would do. ctrl+s tries it on the server and shows the diff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input, Label, Static, TextArea

from bascule_console.actions.model import Action
from bascule_console.screens.dialogs import DIALOG_CSS
from bascule_console.screens.policies.editor import Completion, PolicyEditor, known_here, offered
from bascule_console.screens.policies.panel import ImpactPanel, lint_policy
from bascule_console.screens.policies.propose import of_document
from bascule_console.services.policycomplete import Known, complete_rule, complete_selector
from bascule_console.services.policyform import ENFORCED, FIELDS, STAGED, PolicyForm, field_of, to_policy
from bascule_console.services.proposal import Note
from bascule_console.widgets.difftext import note_line

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp

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
AROUND = 4  # lines of border, offer and keys


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


class PolicyFormScreen(ModalScreen[None]):
    """Make a policy (`base` None) or change one; `start` is what the fields hold."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="PolicyFormScreen")
        + """
    PolicyFormScreen > Vertical { width: 120; }
    PolicyFormScreen VerticalScroll { height: auto; scrollbar-size: 1 1; }
    PolicyFormScreen Label { width: 13; color: $foreground; }
    PolicyFormScreen .row { layout: horizontal; height: 1; }
    PolicyFormScreen Input, PolicyFormScreen Input:focus {
        border: none; height: 1; padding: 0 1; background: $panel; color: $foreground; width: 1fr;
    }
    PolicyFormScreen Input:focus { background: $cursor-blurred; color: $cursor-blurred-ink; }
    PolicyFormScreen TextArea { height: 5; border: none; padding: 0 1; background: $panel; color: $foreground; }
    PolicyFormScreen TextArea:focus { border: none; }
    PolicyFormScreen .wrong { color: $severity-error; display: none; padding: 0 0 0 13; }
    PolicyFormScreen .-shown { display: block; }
    PolicyFormScreen .hint { color: $muted; }
    PolicyFormScreen #keys, PolicyFormScreen #offer { color: $muted; height: 1; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "review", "Try it", priority=True),
        Binding("escape", "leave", "Leave", priority=True),
        Binding("ctrl+y", "as_yaml", "As YAML", priority=True),
        Binding("ctrl+n", "complete", "Complete", priority=True),
        # With priority the focus has moved before the next key is sent: on a slow line several come at once.
        Binding("tab", "app.focus_next", "Next field", priority=True, show=False),
        Binding("shift+tab", "app.focus_previous", "Field before", priority=True, show=False),
    ]
    app: BasculeApp

    def __init__(self, action: Action, start: PolicyForm, base: dict[str, Any] | None) -> None:
        super().__init__()
        self._action, self._start, self._base = action, start, base

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
        self._check()

    def on_resize(self) -> None:
        """On a small terminal the fields scroll; the keys stay in sight."""
        self.query_one(VerticalScroll).styles.max_height = max(3, self.size.height - AROUND)

    @property
    def form(self) -> PolicyForm:
        """What is typed."""
        inputs = {field: self.query_one(f"#{field}", Input).value for field in FIELDS[:-1]}
        return PolicyForm(**inputs, rules=self.query_one("#rules", TextArea).text)

    def on_input_changed(self) -> None:
        """Look at it again, once the typing rests."""
        self.set_timer(0.2, self._check, name="check")

    def on_text_area_changed(self) -> None:
        """Likewise."""
        self.set_timer(0.2, self._check, name="check")

    def on_text_area_selection_changed(self) -> None:
        """Say what may stand here."""
        area = self.query_one("#rules", TextArea)
        found = self._completion.at(area) if area.has_focus else []
        self.query_one("#offer", Static).update(offered(found, self.size.width - 4))

    def _check(self) -> bool:
        """Put every complaint under its field; True when there is no error."""
        form = self.form
        document, mistakes = to_policy(form, self._base)
        told: dict[str, list[tuple[str, str]]] = {}
        for mistake in mistakes:
            line = f"line {mistake.line}: " if mistake.line else ""
            told.setdefault(mistake.field, []).append(("error", line + mistake.message))
        notes = [] if mistakes else lint_policy(self.app, document)
        self._tell(form, told, notes)
        if not mistakes:
            self.query_one(ImpactPanel).consider(document)
        return not mistakes and not any(note.severity == "error" for note in notes)

    def _tell(self, form: PolicyForm, told: dict[str, list[tuple[str, str]]], notes: list[Note]) -> None:
        for note in notes:
            field, line = field_of(note.field, form)
            words = f"{note.message}. {note.fix}" if note.fix else note.message
            told.setdefault(field, []).append((note.severity, (f"line {line}: " if line else "") + words))
        for field in FIELDS:
            wrong = self.query_one(f"#{field}-wrong", Static)
            lines = [note_line(self.app, self.app.glyphs, severity, [words]) for severity, words in told.get(field, ())]
            wrong.update(Text("\n").join(lines))
            wrong.set_class(bool(lines), "-shown")

    def action_complete(self) -> None:
        """Complete the rule at the cursor, or take what a field offers."""
        focused = self.focused
        if isinstance(focused, TextArea):
            self._completion.advance(focused)
        elif isinstance(focused, Input):
            focused.action_cursor_right()

    def action_review(self) -> None:
        """Once the field has taken in every key that came before this one, look at what is typed."""
        (self.focused or self).call_later(self._review)

    def _review(self) -> None:
        """Dry run, diff and what-if, if nothing is wrong here already."""
        from bascule_console.screens.review.screen import Review

        if not self._check():
            self.app.notify("mend what stands under the fields first", severity="warning", markup=False)
            return
        document = to_policy(self.form, self._base)[0]
        self.app.push_screen(Review(self._action, of_document(self.app, document)), self._reviewed)

    def _reviewed(self, notes: list[Note] | None) -> None:
        if notes == []:
            self.dismiss(None)
        elif notes:
            self._tell(self.form, {}, [note for note in notes if note.severity == "error"])

    def action_as_yaml(self) -> None:
        """Go on in YAML with what is typed so far."""
        from bascule_console.store.documents import as_yaml

        text = as_yaml(to_policy(self.form, self._base)[0])
        self.app.pop_screen()
        self.app.push_screen(PolicyEditor(self._action, text))

    def action_leave(self) -> None:
        """Leave without a change."""
        self.dismiss(None)
