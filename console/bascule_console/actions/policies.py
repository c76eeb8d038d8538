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

APPLY = "bascule apply -f FILE"


def _change(
    id: str,  # noqa: A002 - the field's own name
    label: str,
    key: str,
    confirm: str,
    needs: tuple[Need, ...],
    *,
    verb: str = APPLY,
    footer: bool = True,
) -> Action:
    return Action(
        id=id, label=label, key=key, scope=HERE, danger=True, confirm=confirm, verb=verb, footer=footer, needs=needs
    )


EDIT, ORDER = "Apply the changes to {name}?", "Apply the new order of {name}?"
PROMOTE, REVERT = "bascule policies promote NAME", "bascule policies revert NAME"
BACK = "Take back the last change of {name}?"
BOTH = (*STAGE, *ENFORCE)
ACTIONS: tuple[Action, ...] = (
    _change("new_policy", "New", "n", "Apply policy {name}?", STAGE),
    _change("edit_policy", "Edit", "e", EDIT, STAGE),
    _change("edit_policy_yaml", "YAML edit", "E", EDIT, STAGE, footer=False),
    _change("promote_policy", "Promote", "P", "Put {name} in force?", (*ENFORCE, *DELETE), verb=PROMOTE),
    _change("revert_policy", "Revert", "u", BACK, (*BOTH, *DELETE), verb=REVERT),
    _change("policy_up", "Move up", "ctrl+up,alt+up", ORDER, BOTH, footer=False),
    _change("policy_down", "Move down", "ctrl+down,alt+down", ORDER, BOTH, footer=False),
    _change("delete_policy", "Delete", "ctrl+d", "Delete {name}?", (*STAGE, *DELETE), verb=PROMOTE, footer=False),
    Action(id="what_if", label="What if", key="w", scope=HERE, verb="bascule policies whatif --staged"),
    Action(id="explain_path", label="Explain", key="x", scope=HERE, verb="bascule policies explain FROM TO SERVICE"),
    Action(id="fold", label="Fold", key="space", scope=HERE, footer=False),
)
