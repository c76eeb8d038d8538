"""What is to become of the chosen links: Network, native VLAN, who confirms and how long; below it, at every key, how
hostConfig would apply. Returns an Order, or None. Nothing is asked of the cluster here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from bascule.errors import BasculeError, UsageError
from bascule.resources.network import VLAN_MAX, VLAN_MIN, Network
from bascule.resources.node import Node
from bascule.text import escape
from bascule.trunks.change import SECONDS_RANGE
from bascule_console.screens.dialogs import DIALOG_CSS
from bascule_console.screens.nodes.columns import ranges
from bascule_console.screens.trunks.preview import preview
from bascule_console.services.trunks import AUTO_SECONDS, MANUAL_SECONDS, Order, edited
from bascule_console.widgets.detail import Detail

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp

Document = Mapping[str, Any]
WAYS = (
    ("auto", "by itself, once every probe passes that passed before"),
    ("manual", "by me: K keeps it, R or silence takes it back"),
)
AROUND = 12  # lines of border, fields and keys


class OrderForm(ModalScreen[Order | None]):
    """`links` are node → link, "" for a detach; `networks` to choose from; `nodes` are all."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="OrderForm")
        + """
    OrderForm > Vertical { width: 92; }
    OrderForm OptionList, OrderForm OptionList:focus {
        height: auto; max-height: 4; width: 1fr; background: $panel; border: none; padding: 0; scrollbar-size: 1 1;
    }
    OrderForm OptionList > .option-list--option-highlighted {
        background: $cursor-blurred; color: $cursor-blurred-ink;
    }
    OrderForm OptionList:focus > .option-list--option-highlighted { background: $cursor; color: $cursor-ink; }
    OrderForm Label { width: 13; color: $foreground; }
    OrderForm .row { layout: horizontal; height: auto; }
    OrderForm Input, OrderForm Input:focus {
        border: none; height: 1; padding: 0 1; background: $panel; color: $foreground; width: 1fr;
    }
    OrderForm Input:focus { background: $cursor-blurred; color: $cursor-blurred-ink; }
    OrderForm VerticalScroll { height: auto; scrollbar-size: 1 1; }
    OrderForm #preview { padding: 0; }
    OrderForm #wrong { color: $severity-error; }
    OrderForm #keys { color: $muted; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "plan", "Plan it", priority=True),
        Binding("escape", "leave", "Leave", priority=True),
        # With priority the focus has moved before the next key is sent: on a slow line several come at once.
        Binding("tab", "app.focus_next", "Next field", priority=True, show=False),
        Binding("shift+tab", "app.focus_previous", "Field before", priority=True, show=False),
    ]
    app: BasculeApp

    def __init__(self, links: Mapping[str, str], networks: Sequence[Document], nodes: Sequence[Node]) -> None:
        super().__init__()
        self._links = dict(links)
        self._networks = list(networks)
        self._everyone = list(nodes)
        self._detaches = not any(links.values())

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "Detach" if self._detaches else "Attach"
            chosen = ", ".join(f"{node} {link}".strip() for node, link in sorted(self._links.items()))
            yield Static(Text(escape(f"{'Trunk of' if self._detaches else 'Trunk:'} {chosen}"), "bold"))
            with Vertical(classes="row"):
                yield Label("Network")
                yield OptionList(*(Option(Text(_network_words(doc))) for doc in self._networks), id="network")
            if not self._detaches:
                with Vertical(classes="row"):
                    yield Label("Native VLAN")
                    yield Input(id="native", compact=True, placeholder="the VLAN of untagged frames; empty for none")
            with Vertical(classes="row"):
                yield Label("Kept")
                yield OptionList(*(Option(Text(words)) for _, words in WAYS), id="way")
            with Vertical(classes="row"):
                yield Label("Goes back in")
                yield Input(id="seconds", compact=True, placeholder=f"seconds; {AUTO_SECONDS:.0f} by itself")
            yield Static("", id="wrong", markup=False)
            with VerticalScroll(can_focus=False):
                yield Detail(id="preview")
            yield Static("ctrl+s plan and prove it, changes nothing   tab fields   esc leave", id="keys", markup=False)

    def on_mount(self) -> None:
        """Begin at the Network; what the links were attached with before is the start."""
        for name in ("network", "way"):
            box = self.query_one(f"#{name}", OptionList)
            box.highlighted = 0 if box.option_count else None
        native = self._native_before()
        if native and not self._detaches:
            self.query_one("#native", Input).value = str(native)
        self.query_one("#network" if len(self._networks) > 1 else "#way", OptionList).focus()
        self._show()

    def on_resize(self) -> None:
        """On a small terminal the preview scrolls; fields and keys stay in sight."""
        self.query_one(VerticalScroll).styles.max_height = max(3, self.size.height - AROUND)

    def on_input_changed(self) -> None:
        """Look at it again."""
        self._show()

    def on_option_list_option_highlighted(self) -> None:
        """Likewise."""
        manual = self._way() == "manual"
        default = f"{MANUAL_SECONDS:.0f} by you" if manual else f"{AUTO_SECONDS:.0f} by itself"
        self.query_one("#seconds", Input).placeholder = f"seconds; {default}"
        self._show()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Chosen: on to the next field."""
        event.stop()
        self.focus_next()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Likewise; after the last one it is planned."""
        event.stop()
        if event.input.id == "seconds":
            self.action_plan()
        else:
            self.focus_next()

    def order(self) -> Order:
        """What the fields say. Raises UsageError."""
        network = self._network()
        if network is None:
            raise UsageError("there is no Network with an l2Bridge", fix=":networks, n makes one")
        native = "" if self._detaches else self.query_one("#native", Input).value
        low, high = SECONDS_RANGE
        return Order(
            str(network["metadata"]["name"]),
            self._links,
            native=int(_number("native VLAN", native, VLAN_MIN, VLAN_MAX)) or None,
            manual=self._way() == "manual",
            seconds=_number("seconds", self.query_one("#seconds", Input).value, low, high),
        )

    def _show(self) -> None:
        wrong, detail = self.query_one("#wrong", Static), self.query_one("#preview", Detail)
        try:
            order = self.order()
            before = self._network()
            assert before is not None
            picked = [node for node in self._everyone if node.name in order.links]
            after = edited(before, self._everyone, picked, order)
            detail.show_lines(preview(before, after, self._everyone, self.app.glyphs))
            wrong.update("")
        except BasculeError as error:
            detail.show_lines([])
            said = ": ".join(part for part in (error.message, error.cause) if part)
            wrong.update(Text(escape(f"{self.app.glyphs.bad} {said}")))

    def _network(self) -> Document | None:
        at = self.query_one("#network", OptionList).highlighted
        return self._networks[at] if at is not None and self._networks else None

    def _way(self) -> str:
        at = self.query_one("#way", OptionList).highlighted
        return WAYS[at or 0][0]

    def _native_before(self) -> int | None:
        """The native VLAN that these links have in the first Network, if they have one."""
        for config in Network.of(self._networks[0]).host_configs if self._networks else ():
            if config.trunk and config.trunk.interface in self._links.values() and config.trunk.native_vlan:
                return config.trunk.native_vlan
        return None

    def action_plan(self) -> None:
        """Once the field has taken in every key that came before this one, go on with what is said."""
        (self.focused or self).call_later(self._done)

    def _done(self) -> None:
        try:
            self.dismiss(self.order())
        except BasculeError as error:
            self.app.say(error)

    def action_leave(self) -> None:
        """Nothing is planned."""
        self.dismiss(None)


def _network_words(document: Document) -> str:
    network = Network.of(document)
    carried = ranges(sorted(network.carried_vlans()))
    return escape(f"{network.name:<24} VLANs {carried}")


def _number(name: str, typed: str, low: float, high: float) -> float:
    """The number in a field, 0 for an empty one. Raises UsageError."""
    typed = typed.strip()
    if not typed:
        return 0
    if not typed.isdecimal() or not low <= int(typed) <= high:
        raise UsageError(f"{name} {typed!r} is no number from {low:g} to {high:g}")
    return int(typed)
