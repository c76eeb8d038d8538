"""Trunks as an operator works on them: the matrix, candidates, and changes of a Network's hostConfig under
commit-confirm. For the CLI and the screens; nothing is printed here."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bascule.errors import BasculeError, RefusedError, UsageError
from bascule.resources.network import Network
from bascule.resources.node import Node
from bascule.trunks import change as c
from bascule.trunks.change import Wish
from bascule.trunks.edit import attach, detach, wished
from bascule.trunks.questions import config_of
from bascule_console.services import apply
from bascule_console.services.journal import Journal
from bascule_console.services.manifests import Document
from bascule_console.services.reports import Answers, ask_all
from bascule_console.services.trunk_calls import TrunkAgents
from bascule_console.store.documents import portable
from bascule_console.store.nodes import AgentTarget, agent_target
from bascule_kube import Cluster
from bascule_kube.kinds import NETWORK, NODE

Obj = dict[str, Any]
Row = dict[str, Any]
AUTO_SECONDS, MANUAL_SECONDS = 10.0, 60.0
GRACE_SECONDS = 15.0
POLL_SECONDS = 0.2
DECIDED = (c.CONFIRMED, c.ROLLED_BACK, c.REFUSED)


@dataclass
class Trial:
    """A change on its way: the Network before and after, the nodes concerned, what each planned and where it stands
    (`states`: node → the report's change, or the word `unchanged`)."""

    before: Obj
    after: Obj
    wish: Wish
    targets: dict[str, AgentTarget]
    plans: dict[str, Row] = field(default_factory=dict)
    states: dict[str, Row] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The Network."""
        return str(self.before["metadata"]["name"])

    @property
    def failed(self) -> dict[str, str]:
        """Nodes that refused the change or took it back, with the reason."""
        bad = (c.ROLLED_BACK, c.REFUSED)
        return {node: str(state.get("why", "")) for node, state in self.states.items() if state["state"] in bad}

    @property
    def waiting(self) -> list[str]:
        """Nodes where the change waits for a word."""
        return sorted(node for node, state in self.states.items() if state["state"] == c.WAITING)

    @property
    def decided(self) -> bool:
        """Has every node come to an end?"""
        return len(self.states) == len(self.targets) and all(s["state"] in DECIDED for s in self.states.values())


async def nodes_of(cluster: Cluster, only: Iterable[str] = ()) -> list[Mapping[str, Any]]:
    """Node documents by name; those named, or all. Raises UsageError for a name that is none."""
    found = {node["metadata"]["name"]: node for node in await cluster.list(NODE)}
    wanted = list(only)
    unknown = sorted(set(wanted) - set(found))
    if unknown:
        raise UsageError(f"there is no node {unknown[0]!r}", fix=f"one of {', '.join(sorted(found))}")
    return [found[name] for name in sorted(wanted or found)]


async def matrix(
    cluster: Cluster, agents: TrunkAgents, only: Iterable[str] = (), network: str = "", vlans: Sequence[int] = ()
) -> tuple[list[Row], Answers]:
    """The proof of every node x VLAN (DESIGN section 6), sorted; silent agents in the Answers."""
    answers, nodes = Answers(), await nodes_of(cluster, only)
    reports = await ask_all(nodes, agents.node_report, answers)
    mtus = [int((report.get("trunk") or {}).get("mtu") or 0) for report in reports.values()]
    lowest = min((mtu for mtu in mtus if mtu), default=0)
    speaking = [node for node in nodes if node["metadata"]["name"] in reports]

    async def ask(agent: AgentTarget) -> list[Row]:
        return await agents.prove(agent, network, vlans, lowest)

    cells = await ask_all(speaking, ask, answers)
    rows = [cell for node in cells.values() for cell in node]
    return sorted(rows, key=lambda cell: (cell["node"], cell["network"], cell["vlan"])), answers


async def candidates(
    cluster: Cluster, agents: TrunkAgents, only: Iterable[str] = (), listen_seconds: float = 1.0
) -> tuple[list[Row], Answers]:
    """The links of every node that could be a trunk, the usable ones of each first."""
    answers = Answers()

    async def ask(agent: AgentTarget) -> list[Row]:
        return await agents.candidates(agent, listen_seconds)

    found = await ask_all(await nodes_of(cluster, only), ask, answers)
    return [row for node in sorted(found) for row in found[node]], answers


async def prepare(
    cluster: Cluster,
    agents: TrunkAgents,
    network: str,
    chosen: Sequence[str],
    *,
    interface: str = "",
    native: int | None = None,
    manual: bool = False,
    seconds: float = 0.0,
    confirmed_names: Sequence[str] = (),
) -> Trial:
    """Edit the Network for the chosen nodes (`interface` "" detaches) and have each agent plan and prove it; nothing is
    changed. Raises UsageError, RefusedError (guards), AgentError."""
    documents = await cluster.list(NETWORK)
    before = next((d for d in documents if d["metadata"]["name"] == network), None)
    if before is None:
        raise UsageError(f"there is no Network {network!r}", fix="bascule networks list")
    everyone = [Node.of(node) for node in await nodes_of(cluster)]
    picked = [Node.of(node) for node in await nodes_of(cluster, chosen)]
    live = portable(before)
    after = attach(live, everyone, picked, interface, native) if interface else detach(live, everyone, picked)
    wish = Wish(secrets.token_hex(4), manual, seconds or (MANUAL_SECONDS if manual else AUTO_SECONDS))
    allow = [name for name in confirmed_names if name in chosen]
    after = wished(after, wish, allow)
    trial = Trial(before, after, wish, {})
    for document in await nodes_of(cluster, chosen):
        target = agent_target(document)
        if target is None:
            raise RefusedError(f"node {document['metadata']['name']} has no agent", "no annotation bascule.dev/agent")
        trial.targets[target.node] = target
    _one_trunk_per_node(documents, network, picked, interface)
    if interface:
        await _guard(agents, trial, interface, allow)
    for node, target in trial.targets.items():
        trial.plans[node] = await agents.plan(target, after)
    _refuse_bad_plans(trial, interface)
    return trial


def _one_trunk_per_node(documents: Iterable[Obj], network: str, picked: Iterable[Node], interface: str) -> None:
    for node in picked if interface else ():
        for other in map(Network.of, documents):
            config = config_of(other, node.meta.labels) if other.name != network else None
            if config and config.trunk:
                same = config.trunk.interface == interface
                raise RefusedError(
                    f"node {node.name} has trunk {config.trunk.interface} of Network {other.name} already",
                    "a trunk belongs to one Network" if same else "a node has one trunk",
                    f"add the VLANs to Network {other.name}, or detach it there first",
                )


async def _guard(agents: TrunkAgents, trial: Trial, interface: str, allow: Sequence[str]) -> None:
    """The management path and what is no trunk at all, before anything is planned."""
    for node, target in trial.targets.items():
        rows = await agents.candidates(target, 0.0)
        row = next((each for each in rows if each["name"] == interface), None)
        if row is None:
            names = ", ".join(each["name"] for each in rows) or "none"
            raise RefusedError(f"node {node} has no link {interface} that could be a trunk", f"it has {names}")
        if row["default_route"] and node not in allow:
            raise RefusedError(
                f"refused to use {interface} of node {node} as a trunk",
                "the node's default route leaves through it: a mistake cuts the node off",
                f"if that is meant: --confirm-name {node}",
            )


def _refuse_bad_plans(trial: Trial, interface: str) -> None:
    for node, plan in trial.plans.items():
        for outcome in plan["outcomes"]:
            if outcome["network"] == trial.name and not outcome["ready"] and outcome["reason"] != "NotSelected":
                raise RefusedError(f"node {node} refuses it: {outcome['reason']}", outcome["message"])
        bad = [cell for cell in plan["proof"] if cell["verdict"] == "failed"]
        if bad:
            raise RefusedError(
                f"node {node}: VLAN {bad[0]['vlan']} failed on {interface}", bad[0]["evidence"], "mend the switch port"
            )
        vms = plan["blast"]["vms"] if not interface else []
        if vms:
            raise RefusedError(
                f"refused to detach the trunk of node {node}: {len(vms)} VMs hang on it",
                ", ".join(vms[:8]),
                "move or stop them first",
            )


async def submit(cluster: Cluster, trial: Trial, journal: Journal) -> apply.Plan:
    """Lint, dry run, diff and apply the edited Network; the Plan is not `ready` when that was refused. RefusedError
    when the server would put hostConfig into another order than the one that was checked."""
    plan = await rehearse(cluster, trial.after)
    if plan.ready:
        _ = [change async for change in apply.commit(cluster, plan, journal)]
    return plan


async def rehearse(cluster: Cluster, document: Obj) -> apply.Plan:
    """The apply pipeline up to the dry run, and the order of hostConfig in its answer."""
    plan = await apply.prepare(cluster, [Document(document, "bascule trunks", {})])
    wanted = _order(document)
    for change in plan.changes:
        if change.after is not None and _order(change.after) != wanted:
            raise RefusedError(
                "the server would keep hostConfig in another order",
                f"{_order(change.after)}, not {wanted}",
                "edit it with kubectl replace: the first entry that selects a node wins",
            )
    return plan


def _order(document: Mapping[str, Any]) -> list[str]:
    return [config.node_selector for config in Network.of(document).host_configs]


async def follow(agents: TrunkAgents, trial: Trial, seen: Callable[[Trial], None] = lambda _: None) -> Trial:
    """Until every node has decided, or some wait for a word and the others have decided; calls `seen` at each look.
    A node that says nothing in time counts as rolled back: its dead-man has done so."""
    deadline = time.monotonic() + trial.wish.seconds + GRACE_SECONDS
    while not trial.decided:
        for node, target in trial.targets.items():
            state = await _state(agents, target, trial)
            if state is not None:
                trial.states[node] = state
        seen(trial)
        rest = [n for n in trial.targets if trial.states.get(n, {}).get("state") not in (*DECIDED, c.WAITING)]
        if trial.waiting and not rest:
            return trial
        if time.monotonic() > deadline:
            for node in rest:
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


async def answer(agents: TrunkAgents, trial: Trial, keep: bool) -> None:
    """The operator's word to every node that waits, then follow to the end."""
    for node in trial.waiting:
        await agents.answer(trial.targets[node], trial.wish.id, keep)
        trial.states[node] = {**trial.states[node], "state": c.APPLYING}
    await follow(agents, trial)


async def restore(cluster: Cluster, trial: Trial, journal: Journal) -> apply.Plan:
    """Put the Network back as it was, journalled like every change: a node that took the change back and one that kept
    it must not stay apart."""
    before = portable(trial.before)
    plan = await rehearse(cluster, before)
    if plan.ready:
        _ = [change async for change in apply.commit(cluster, plan, journal)]
    return plan
