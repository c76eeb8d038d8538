"""Which network, address and MAC a new NIC gets; what is left empty is chosen. Returns a Wish, or None."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from bascule.text import escape
from bascule_console.screens.dialogs import DIALOG_CSS
from bascule_console.store.vms import VmRow


@dataclass(frozen=True, slots=True)
class Wish:
    """A NIC on `nad` (`namespace/name`); `ip` and `mac` may be ""."""

    nad: str
    ip: str
    mac: str


class AttachForm(ModalScreen[Wish | None]):
    """NADs to choose from, then an address and a MAC; Enter on either goes on to the review."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="AttachForm")
        + """
    AttachForm OptionList { height: auto; max-height: 8; background: $surface; border: none; padding: 0; }
    AttachForm OptionList:focus { border: none; background: $surface; }
    AttachForm OptionList > .option-list--option-highlighted {
        background: $cursor-blurred; color: $cursor-blurred-ink;
    }
    AttachForm OptionList:focus > .option-list--option-highlighted { background: $cursor; color: $cursor-ink; }
    AttachForm Input, AttachForm Input:focus {
        border: none; height: 1; padding: 0 1 !important; margin: 0; background: $panel; color: $foreground;
    }
    AttachForm .label, AttachForm #keys { color: $muted; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Cancel")]

    def __init__(self, vm: VmRow, nads: list[tuple[str, str]]) -> None:
        """`nads` are (`namespace/name`, where it leads to in words)."""
        super().__init__()
        self._vm = vm
        self._nads = nads

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "Attach NIC"
            yield Static(Text(escape(f"A new NIC for {self._vm.key} on"), "bold"))
            yield OptionList(*(Option(Text(escape(f"{nad:<28} {leads}"))) for nad, leads in self._nads), markup=False)
            yield Static("Address (empty: IPAM chooses)", classes="label")
            yield Input(id="ip", compact=True)
            yield Static("MAC (empty: a stable one is made)", classes="label")
            yield Input(id="mac", compact=True)
            hint = "enter next   tab fields   esc cancel" if self._nads else "there is no NAD   esc cancel"
            yield Static(hint, id="keys", markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """The network is chosen: on to the address."""
        event.stop()
        self.query_one("#ip", Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """All is said."""
        event.stop()
        at = self.query_one(OptionList).highlighted
        if at is None:
            return
        ip, mac = (self.query_one(f"#{name}", Input).value.strip() for name in ("ip", "mac"))
        self.dismiss(Wish(self._nads[at][0], ip, mac))

    def action_leave(self) -> None:
        """Nothing is attached."""
        self.dismiss(None)
