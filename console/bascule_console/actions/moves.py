"""Actions of the move screen."""

from __future__ import annotations

from bascule_console.actions.model import Action, Need

ACTIONS: tuple[Action, ...] = (
    Action(
        id="abort_move",
        label="Abort",
        key="x",
        scope=("moves",),
        danger=True,
        confirm="Take the move of {vm} back by deleting migration {name}?",
        verb="bascule moves abort VM",
        needs=(Need("delete", "kubevirt.io", "virtualmachineinstancemigrations"),),
    ),
)
