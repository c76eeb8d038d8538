"""A planned change of trunks (trunks.py), carried out: submitted, followed through every node's commit-confirm,
answered, and put back as a whole where a node did not keep it. For the CLI and the screens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from bascule.errors import BasculeError, RefusedError
from bascule.resources.network import Network
from bascule.trunks import change as c
from bascule_console.services import apply
from bascule_console.services.journal import Journal
from bascule_console.services.manifests import Document
from bascule_console.services.trunk_calls import TrunkAgents
from bascule_console.services.trunks import DECIDED, Row, Trial
from bascule_console.store.documents import portable
from bascule_console.store.nodes import AgentTarget
from bascule_kube import Cluster

Obj = dict[str, Any]
GRACE_SECONDS = 15.0
POLL_SECONDS = 0.2


async def submit(cluster: Cluster, trial: Trial, journal: Journal) -> apply.Plan:
    """Lint, dry run, diff and apply the edited Network; the Plan is not `ready` when that was refused. RefusedError
    when the server would put hostConfig into another order than the one that was checked."""
    rehearsed = await rehearse(cluster, trial.after)
    if rehearsed.ready:
        _ = [change async for change in apply.commit(cluster, rehearsed, journal)]
    return rehearsed


async def rehearse(cluster: Cluster, document: Obj) -> apply.Plan:
    """The apply pipeline up to the dry run, and the order of hostConfig in its answer."""
    rehearsed = await apply.prepare(cluster, [Document(document, "bascule trunks", {})])
    wanted = _order(document)
    for change in rehearsed.changes:
        if change.after is not None and _order(change.after) != wanted:
            raise RefusedError(
                "the server would keep hostConfig in another order",
                f"{_order(change.after)}, not {wanted}",
                "edit it with kubectl replace: the first entry that selects a node wins",
            )
    return rehearsed


def _order(document: Mapping[str, Any]) -> list[str]:
    return [config.node_selector for config in Network.of(document).host_configs]


def word_is_wanted(trial: Trial) -> bool:
    """Do some nodes wait for a word, and nobody else is on the way?"""
    rest = [n for n in trial.targets if trial.states.get(n, {}).get("state") not in (*DECIDED, c.WAITING)]
    return bool(trial.waiting) and not rest


async def follow(
    agents: TrunkAgents,
    trial: Trial,
    seen: Callable[[Trial], None] = lambda _: None,
    enough: Callable[[Trial], bool] = word_is_wanted,
) -> Trial:
    """Until every node has decided, or `enough` says so (when only a word is missing); calls `seen` at each look. A
    node that says nothing in time counts as rolled back: its dead-man has done so."""
    deadline = time.monotonic() + trial.wish.seconds + GRACE_SECONDS
    while not trial.decided:
        for node, target in trial.targets.items():
            state = await _state(agents, target, trial)
            if state is not None:
                trial.states[node] = state
        seen(trial)
        if trial.decided or enough(trial):
            return trial
        if time.monotonic() > deadline:
            for node in trial.targets:
                if trial.states.get(node, {}).get("state") not in DECIDED:
                    trial.states[node] = {"state": c.ROLLED_BACK, "why": "it said nothing in time"}
            return trial
        await asyncio.sleep(POLL_SECONDS)
    return trial


async def _state(agents: TrunkAgents, target: AgentTarget, trial: Trial) -> Row | None:
    try:
        report = await agents.node_report(target)
    except BasculeError:  # an agent that restarts is silent for a second, and says where it stands afterwards
        return None
    change = report.get("change") or {}
    if change.get("id") == trial.wish.id:
        return dict(change)
    if (report.get("accepted") or {}).get(trial.name) == trial.wish.id:
        return {"state": c.CONFIRMED, "why": "nothing had to be changed", "checks": {}}
    return None


async def answer(
    agents: TrunkAgents, trial: Trial, keep: bool, seen: Callable[[Trial], None] = lambda _: None
) -> dict[str, BasculeError]:
    """The operator's word to every node that waits, then follow to the end. A node that did not take the word is in the
    answer with the reason; it goes back by itself when its time is up."""
    deaf: dict[str, BasculeError] = {}
    for node in trial.waiting:
        try:
            await agents.answer(trial.targets[node], trial.wish.id, keep)
        except BasculeError as error:
            deaf[node] = error
        else:
            trial.states[node] = {**trial.states[node], "state": c.APPLYING}
    await follow(agents, trial, seen, lambda _: False)
    return deaf


async def restore(cluster: Cluster, trial: Trial, journal: Journal) -> apply.Plan:
    """Put the Network back as it was, journalled like every change: a node that took the change back and one that kept
    it must not stay apart."""
    before = portable(trial.before)
    rehearsed = await rehearse(cluster, before)
    if rehearsed.ready:
        _ = [change async for change in apply.commit(cluster, rehearsed, journal)]
    return rehearsed
