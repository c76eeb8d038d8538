"""Actions of the node screen."""

from __future__ import annotations

from bascule_console.actions.live import CREATE_MOVE
from bascule_console.actions.model import Action

ACTIONS: tuple[Action, ...] = (
    Action(
        id="drain_node",
        label="Drain",
        key="D",
        scope=("nodes",),
        danger=True,
        confirm="Live-migrate every VM away from {name}?",
        verb="bascule nodes drain NODE",
        needs=(CREATE_MOVE,),
    ),
)
