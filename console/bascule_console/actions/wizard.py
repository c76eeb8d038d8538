"""What is done in the wizard. Beside the letter each has a key that works while one types an answer."""

from __future__ import annotations

from bascule_console.actions.model import Action, Need
from bascule_console.actions.networks import PATCH

HERE = ("wizard",)
VERB = "bascule wizard --plain"
VMS = Need("create", "kubevirt.io", "virtualmachines")

ACTIONS: tuple[Action, ...] = (
    Action(id="wizard_next", label="Next", key="n,ctrl+n", scope=HERE, verb=VERB),
    Action(id="wizard_previous", label="Previous", key="b,ctrl+o", scope=HERE, verb=VERB),
    Action(id="wizard_answer", label="Answer", key="e", scope=HERE, verb=VERB),
    Action(id="wizard_act", label="Do", key="a,ctrl+s", scope=HERE, verb=VERB),
    Action(id="wizard_mend", label="Mend", key="m,f8", scope=HERE, verb=VERB),
    Action(id="wizard_show", label="Diff", key="v,f5", scope=HERE, verb="bascule plan show"),
    Action(id="wizard_steps", label="Steps", key="w,f2", scope=HERE, verb=VERB, footer=False),
    Action(
        id="wizard_restart",
        label="Begin anew",
        key="ctrl+r",
        scope=HERE,
        verb=VERB,
        footer=False,
        confirm="Forget every answer and begin anew?",
    ),
    # The page's own danger actions: absent when this one is.
    Action(
        id="wizard_change",
        label="Change",
        key="A",
        scope=HERE,
        danger=True,
        confirm="Change {name}?",
        verb="bascule plan run --source URI",
        footer=False,
        needs=(PATCH, VMS),
    ),
)
