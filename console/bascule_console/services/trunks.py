"""Trunks as an operator works on them: the matrix, candidates, and what a change of a Network's hostConfig would do.
For the CLI and the screens; nothing is printed here. trunk_changes.py carries the change out."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bascule.errors import BasculeError, RefusedError, UsageError
from bascule.resources.network import Network
from bascule.resources.node import Node
from bascule.trunks import change as c
from bascule.trunks.change import Wish
from bascule.trunks.edit import attach, detach, wished
from bascule.trunks.questions import config_of
from bascule_console.services.reports import Answers, ask_all
from bascule_console.services.trunk_calls import TrunkAgents
from bascule_console.store.documents import portable
from bascule_console.store.nodes import AgentTarget, agent_target
from bascule_kube import Cluster
from bascule_kube.kinds import NETWORK, NODE

Obj = dict[str, Any]
Row = dict[str, Any]
AUTO_SECONDS, MANUAL_SECONDS = 10.0, 60.0
DECIDED = (c.CONFIRMED, c.ROLLED_BACK, c.REFUSED)
MANAGEMENT = ("DefaultRouteTrunk", "ManagementPath")


class ManagementPathError(RefusedError):
    """A trunk on the way to the node itself; it is allowed once somebody has typed the name of `node`."""

    def __init__(self, node: str, message: str, cause: str) -> None:
        super().__init__(message, cause, f"if that is meant: --confirm-name {node}")
        self.node = node


@dataclass(frozen=True)
class Order:
    """What an operator wants: the link that becomes the trunk of each node (`links`: node → link, "" detaches), and how
    the change is confirmed. `seconds` 0 is the default; `confirmed_names` are nodes whose names were typed."""

    network: str
    links: Mapping[str, str]
    native: int | None = None
    manual: bool = False
    seconds: float = 0.0
    confirmed_names: tuple[str, ...] = ()

    @property
    def detaches(self) -> bool:
        """Does it take trunks away?"""
        return not any(self.links.values())

    def wish(self) -> Wish:
        """The wish that goes with the change, under a name of its own."""
        return Wish(
            secrets.token_hex(4), self.manual, self.seconds or (MANUAL_SECONDS if self.manual else AUTO_SECONDS)
        )


@dataclass
class Trial:
    """A change on its way: the Network before and after, the nodes concerned, what each planned and where it stands
    (`states`: node → the report's change). `refusal` is why it must not be made."""

    before: Obj
    after: Obj
    wish: Wish
    targets: dict[str, AgentTarget]
    plans: dict[str, Row] = field(default_factory=dict)
    states: dict[str, Row] = field(default_factory=dict)
    refusal: BasculeError | None = None

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


async def prepare(cluster: Cluster, agents: TrunkAgents, order: Order) -> Trial:
    """As `plan`, for who cannot look at a plan that must not be made: its refusal is raised."""
    trial = await plan(cluster, agents, order)
    if trial.refusal is not None:
        raise trial.refusal
    return trial


async def plan(cluster: Cluster, agents: TrunkAgents, order: Order) -> Trial:
    """Edit the Network as ordered and have each agent plan and prove it; nothing is changed. Raises UsageError,
    RefusedError (guards), AgentError; what a plan shows against itself is the trial's `refusal`."""
    documents = await cluster.list(NETWORK)
    before = next((d for d in documents if d["metadata"]["name"] == order.network), None)
    if before is None:
        raise UsageError(f"there is no Network {order.network!r}", fix="bascule networks list")
    chosen = await nodes_of(cluster, order.links)
    allow = [name for name in order.confirmed_names if name in order.links]
    picked = [Node.of(node) for node in chosen]
    after = edited(portable(before), [Node.of(node) for node in await nodes_of(cluster)], picked, order)
    wish = order.wish()
    trial = Trial(before, wished(after, wish, allow), wish, {})
    for document in chosen:
        target = agent_target(document)
        if target is None:
            raise RefusedError(f"node {document['metadata']['name']} has no agent", "no annotation bascule.dev/agent")
        trial.targets[target.node] = target
    if not order.detaches:
        _one_trunk_per_node(documents, order, picked)
        await _guard(agents, trial, order.links, allow)
    for node, target in trial.targets.items():
        trial.plans[node] = await agents.plan(target, trial.after)
    trial.refusal = _refusal(trial, order)
    return trial


def edited(live: Mapping[str, Any], everyone: list[Node], picked: list[Node], order: Order) -> Obj:
    """The Network with the order in its hostConfig; `picked` nodes that get the same link share one entry. Raises
    UsageError, RefusedError."""
    if order.detaches:
        return detach(live, everyone, picked)
    new = dict(live)
    for link in sorted(set(order.links.values())):
        of_link = [node for node in picked if order.links[node.name] == link]
        new = attach(new, everyone, of_link, link, order.native)
    return new


def _one_trunk_per_node(documents: Iterable[Obj], order: Order, picked: Iterable[Node]) -> None:
    for node in picked:
        for other in map(Network.of, documents):
            config = config_of(other, node.meta.labels) if other.name != order.network else None
            if config and config.trunk:
                same = config.trunk.interface == order.links[node.name]
                raise RefusedError(
                    f"node {node.name} has trunk {config.trunk.interface} of Network {other.name} already",
                    "a trunk belongs to one Network" if same else "a node has one trunk",
                    f"add the VLANs to Network {other.name}, or detach it there first",
                )


async def _guard(agents: TrunkAgents, trial: Trial, links: Mapping[str, str], allow: Sequence[str]) -> None:
    """The management path and what is no trunk at all, before anything is planned."""
    for node, target in trial.targets.items():
        rows = await agents.candidates(target, 0.0)
        row = next((each for each in rows if each["name"] == links[node]), None)
        if row is None:
            names = ", ".join(each["name"] for each in rows) or "none"
            raise RefusedError(f"node {node} has no link {links[node]} that could be a trunk", f"it has {names}")
        if row["default_route"] and node not in allow:
            raise ManagementPathError(
                node,
                f"refused to use {links[node]} of node {node} as a trunk",
                "the node's default route leaves through it: a mistake cuts the node off",
            )


def _refusal(trial: Trial, order: Order) -> BasculeError | None:
    for node, found in trial.plans.items():
        for outcome in found["outcomes"]:
            if outcome["network"] != trial.name or outcome["ready"] or outcome["reason"] == "NotSelected":
                continue
            if outcome["reason"] in MANAGEMENT:
                return ManagementPathError(node, f"node {node} refuses it: {outcome['reason']}", outcome["message"])
            return RefusedError(f"node {node} refuses it: {outcome['reason']}", outcome["message"])
        bad = [cell for cell in found["proof"] if cell["verdict"] == "failed"]
        if bad:
            words = f"node {node}: VLAN {bad[0]['vlan']} failed on {order.links[node]}"
            return RefusedError(words, bad[0]["evidence"], "mend the switch port")
        vms = found["blast"]["vms"] if order.detaches else []
        if vms:
            return RefusedError(
                f"refused to detach the trunk of node {node}: {len(vms)} VMs hang on it",
                ", ".join(vms[:8]),
                "move or stop them first",
            )
    return None
