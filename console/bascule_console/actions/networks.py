"""What an operator does to Networks, and the last step of every change that was looked at first."""

from __future__ import annotations

from dataclasses import replace

from bascule_console.actions.model import Action, Need

PATCH = Need("patch", "projectcalico.org", "networks")
DELETE = Need("delete", "projectcalico.org", "networks")
HERE = ("networks",)

NEW = Action(
    id="new_network",
    label="New",
    key="n",
    scope=HERE,
    danger=True,
    confirm="Apply Network {name}?",
    verb="bascule apply -f FILE",
    needs=(PATCH,),
)
EDIT = replace(NEW, id="edit_network", label="Edit", key="e", confirm="Apply the changes to {name}?")
ACTIONS: tuple[Action, ...] = (
    NEW,
    EDIT,
    replace(EDIT, id="edit_network_yaml", label="Edit YAML", key="E"),
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
