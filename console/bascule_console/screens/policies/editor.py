"""A policy as YAML: lint at the field and completion as everywhere, and beside it what it would do.

`ctrl+n` completes at the cursor and, pressed again, offers the next candidate; `ctrl+t` turns the document into its
enforced twin and back, since what is edited here is staged first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import OptionList, Static, TextArea

from bascule.resources.policy import STAGES, policy_kind
from bascule_console.screens.networks.editor import FILE, MarkedText, YamlEditor
from bascule_console.screens.policies.panel import ImpactPanel, lint_policy
from bascule_console.screens.policies.propose import of_document
from bascule_console.services.manifests import Document, ManifestError, parse
from bascule_console.services.policychange import STAGED_OF
from bascule_console.services.policycomplete import Known, complete_yaml, known
from bascule_console.services.proposal import Note, Proposal
from bascule_console.store.vms import ATTACHMENTS, NETWORKS

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp

WIDE = 120
KEYS = "ctrl+s try it   ctrl+n complete   ctrl+t staged or enforced   f8 finding   f5 what-if   esc leave"
NARROW_KEYS = "ctrl+s try   ctrl+n complete   ctrl+t staged/enforced   f8 finding   esc"


class Completion:
    """Completes a text area at its cursor; asked again at once, it offers the next candidate."""

    def __init__(self, candidates: Callable[[str], list[str]]) -> None:
        self._candidates = candidates
        self._offer: tuple[str, int, int, list[str], int] | None = None  # text, row, column, candidates, which

    def advance(self, area: TextArea) -> None:
        """Put the first candidate, or the next one, behind what is typed."""
        offer = self._offer
        row, column = area.cursor_location
        if offer is not None and offer[0] == area.text and offer[1] == row:
            _, _, start, found, at = offer
            at = (at + 1) % len(found)
        else:
            start, found, at = column, self.at(area), 0
        if not found:
            return
        area.replace(found[at], (row, start), (row, column))
        area.move_cursor((row, start + len(found[at])))
        self._offer = (area.text, row, start, found, at)

    def at(self, area: TextArea) -> list[str]:
        """What may follow the cursor."""
        row, column = area.cursor_location
        return self._candidates(area.document.get_line(row)[:column])


def offered(found: list[str], width: int) -> str:
    """Candidates in one line."""
    words = "   ".join(found[:8])
    return f"ctrl+n: {words}"[: max(0, width)] if found else ""


def known_here(app: BasculeApp) -> Known:
    """What there is to complete with."""
    world, inventory = app.store.policy.world, app.store.inventory
    return known(world, inventory.all(NETWORKS), inventory.all(ATTACHMENTS)) if world is not None else Known()


class PolicyEditor(YamlEditor):
    """Edit one policy."""

    DEFAULT_CSS = """
    PolicyEditor > Vertical { width: 100%; }
    PolicyEditor #both { height: 1fr; layout: vertical; }
    PolicyEditor #beside { height: auto; max-height: 45%; scrollbar-size: 1 1; background: $panel; }
    PolicyEditor.-wide #both { layout: horizontal; }
    PolicyEditor.-wide #beside { width: 45%; height: 100%; max-height: 100%; margin-left: 1; }
    PolicyEditor TextArea, PolicyEditor TextArea:focus { height: 1fr; width: 1fr; }
    PolicyEditor #offer { height: 1; color: $muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+n", "complete", "Complete", priority=True),
        Binding("ctrl+t", "turn", "Staged or enforced", priority=True),
        Binding("f5", "what_if", "What if", priority=True),
    ]

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._action.label
            box.border_subtitle = "staged first: P puts it in force"
            with Container(id="both"):
                yield MarkedText(self._text)
                with VerticalScroll(id="beside", can_focus=False):
                    yield ImpactPanel()
            yield Static("", id="offer", markup=False)
            yield OptionList(id="findings", markup=False)
            yield Static(KEYS, id="keys", markup=False)

    def on_mount(self) -> None:
        """Look at it as it is."""
        self._have = known_here(self.app)
        self._completion = Completion(lambda line: complete_yaml(line, self._have))
        self.editor.cursor_blink = False  # a repaint every half second, over SSH too

    def on_resize(self) -> None:
        """Beside the text where there is room, else below it."""
        wide = self.size.width >= WIDE
        self.set_class(wide, "-wide")
        self.query_one("#keys", Static).update(KEYS if wide else NARROW_KEYS)

    def lint(self, document: Document) -> list[Note]:
        """Lint, and only policies are edited here."""
        self.query_one(ImpactPanel).consider(document.object if policy_kind(document.object) else None)
        if not policy_kind(document.object):
            return [Note("error", "kind", f"{document.object['kind']} is no policy", "bascule apply -f FILE takes it")]
        return lint_policy(self.app, document.object)

    def propose(self, document: Document) -> Awaitable[Proposal]:
        """The change, tried on the server and on recorded traffic."""
        return of_document(self.app, document.object, document)

    def on_text_area_selection_changed(self) -> None:
        """Say what may stand here."""
        self.query_one("#offer", Static).update(offered(self._completion.at(self.editor), self.size.width - 4))

    def action_complete(self) -> None:
        """Complete at the cursor."""
        self._completion.advance(self.editor)

    def action_turn(self) -> None:
        """The other of staged and enforced, by the document's kind."""
        try:
            kind = policy_kind(parse(self.editor.text.encode(errors="surrogatepass"), FILE)[0].object)
        except (ManifestError, IndexError):
            return
        other = STAGES.get(kind) or STAGED_OF.get(kind)
        lines = self.editor.text.splitlines()
        if other is None or "Kubernetes" in kind:
            return
        turned = [f"kind: {other}" if line.startswith("kind:") else line for line in lines]
        turned = [line for line in turned if not line.strip().startswith("stagedAction:")]
        if other in STAGES:
            at = next((at for at, line in enumerate(turned) if line.startswith("spec:")), None)
            if at is not None:
                turned.insert(at + 1, "  stagedAction: Set")
        self.editor.text = "\n".join(turned) + "\n"

    def action_what_if(self) -> None:
        """Every talker whose verdict would change."""
        from bascule_console.screens.policies.whatif import WhatIfDialog

        found = self.query_one(ImpactPanel).impact
        if found is not None and found.forecast is not None:
            self.app.push_screen(WhatIfDialog(found.forecast))
