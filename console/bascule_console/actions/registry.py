"""Every action of every screen, in one table: keys, footer, help, palette, access checks and docs are made from it.

Each module of this package that has `ACTIONS` adds to it; a screen's own come first, common ones last, which is the
order of the footer.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from bascule_console import actions as package
from bascule_console.actions.model import Action, Need

LAST = "common"


@cache
def all_actions() -> tuple[Action, ...]:
    """Every action, once."""
    names = sorted(
        (found.name for found in pkgutil.iter_modules(package.__path__)), key=lambda name: (name == LAST, name)
    )
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names if name != "registry"]
    return tuple(action for module in modules for action in getattr(module, "ACTIONS", ()))


def actions_in(mode: str) -> tuple[Action, ...]:
    """The actions of one mode, in the order of the footer."""
    return tuple(action for action in all_actions() if action.works_in(mode))


def find(action_id: str) -> Action | None:
    """The action of that id, or None for what is no action (a table's own motions)."""
    return next((action for action in all_actions() if action.id == action_id), None)


def action(action_id: str) -> Action:
    """The action of that id; KeyError when there is none (a programming error)."""
    found = find(action_id)
    if found is None:
        raise KeyError(action_id)
    return found


def needs() -> tuple[Need, ...]:
    """Every right that any danger action needs, each once."""
    return tuple(dict.fromkeys(need for each in all_actions() if each.danger for need in each.needs))
