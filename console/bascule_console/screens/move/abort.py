"""Taking a running move back from a screen: the question, then KubeVirt's way (services/aborts.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bascule.errors import UnreachableError
from bascule_console.actions.registry import action

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp

ABORT_WAIT_S = 30.0


def ask_abort(app: BasculeApp, name: str, vm: str) -> None:
    """Ask whether to delete migration (or VM) `name`, then do it and say where the VM stays; `vm` is for the eye."""
    app.confirm(action("abort_move"), lambda: app.do(_abort(app, name), f"{vm} stays where it was"), name=name, vm=vm)


async def _abort(app: BasculeApp, name: str) -> None:
    from bascule_console.services.aborts import abort, find_running

    session = app.session
    if session is None:
        raise UnreachableError("there is no cluster", fix="start the console on a kubeconfig")
    await abort(session.cluster, await find_running(session.cluster, name), ABORT_WAIT_S)
