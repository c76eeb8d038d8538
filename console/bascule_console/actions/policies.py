"""What an operator does about policies. What is new is staged first; promotion puts it in force."""

from __future__ import annotations

from bascule_console.actions.model import Action, Need

CALICO = "projectcalico.org"
HERE = ("policies",)
STAGE = tuple(Need("patch", CALICO, plural) for plural in ("stagednetworkpolicies", "stagedglobalnetworkpolicies"))
ENFORCE = tuple(Need("patch", CALICO, plural) for plural in ("networkpolicies", "globalnetworkpolicies"))
DELETE = tuple(
    Need("delete", CALICO, plural)
    for plural in ("stagednetworkpolicies", "stagedglobalnetworkpolicies", "networkpolicies", "globalnetworkpolicies")
)

ACTIONS: tuple[Action, ...] = (
    Action(
        id="new_policy",
        label="New",
        key="n",
        scope=HERE,
        danger=True,
        confirm="Apply policy {name}?",
        verb="bascule apply -f FILE",
        needs=STAGE,
    ),
    Action(
        id="edit_policy",
        label="Edit",
        key="e",
        scope=HERE,
        danger=True,
        confirm="Apply the changes to {name}?",
        verb="bascule apply -f FILE",
        needs=STAGE,
    ),
    Action(
        id="edit_policy_yaml",
        label="YAML edit",
        key="E",
        scope=HERE,
        danger=True,
        confirm="Apply the changes to {name}?",
        verb="bascule apply -f FILE",
        footer=False,
        needs=STAGE,
    ),
    Action(
        id="promote_policy",
        label="Promote",
        key="P",
        scope=HERE,
        danger=True,
        confirm="Put {name} in force?",
        verb="bascule policies promote NAME",
        needs=(*ENFORCE, *DELETE),
    ),
    Action(
        id="revert_policy",
        label="Revert",
        key="u",
        scope=HERE,
        danger=True,
        confirm="Take back the last change of {name}?",
        verb="bascule policies revert NAME",
        needs=(*STAGE, *ENFORCE, *DELETE),
    ),
    Action(
        id="policy_up",
        label="Move up",
        key="ctrl+up,alt+up",
        scope=HERE,
        danger=True,
        confirm="Apply the new order of {name}?",
        verb="bascule apply -f FILE",
        footer=False,
        needs=(*STAGE, *ENFORCE),
    ),
    Action(
        id="policy_down",
        label="Move down",
        key="ctrl+down,alt+down",
        scope=HERE,
        danger=True,
        confirm="Apply the new order of {name}?",
        verb="bascule apply -f FILE",
        footer=False,
        needs=(*STAGE, *ENFORCE),
    ),
    Action(
        id="delete_policy",
        label="Delete",
        key="ctrl+d",
        scope=HERE,
        danger=True,
        confirm="Delete {name}?",
        verb="bascule policies promote NAME",
        footer=False,
        needs=(*STAGE, *DELETE),
    ),
    Action(id="what_if", label="What if", key="w", scope=HERE, verb="bascule policies whatif --staged"),
    Action(id="explain_path", label="Explain", key="x", scope=HERE, verb="bascule policies explain FROM TO SERVICE"),
    Action(id="fold", label="Fold", key="space", scope=HERE, footer=False),
)
