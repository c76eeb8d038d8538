"""A move from the screen: choose a node, confirm, follow it; and the last record again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from bascule.errors import UnreachableError
from bascule.text import escape
from bascule_console.actions.registry import action
from bascule_console.screens.move.choose import ChooseNode
from bascule_console.screens.move.progress import MoveProgress
from bascule_console.screens.move.record import RecordScreen
from bascule_console.services.moves import PhaseSeen, RecordReady, check_move, move
from bascule_console.store.vms import NODES, VmRow

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp
    from bascule_console.services.preflight import Preflight
    from bascule_console.services.session import Session

MOVE_TIMEOUT_S = 300.0


def start_move(app: BasculeApp, vm: VmRow) -> None:
    """Ask for a node, check, confirm, and follow the move."""

    def go(node: str) -> None:
        app.push_screen(MoveProgress(vm, node, _events(app, vm, node), app.store, app.glyphs))

    def chosen(node: str | None) -> None:
        if node is None:
            return
        if app.guard.protected:
            app.confirm(action("move_vm"), lambda: go(node), name=vm.name, source=vm.node, target=node)
        else:
            go(node)

    session = app.session
    check = None if session is None else lambda node: _check(session, vm, node)
    app.push_screen(ChooseNode(vm, app.store.inventory.all(NODES), set(app.store.silent), app.glyphs, check), chosen)


async def _check(session: Session, vm: VmRow, node: str) -> Preflight:
    from bascule_console.services.preflight import check

    return await check(session.cluster, session.agents, vm, node)


def show_record(app: BasculeApp, vm: VmRow) -> None:
    """The VM's last record, if this console has seen one."""
    record = app.store.records.get(vm.key)
    if record is None:
        app.notify(f"{escape(vm.key)} has not been moved in this session", markup=False)
        return
    app.push_screen(RecordScreen(record, ascii_only=app.ascii_only))


async def _events(app: BasculeApp, vm: VmRow, target: str) -> AsyncIterator[PhaseSeen | RecordReady]:
    session = app.session
    if session is None:
        raise UnreachableError("there is no cluster to move in", fix="start the console on a kubeconfig")
    current = app.store.vms.rows().get(vm.key, vm)
    node = check_move(current, app.store.inventory.all(NODES), target)
    async for event in move(session.cluster, session.agents, current, node, MOVE_TIMEOUT_S):
        yield event
