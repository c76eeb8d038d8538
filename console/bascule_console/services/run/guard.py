"""A plan that is being run is not replaced: its journal's VMs would no longer be those of the plan that is kept."""

from __future__ import annotations

from bascule.errors import RefusedError, UsageError
from bascule.migration.machine import BLOCKED, STUCK
from bascule.migration.run import GOING_BACK, MOVING
from bascule_console.services.plan import plan_path
from bascule_console.services.run.loaded import load
from bascule_console.services.run.runner import status


def refuse_if_running() -> None:
    """Raise RefusedError while a VM of the kept plan is on its way, forward or back."""
    if not plan_path().exists():
        return
    try:
        rows = status(load())
    except UsageError:
        return
    for row in rows:
        if row.state in (MOVING, GOING_BACK, BLOCKED, STUCK) and (row.state, row.step) != (BLOCKED, "network"):
            raise RefusedError(
                f"the kept plan is being run: {row.target} is {row.state}",
                f"at step {row.step} since {row.since}; a new plan would not know the way on or back",
                row.next,
            )
