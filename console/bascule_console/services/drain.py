"""A node's VMs moved away, a few at a time: KubeVirt's own limits decide how many. As kubectl does, it cordons first.

Only what may run is created. A VM that cannot move is skipped with its reason and keeps nothing else from moving; one
whose migration fails stays where it is, and the rest goes on.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from bascule.continuity.limits import Drain, Item, place
from bascule.errors import BasculeError, UsageError
from bascule_console.services.cluster import list_if_served
from bascule_console.services.cordon import cordon
from bascule_console.services.journal import Journal
from bascule_console.services.lists import load
from bascule_console.services.moves import RecordReady, move
from bascule_console.services.preflight import World, judge, look
from bascule_console.services.trunk_calls import TrunkAgents
from bascule_console.store.inventory import Inventory
from bascule_console.store.nodes import is_cordoned, is_ready, node_name
from bascule_console.store.vms import ENDED_PHASES, NODES, VmRow, vm_rows
from bascule_kube import Cluster
from bascule_kube.kinds import VMIM

ROOM_S = 0.5


async def plan(cluster: Cluster, agents: TrunkAgents, node: str) -> tuple[Drain, World, Inventory]:
    """The queue, with what is not to be moved marked as skipped; changes nothing. UsageError for an unknown node."""
    inventory = await load(cluster)
    nodes = inventory.all(NODES)
    if node not in {node_name(each) for each in nodes}:
        names = ", ".join(sorted(node_name(each) for each in nodes))
        raise UsageError(f"there is no node {node!r}", cause=f"nodes: {names}", fix="name one of them")
    targets = sorted(
        name for each in nodes if (name := node_name(each)) != node and is_ready(each) and not is_cordoned(each)
    )
    rows = vm_rows(inventory)
    here = [row for row in rows if row.node == node]
    load_now = Counter(row.node for row in rows if row.node)
    world = await look(cluster, agents, targets)
    placed = place([row.key for row in here if row.movable and not row.move], targets, load_now)
    items = tuple(_item(row, placed, world) for row in here)
    return Drain(node, items, world.limits), world, inventory


def _item(row: VmRow, placed: Mapping[str, str], world: World) -> Item:
    if row.move:
        return Item(row.key, "", "skipped", f"it is being moved already, to {row.move}")
    target = placed.get(row.key, "")
    if not target:
        why = "there is no other node that is ready" if row.movable else row.why_not
        return Item(row.key, "", "skipped", why)
    found = judge(world, row, target).blockers
    queue = [check for check in found if check.id != "in-flight"]
    if queue:
        return Item(row.key, target, "skipped", f"{queue[0].message}; {queue[0].fix}".rstrip("; "))
    return Item(row.key, target)


async def run(
    cluster: Cluster,
    agents: TrunkAgents,
    journal: Journal,
    drain: Drain,
    inventory: Inventory,
    timeout: float,
    stopped: Callable[[], bool] = lambda: False,
) -> AsyncGenerator[Drain, None]:
    """Cordon the node and move what waits in `drain`; yields the drain after every change, the last time at the end.

    The node stays cordoned. Once `stopped()` no more moves are started, and what waits is skipped. Closing the
    generator only ends the watching: moves that run go on, as KubeVirt's do.
    """
    rows = {row.key: row for row in vm_rows(inventory)}
    nodes = {node_name(each): each for each in inventory.all(NODES)}
    done: asyncio.Queue[Item] = asyncio.Queue()
    tasks: set[asyncio.Task[None]] = set()

    async def one(item: Item) -> None:
        done.put_nowait(await _move(cluster, agents, rows[item.vm], nodes[item.target], item, timeout))

    yield drain
    try:
        await cordon(cluster, journal, drain.node)
        while not drain.over:
            if stopped():
                for item in drain.items:
                    if item.state == "waiting":
                        drain = drain.with_state(item.vm, "skipped", "the drain was stopped")
            others, out = await _others(cluster, drain)
            for item in drain.ready(others, out):
                drain = drain.with_state(item.vm, "moving")
                tasks.add(asyncio.create_task(one(item)))
                yield drain
            if drain.over:
                break
            try:
                ended = await asyncio.wait_for(done.get(), ROOM_S)
            except TimeoutError:
                continue
            drain = drain.with_state(ended.vm, ended.state, ended.why, ended.verdict)
            yield drain
        yield drain
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _others(cluster: Cluster, drain: Drain) -> tuple[int, int]:
    """Migrations of VMs that are not moving by this drain: in the cluster, and away from this node."""
    own = {item.vm for item in drain.items if item.state == "moving"}
    found = []
    for vmim in await list_if_served(cluster, VMIM):
        status = vmim.get("status") or {}
        vm = f"{vmim['metadata'].get('namespace', '')}/{(vmim.get('spec') or {}).get('vmiName', '')}"
        if status.get("phase") not in ENDED_PHASES and vm not in own:
            found.append((status.get("migrationState") or {}).get("sourceNode", ""))
    return len(found), sum(source == drain.node for source in found)


async def _move(
    cluster: Cluster, agents: TrunkAgents, vm: VmRow, node: Mapping[str, Any], item: Item, timeout: float
) -> Item:
    record: Mapping[str, Any] = {}
    try:
        async with aclosing(move(cluster, agents, vm, node, timeout)) as events:
            async for event in events:
                if isinstance(event, RecordReady):
                    record = event.record
    except BasculeError as error:
        return replace(item, state="failed", why=f"{error.message}: {error.cause}" if error.cause else error.message)
    verdict, reasons = str(record.get("verdict")), record.get("reasons") or []
    why = str(reasons[0]["message"]) if reasons else ""
    failed = any(reason["code"] == "migration-failed" for reason in reasons)
    return replace(
        item, state="failed" if failed else "broken" if verdict == "broken" else "moved", why=why, verdict=verdict
    )
