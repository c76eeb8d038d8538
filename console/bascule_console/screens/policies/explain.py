"""The verdict on one connection and the path to it on both sides, asked and answered in one dialog."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label, Static

from bascule.errors import BasculeError
from bascule.text import escape
from bascule_console.screens.dialogs import DIALOG_CSS
from bascule_console.screens.policies.work import work
from bascule_console.services.policyexplain import Explained, explained
from bascule_console.widgets.theme import ink

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp

FIELDS = {
    "from": ("From", "a VM (NAME, NAMESPACE/NAME[/NIC]), a pod or an address"),
    "to": ("To", "the same"),
    "service": ("Service", "tcp/443, udp/53, icmp, icmp/8/0 or a protocol number"),
}
_TONES = {"Allow": "good", "allow": "good", "Deny": "deny", "deny": "deny", "Pass": "busy", "no match": "muted"}


class ExplainDialog(ModalScreen[None]):
    """Three fields; Enter in any explains."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="ExplainDialog")
        + """
    ExplainDialog > Vertical { width: 110; }
    ExplainDialog Label { width: 9; }
    ExplainDialog .row { layout: horizontal; height: 1; }
    ExplainDialog Input, ExplainDialog Input:focus {
        border: none; height: 1; padding: 0 1; background: $panel; color: $foreground; width: 1fr;
    }
    ExplainDialog Input:focus { background: $cursor-blurred; color: $cursor-blurred-ink; }
    ExplainDialog VerticalScroll { height: auto; max-height: 75%; scrollbar-size: 1 1; }
    ExplainDialog #keys { color: $muted; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close"),
        Binding("tab", "app.focus_next", "Next field", priority=True, show=False),
        Binding("shift+tab", "app.focus_previous", "Field before", priority=True, show=False),
    ]
    app: BasculeApp

    def compose(self) -> ComposeResult:
        world = self.app.store.policy.world
        vms = {each.vm or f"{each.namespace}/{each.pod}" for each in world.endpoints} if world is not None else set()
        with Vertical() as box:
            box.border_title = "Explain"
            for field, (words, hint) in FIELDS.items():
                with Vertical(classes="row"):
                    yield Label(words)
                    names = sorted(vms) if field != "service" else ["tcp/", "udp/", "icmp"]
                    yield Input(placeholder=hint, id=field, compact=True, suggester=SuggestFromList(names))
            with VerticalScroll(can_focus=False):
                yield Static("", id="answer", markup=False)
            yield Static("enter explain   right takes what is offered   esc close", id="keys", markup=False)

    def on_mount(self) -> None:
        """Begin with who speaks."""
        for each in self.query(Input):
            each.cursor_blink = False  # a repaint every half second, over SSH too
        self.query_one("#from", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Explain, or go on to the field that is still empty."""
        event.stop()
        values = {field: self.query_one(f"#{field}", Input).value.strip() for field in FIELDS}
        empty = next((field for field, value in values.items() if not value), None)
        if empty is not None:
            self.query_one(f"#{empty}", Input).focus()
            return
        work(self, partial(self._explain, values), "explain")

    async def _explain(self, values: dict[str, str]) -> None:
        world = self.app.store.policy.world
        answer = self.query_one("#answer", Static)
        if world is None:
            answer.update("policies are not read yet")
            return
        try:
            found = await asyncio.to_thread(explained, world, values["from"], values["to"], values["service"])
        except BasculeError as error:
            words = (f"{self.app.glyphs.bad} {error.message}", error.cause, error.fix and f"fix: {error.fix}")
            answer.update(Text("\n".join(escape(word) for word in words if word), ink(self.app, "bad")))
            return
        answer.update(self._text(found))

    def _text(self, found: Explained) -> Text:
        text = Text()
        for side in ("source", "destination"):
            steps: list[Any] = [step for step in found.steps if step.side == side]
            verdict = found.sides[side]
            head = f"{side}: {steps[0].endpoint} {steps[0].direction}" if steps else f"{side}: no endpoint here"
            text.append(f"\n{escape(head)}", "bold").append("  ")
            text.append(f"{verdict or 'nothing is judged'}\n", ink(self.app, _TONES.get(verdict or "", "muted")))
            for step in steps:
                tier = f"{step.tier}: " if step.tier else ""
                text.append(f"  {escape(tier + step.text)}\n", ink(self.app, _TONES.get(step.action, "")))
        text.append("\nverdict: ", "bold").append(found.verdict, ink(self.app, _TONES.get(found.verdict, "unknown")))
        if found.pending != found.verdict:
            text.append(f"; with the staged policies: {found.pending}", ink(self.app, "busy"))
        return text
