"""The last look before a change: what lint and the server say, the diff, then one key. Returns what speaks against it,
an empty list once it is made, None when it was left."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from bascule.errors import BasculeError
from bascule.text import escape
from bascule_console.actions.model import Action
from bascule_console.screens.dialogs import DIALOG_CSS
from bascule_console.services.proposal import Note, Proposal
from bascule_console.widgets.difftext import diff_text, note_line

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp


AROUND = 6  # lines of border, head and keys


class Review(ModalScreen[list[Note] | None]):
    """Shows `proposal` once it is worked out; `action` asks for a typed name on a protected context."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="Review")
        + """
    Review > Vertical { width: 100; }
    Review VerticalScroll { height: auto; scrollbar-size: 1 1; }
    Review #keys { color: $muted; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "make", "Apply"),
        Binding("escape,q", "leave", "Back"),
    ]
    app: BasculeApp

    def __init__(self, action: Action, proposal: Awaitable[Proposal]) -> None:
        super().__init__()
        self._action = action
        self._working = proposal
        self._proposal: Proposal | None = None
        self._busy = False

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self._action.label
            yield Static("trying it on the server …", id="head", markup=False)
            with VerticalScroll():
                yield Static("", id="notes", markup=False)
                yield Static("", id="diff", markup=False)
            yield Static("esc back", id="keys", markup=False)

    def on_mount(self) -> None:
        """Have it worked out."""
        self.query_one(VerticalScroll).focus()
        self.run_worker(self._work_out(), exit_on_error=True)

    def on_resize(self) -> None:
        """A long diff scrolls; what can be done about it stays in sight."""
        self.query_one(VerticalScroll).styles.max_height = max(3, self.size.height - AROUND)

    async def _work_out(self) -> None:
        try:
            self._proposal = proposal = await self._working
        except BasculeError as error:
            self._show_error(error)
            return
        glyphs, app = self.app.glyphs, self.app
        head = Text(escape(proposal.title), "bold")
        if proposal.idle:
            head.append(": it changes nothing, the cluster has it so already")
        self.query_one("#head", Static).update(head)
        notes = [note_line(app, glyphs, n.severity, (n.field, n.message, n.fix)) for n in proposal.notes]
        self.query_one("#notes", Static).update(Text("\n").join(notes))
        self.query_one("#diff", Static).update(diff_text(app, proposal.diff))
        self.query_one(VerticalScroll).display = bool(notes or proposal.diff)
        self.query_one("#keys", Static).update(
            "a apply   esc back" if self._makeable else "esc back" if proposal.idle else "esc back and mend it"
        )

    @property
    def _makeable(self) -> bool:
        return self._proposal is not None and self._proposal.ready and not self._proposal.idle and not self._busy

    def _show_error(self, error: BasculeError) -> None:
        words = [f"{self.app.glyphs.bad} {error.message}", error.cause and f"cause: {error.cause}"]
        words.append(error.fix and f"fix: {error.fix}")
        self.query_one("#head", Static).update(Text("\n".join(escape(word) for word in words if word)))
        self.query_one(VerticalScroll).display = self._proposal is not None and bool(self._proposal.diff)
        self.query_one("#keys", Static).update("esc back")

    def action_make(self) -> None:
        """Make the change; a protected context wants its name typed first."""
        if not self._makeable or self._proposal is None or not self.app.permits(self._action):
            return
        if self.app.guard.protected:
            self.app.confirm(self._action, self._start, name=self._proposal.name)
        else:
            self._start()

    def _start(self) -> None:
        self._busy = True
        self.query_one("#keys", Static).update("applying …")
        # The app's worker: a change that has begun is finished also when this screen is left.
        self.app.run_worker(self._make(), group="changes", exit_on_error=True)

    async def _make(self) -> None:
        assert self._proposal is not None
        try:
            await self._proposal.commit()
        except BasculeError as error:
            if self.is_attached:
                self._show_error(error)
            else:
                self.app.say(error)
            return
        self.app.notify(escape(self._proposal.done), markup=False)
        if self.is_attached:
            self.dismiss([])

    def action_leave(self) -> None:
        """Back, with what speaks against the change."""
        self.dismiss(None if self._proposal is None or not self._proposal.notes else list(self._proposal.notes))
