"""Choose the node a VM moves to, read the preflight, then confirm. Returns the node's name, or None.

The preflight runs while the question stands: what fails keeps the move from starting, what is unknown is shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from bascule.errors import BasculeError
from bascule.text import escape
from bascule_console.actions.bindings import confirm_text
from bascule_console.actions.registry import action
from bascule_console.screens.dialogs import DIALOG_CSS
from bascule_console.screens.move.checks import checks_text
from bascule_console.services.preflight import Preflight
from bascule_console.store.nodes import agent_target, is_ready, node_name
from bascule_console.store.vms import VmRow
from bascule_console.widgets.glyphs import Glyphs


class ChooseNode(ModalScreen[str | None]):
    """Target nodes with what is known of them; a chosen one asks for y or n."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="ChooseNode")
        + """
    ChooseNode OptionList { height: auto; max-height: 10; background: $surface; border: none; padding: 0; }
    ChooseNode OptionList:focus { border: none; background: $surface; }
    ChooseNode OptionList > .option-list--option-highlighted,
    ChooseNode OptionList:focus > .option-list--option-highlighted { background: $cursor; color: $cursor-ink; }
    ChooseNode #question { color: $severity-warning; text-style: bold; display: none; }
    ChooseNode.-asking #question { display: block; }
    ChooseNode #checks { display: none; max-height: 14; }
    ChooseNode.-asking #checks { display: block; }
    ChooseNode.-asking OptionList { display: none; }
    ChooseNode #keys { color: $muted; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
        Binding("y", "yes", "Yes"),
        Binding("n", "back", "No"),
    ]

    def __init__(
        self,
        vm: VmRow,
        nodes: list[Mapping[str, Any]],
        silent: set[str],
        glyphs: Glyphs,
        check: Callable[[str], Awaitable[Preflight]] | None = None,
    ) -> None:
        """`check(node)` is the preflight; without one (no cluster) only the question is asked."""
        super().__init__()
        self._check = check
        self._found: Preflight | None = None
        self._sure = False
        self._vm = vm
        self._choices = [node for node in nodes if node_name(node) != vm.node]
        self._silent = silent
        self._glyphs = glyphs
        self._target: str | None = None

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("", id="head", markup=False)
            yield OptionList(*(self._option(node) for node in self._choices), id="nodes", markup=False)
            yield Static("", id="checks", markup=False)
            yield Static("", id="question", markup=False)
            yield Static("", id="keys", markup=False)

    def on_mount(self) -> None:
        """Say what can be done."""
        self._head(f"away from {self._vm.node or 'no node'} to")
        hint = "enter choose   esc cancel" if self._choices else "there is no other node   esc cancel"
        self.query_one("#keys", Static).update(hint)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A node was chosen: ask."""
        self._target = node_name(self._choices[event.option_index])
        question = confirm_text(action("move_vm"), name=self._vm.name, source=self._vm.node, target=self._target)
        self.query_one("#question", Static).update(Text(escape(question)))
        self._head(f"from {self._vm.node or 'no node'} to {self._target}")
        self.query_one("#keys", Static).update("y move it   n choose again   esc back")
        self.add_class("-asking")
        self._found, self._sure = None, False
        if self._check is not None:
            self.query_one("#checks", Static).update("preflight: asking the cluster and the agents ...")
            self.run_worker(self._preflight(self._target), group="preflight", exclusive=True, exit_on_error=False)

    def _head(self, where: str) -> None:
        head = Text(escape(f"Move {self._vm.namespace}/{self._vm.name} {where}"), "bold")
        self.query_one("#head", Static).update(head)

    async def _preflight(self, target: str) -> None:
        if self._check is None:
            return
        try:
            found = await self._check(target)
        except BasculeError as error:
            self.query_one("#checks", Static).update(Text(escape(f"preflight: {error}")))
            self._check = None
        else:
            self._found = found
            self.query_one("#checks", Static).update(checks_text(self.app, found, self._glyphs))
            if found.blockers:
                self.query_one("#question", Static).update("It must not start.")
                self.query_one("#keys", Static).update("n choose again   esc back")
        if self._sure:
            self.action_yes()

    def action_yes(self) -> None:
        """Confirmed; a preflight that is still asking is waited for, and what it finds can refuse."""
        if self._target is None:
            return
        if self._check is not None and self._found is None:
            self._sure = True
            return
        if self._found is None or not self._found.blockers:
            self.dismiss(self._target)

    def action_back(self) -> None:
        """From the question to the list, from the list out."""
        if self._target is None:
            self.dismiss(None)
            return
        self._target = None
        self.remove_class("-asking")
        self.on_mount()

    def _option(self, node: Mapping[str, Any]) -> Option:
        name, ready = node_name(node), is_ready(node)
        if agent_target(node) is None:
            agent = "no agent: the move will have no record"
        else:
            agent = "agent silent" if name in self._silent else "agent answers"
        state = "ready" if ready else "not ready"
        symbol = self._glyphs.good if ready else self._glyphs.bad
        return Option(Text(escape(f"{symbol} {name:<16} {state:<10} {agent}")), disabled=not ready)
