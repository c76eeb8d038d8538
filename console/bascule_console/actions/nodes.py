"""Actions of the node screen."""

from __future__ import annotations

from bascule_console.actions.live import CREATE_MOVE
from bascule_console.actions.model import Action, Need

PATCH_NODE = Need("patch", "", "nodes")

ACTIONS: tuple[Action, ...] = (
    Action(
        id="drain_node",
        label="Drain",
        key="D",
        scope=("nodes",),
        danger=True,
        confirm="Cordon {name} and live-migrate its VMs away?",
        verb="bascule nodes drain NODE",
        needs=(CREATE_MOVE, PATCH_NODE),
    ),
    Action(
        id="uncordon_node",
        label="Uncordon",
        key="U",
        scope=("nodes",),
        danger=True,
        confirm="Let pods be scheduled on {name} again?",
        verb="bascule nodes uncordon NODE",
        footer=False,
        needs=(PATCH_NODE,),
    ),
)
