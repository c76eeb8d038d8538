"""Actions of the flow screen beside freezing, which it shares with the live screen."""

from __future__ import annotations

from bascule_console.actions.model import Action

ACTIONS: tuple[Action, ...] = (
    Action(id="follow", label="Follow", key="f", scope=("flows",), verb="bascule flows --follow"),
    Action(id="copy_row", label="Copy", key="c", scope=("flows",)),
    Action(id="copy_json", label="Copy JSON", key="C", scope=("flows",), footer=False, verb="bascule flows -o json"),
    Action(id="go_vm", label="VM", key="v", scope=("flows",), footer=False, verb="bascule vms show NAME"),
)
