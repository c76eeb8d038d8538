"""Actions as data: id, label, key, scope, danger, confirm text.

Keys, footer and help are made from this table, so that they cannot disagree with each other. In a read-only
session danger actions are absent, not failing.
"""

from __future__ import annotations

from dataclasses import dataclass

EVERYWHERE = "everywhere"
VMS_TABLE = "vms"
FLOWS_TABLE = "flows"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing an operator can do.

    `scope` is what it acts on, wherever the cursor is; `verb` is its headless twin; `confirm` is a format text over its
    subject.
    """

    id: str
    label: str
    key: str
    scope: str = EVERYWHERE
    danger: bool = False
    confirm: str = ""
    verb: str = ""
    footer: bool = True


ACTIONS: tuple[Action, ...] = (
    Action(
        id="move_vm",
        label="Move VM",
        key="m",
        scope=VMS_TABLE,
        danger=True,
        confirm="Live-migrate {name} from {source} to {target}?",
        verb="bascule vms move NAME --to NODE",
    ),
    Action(id="filter", label="Filter", key="slash"),
    Action(id="freeze", label="Freeze", key="space", scope=FLOWS_TABLE, verb="bascule flows --last N"),
    Action(id="switch_table", label="Tables", key="tab"),
    Action(id="sort_next", label="Sort", key="s", footer=False),
    Action(id="sort_reverse", label="Reverse", key="S", footer=False),
    Action(id="last_record", label="Record", key="r", scope=VMS_TABLE, verb="bascule moves show"),
    Action(id="help", label="Help", key="question_mark"),
    Action(id="quit", label="Quit", key="q"),
)


def actions(*, read_only: bool) -> tuple[Action, ...]:
    """The actions of a session; danger ones are left out of a read-only session."""
    return tuple(action for action in ACTIONS if not (read_only and action.danger))


def action(action_id: str) -> Action:
    """The action of that id; KeyError when there is none (a programming error)."""
    for candidate in ACTIONS:
        if candidate.id == action_id:
            return candidate
    raise KeyError(action_id)
