"""The wizard's state on disk: whole or not at all, and what cannot be read is kept aside rather than lost."""

from __future__ import annotations

import os
from pathlib import Path

from bascule.errors import UsageError
from bascule.migration.wizard import State, dump, load
from bascule_console.services.estate import estate_path, write_whole

ASIDE, BEFORE = ".unreadable", ".before"


def state_path() -> Path:
    """`$XDG_STATE_HOME/bascule/wizard.json`."""
    return estate_path().with_name("wizard.json")


def read(path: Path) -> State:
    """The state that was kept, a new one when there is none. Raises UsageError for one that cannot be read: it was
    moved to `<name>.unreadable` then, so that the next call begins anew."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return State()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read", error.strerror or str(error), "check its owner") from error
    try:
        return load(str(path), data)
    except UsageError as error:
        aside = path.with_name(path.name + ASIDE)
        move(path, aside)
        error.fix = f"it was kept as {aside}; start the wizard again to begin anew"
        raise


def write(path: Path, state: State) -> None:
    """Keep a state. Raises UsageError."""
    write_whole(path, dump(state))


def move(path: Path, to: Path) -> None:
    """Rename a kept state; one that is not there is none to move. Raises UsageError."""
    try:
        os.replace(path, to)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{path}: cannot be moved aside", error.strerror or str(error), "remove it") from error
