"""What can be done about the journal's records."""

from __future__ import annotations

from bascule_console.actions.model import Action
from bascule_console.actions.networks import PATCH

ACTIONS: tuple[Action, ...] = (
    Action(
        id="undo_record",
        label="Undo",
        key="u",
        scope=("journal",),
        danger=True,
        confirm="Take back what was done to {name}?",
        verb="bascule journal undo NUMBER",
        needs=(PATCH,),
    ),
)
