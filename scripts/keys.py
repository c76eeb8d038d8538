"""docs/reference/keys.md from the registries: every key, screen, command and danger verb.

`python scripts/keys.py` writes it; `--check` (and tests/console/test_shell_keys.py) says whether it is current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from textual.binding import Binding

from bascule_console.actions.bindings import readable
from bascule_console.actions.model import Action
from bascule_console.actions.registry import all_actions
from bascule_console.screens.modes import MODES
from bascule_console.widgets.table import GridTable

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "keys.md"
HEAD = """# Keys and places

Made by `scripts/keys.py` from the tables that the console itself uses; do not edit. What a key does on the screen you
are on, and only that, is under `?`; every action and place is also under `ctrl+p`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *places(), *everywhere(), *by_screen(), *motions(), *dangers()]) + "\n"


def places() -> Iterator[str]:
    """What `:` opens."""
    yield "## Places: `:` and a name\n"
    yield "`:vms web` opens the VMs filtered by `web`; `:theme light`, `:help`, `:quit`. `tab` completes, up and down"
    yield "are the history, `esc` goes back the way you came.\n"
    yield "| place | name | also |"
    yield "| --- | --- | --- |"
    for mode in MODES:
        yield f"| {mode.title} | `:{mode.id}` | {' '.join(f'`:{alias}`' for alias in mode.aliases)} |"
    yield ""


def everywhere() -> Iterator[str]:
    """Actions of every screen."""
    yield "## On every screen\n"
    yield from table([action for action in all_actions() if not action.scope])


def by_screen() -> Iterator[str]:
    """Actions of some screens."""
    for mode in MODES:
        own = [action for action in all_actions() if mode.id in action.scope]
        if own:
            yield f"## {mode.title}\n"
            yield from table(own)


def table(actions: list[Action]) -> Iterator[str]:
    """Rows of actions."""
    yield "| key | action | headless | changes the cluster |"
    yield "| --- | --- | --- | --- |"
    for action in actions:
        verb = f"`{action.verb}`" if action.verb else ""
        danger = ", ".join(f"`{need}`" for need in action.needs) or "yes" if action.danger else ""
        yield f"| `{readable(action.key)}` | {action.label} | {verb} | {danger} |"
    yield ""


def motions() -> Iterator[str]:
    """Keys of every table."""
    yield "## In a table\n"
    yield "| key | motion |"
    yield "| --- | --- |"
    for binding in GridTable.BINDINGS:
        if isinstance(binding, Binding):
            yield f"| {' '.join(f'`{key}`' for key in binding.key.split(','))} | {binding.description} |"
    yield "\nA click on a header orders by that column, a click on a row takes the cursor there.\n"


def dangers() -> Iterator[str]:
    """What guards a change."""
    yield "## Before anything changes\n"
    yield "An action with an entry under *changes the cluster* is absent in a read-only session, and where the cluster"
    yield "does not grant this user that right (asked once by SelfSubjectAccessReview). On a protected context the name"
    yield "of what changes has to be typed; the verbs then want `--confirm-name NAME`."


def main() -> int:
    """Write the page, or with --check compare it."""
    if "--check" in sys.argv[1:]:
        current = PAGE.exists() and PAGE.read_text() == page()
        print("current" if current else f"{PAGE} is not current: run scripts/keys.py", file=sys.stderr)
        return 0 if current else 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
