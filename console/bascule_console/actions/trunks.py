"""Actions of the trunk screens: the candidates, the matrix, and a change under commit-confirm."""

from __future__ import annotations

from bascule_console.actions.model import Action, Need
from bascule_console.actions.networks import PATCH

HERE = ("trunks",)
ANSWER = Need("update", "bascule.dev", "agents", "changes")
ATTACH = "bascule trunks attach --network NAME --node NODE --interface LINK"

ACTIONS: tuple[Action, ...] = (
    Action(id="mark_link", label="Mark", key="space", scope=HERE),
    Action(
        id="attach_trunk",
        label="Attach",
        key="a",
        scope=HERE,
        danger=True,
        confirm="Attach the marked links to Network {name}?",
        verb=ATTACH,
        needs=(PATCH,),
    ),
    Action(
        id="detach_trunk",
        label="Detach",
        key="x",
        scope=HERE,
        danger=True,
        confirm="Detach the trunks of Network {name}?",
        verb="bascule trunks detach --network NAME --node NODE",
        needs=(PATCH,),
    ),
    Action(id="show_matrix", label="Matrix", key="m", scope=HERE, verb="bascule trunks prove"),
    Action(id="prove_trunks", label="Prove", key="p", scope=HERE, verb="bascule trunks prove"),
    Action(
        id="apply_change",
        label="Apply",
        key="A",
        scope=HERE,
        danger=True,
        confirm="Change the trunks of Network {name}?",
        verb=ATTACH,
        needs=(PATCH,),
    ),
    Action(
        id="keep_change",
        label="Keep",
        key="K",
        scope=HERE,
        danger=True,
        confirm="Keep the change of {name}?",
        verb=f"{ATTACH} --confirm manual",
        needs=(ANSWER,),
    ),
    Action(
        id="take_back",
        label="Roll back now",
        key="R",
        scope=HERE,
        danger=True,
        confirm="Take the change of {name} back?",
        verb=f"{ATTACH} --confirm manual",
        needs=(ANSWER,),
    ),
)
