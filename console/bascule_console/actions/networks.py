"""What an operator does to Networks, and the last step of every change that was looked at first."""

from __future__ import annotations

from bascule_console.actions.model import Action, Need

PATCH = Need("patch", "projectcalico.org", "networks")
DELETE = Need("delete", "projectcalico.org", "networks")
HERE = ("networks",)

ACTIONS: tuple[Action, ...] = (
    Action(
        id="new_network",
        label="New",
        key="n",
        scope=HERE,
        danger=True,
        confirm="Apply Network {name}?",
        verb="bascule apply -f FILE",
        needs=(PATCH,),
    ),
    Action(
        id="edit_network",
        label="Edit",
        key="e",
        scope=HERE,
        danger=True,
        confirm="Apply the changes to {name}?",
        verb="bascule apply -f FILE",
        needs=(PATCH,),
    ),
    Action(
        id="edit_network_yaml",
        label="Edit YAML",
        key="E",
        scope=HERE,
        danger=True,
        confirm="Apply the changes to {name}?",
        verb="bascule apply -f FILE",
        needs=(PATCH,),
    ),
    Action(
        id="delete_network",
        label="Delete",
        key="ctrl+d",
        scope=HERE,
        danger=True,
        confirm="Delete Network {name}?",
        verb="bascule networks delete NAME",
        footer=False,
        needs=(DELETE,),
    ),
)
