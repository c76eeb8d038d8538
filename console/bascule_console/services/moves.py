"""One live move, the same for the screen and the command line: checks, VMIM, phases, record.

The move itself is KubeVirt's. Bascule creates the migration, follows it, and asks the target's agent, which owns the
record, for what the network felt.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from bascule.errors import BasculeError, PartialError, RefusedError, UsageError
from bascule_console.services.agents import AgentError, Agents
from bascule_console.services.phases import PhaseReader
from bascule_console.services.phases import PhaseSeen as PhaseSeen
from bascule_console.store.nodes import AgentTarget, agent_target, hostname, is_ready, node_name
from bascule_console.store.vms import ENDED_PHASES, VmRow
from bascule_kube import Cluster, Informer
from bascule_kube.informer import Obj
from bascule_kube.kinds import NODE, VMIM

RECORD_WAIT_S = 15.0
RETRY_S = 0.25
INTERVAL_ANNOTATION = "bascule.dev/probe-interval-ms"


class MoveRefused(RefusedError):
    """A move that must not start: same node, VM not running, not migratable, already moving, node not ready."""


class MoveTimeout(BasculeError):
    """The migration did not end in time. It is not aborted."""

    exit_code = 124


class NoRecord(PartialError):
    """The move ended, but no agent told what the network felt."""


@dataclass(frozen=True, slots=True)
class RecordReady:
    """The complete cut-over record (core/bascule/continuity/schema.json)."""

    record: Mapping[str, Any]


def check_move(vm: VmRow, nodes: list[Mapping[str, Any]], target: str) -> Mapping[str, Any]:
    """The target's Node object, or the first reason why `vm` cannot move there. Raises UsageError, MoveRefused."""
    node = next((n for n in nodes if node_name(n) == target), None)
    if node is None:
        names = ", ".join(node_name(n) for n in nodes) or "none"
        raise UsageError(f"there is no node {target!r}", cause=f"nodes: {names}", fix="name one of them with --to")
    subject = f"{vm.namespace}/{vm.name}"
    if vm.phase != "Running":
        raise MoveRefused(f"{subject} is not running", cause=f"its phase is {vm.phase}", fix="start it first")
    if vm.node == target:
        raise MoveRefused(f"{subject} is on {target} already", fix="name another node")
    if vm.move:
        raise MoveRefused(f"{subject} is being moved already", cause=f"to {vm.move}", fix="wait until that move ended")
    if not vm.movable:
        raise MoveRefused(f"{subject} is not live-migratable", cause=vm.why_not, fix="read the VMI's conditions")
    if not is_ready(node):
        raise MoveRefused(f"node {target} is not ready", fix="name another node")
    return node


def migration(vm: VmRow, node: Mapping[str, Any], probe_interval_ms: float | None = None) -> Obj:
    """The VMIM that moves `vm` to `node` (KubeVirt v1, `addedNodeSelector` restricts the target). An interval for the
    agents' probes travels with it as an annotation."""
    asked = {} if probe_interval_ms is None else {"annotations": {INTERVAL_ANNOTATION: f"{probe_interval_ms:g}"}}
    return {
        "apiVersion": VMIM.api_version,
        "kind": VMIM.kind,
        "metadata": {"name": f"{vm.name}-{secrets.token_hex(4)}", "namespace": vm.namespace, **asked},
        "spec": {"vmiName": vm.name, "addedNodeSelector": {"kubernetes.io/hostname": hostname(node)}},
    }


async def move(
    cluster: Cluster,
    agents: Agents,
    vm: VmRow,
    node: Mapping[str, Any],
    timeout: float,
    probe_interval_ms: float | None = None,
) -> AsyncGenerator[PhaseSeen | RecordReady, None]:
    """Create the migration (after `check_move`), yield its phases as they come, then its record.

    Raises MoveTimeout after `timeout` seconds, NoRecord when no record can be had, and what the API server refuses.
    """
    created = await cluster.create(migration(vm, node, probe_interval_ms))
    meta = created["metadata"]
    async with aclosing(_phases(cluster, meta["namespace"], meta["name"], timeout)) as phases:
        async for phase in phases:
            yield phase
    yield RecordReady(await fetch_record(cluster, agents, node_name(node), str(meta["uid"])))


async def _phases(cluster: Cluster, namespace: str, name: str, timeout: float) -> AsyncGenerator[PhaseSeen, None]:
    states: asyncio.Queue[Obj] = asyncio.Queue()

    def on_change(change: str, obj: Obj) -> None:
        if obj["metadata"]["name"] == name:
            gone = {"phase": "Failed", "migrationState": {"failureReason": "the migration was deleted"}}
            states.put_nowait({"status": gone} if change == "DELETED" else obj)

    informer = Informer(cluster, VMIM, namespace, on_change=on_change)
    informer.start()
    began, reader = time.monotonic(), PhaseReader()
    try:
        async with asyncio.timeout(timeout):
            while reader.phase not in ENDED_PHASES:
                state = await states.get()
                for seen in reader.read(state, time.monotonic() - began):
                    yield seen
    except TimeoutError as error:
        raise MoveTimeout(
            f"the migration {namespace}/{name} did not end in {timeout:g} s",
            cause=f"its phase is {reader.phase or 'unknown'}",
            fix="it still runs: look at it with bascule moves list, or allow more with --timeout",
        ) from error
    finally:
        await informer.stop()


async def fetch_record(cluster: Cluster, agents: Agents, target: str, uid: str) -> Mapping[str, Any]:
    """The complete record of migration `uid` from the agent of node `target`. Raises NoRecord."""
    agent = agent_target(await cluster.get(NODE, target))
    if agent is None:
        raise NoRecord(
            f"no record of this move: node {target} has no agent",
            cause="its Node has no annotation bascule.dev/agent",
            fix="run bascule-agent on every node",
        )
    problem = "it holds no record of this migration"
    deadline = time.monotonic() + RECORD_WAIT_S
    while (left := deadline - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left):
                found = await _complete_record(agents, agent, uid)
            if found is not None:
                return found
        except AgentError as error:
            problem = str(error)
        except TimeoutError:
            break
        await asyncio.sleep(RETRY_S)
    raise NoRecord(f"the agent of {target} gave no record of this move in {RECORD_WAIT_S:g} s", cause=problem)


async def _complete_record(agents: Agents, agent: AgentTarget, uid: str) -> Mapping[str, Any] | None:
    async with aclosing(agents.moves(agent, migration_uid=uid, follow=True)) as updates:
        async for update in updates:
            if update.migration_uid == uid and update.complete:
                return update.record
    return None
