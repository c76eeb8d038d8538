"""The overview: is every Network well on every node, what moves now, whose agent is silent, what lint finds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from bascule.resources.kubevirt import MIGRATION_ENDED, Migration
from bascule.resources.network import Network
from bascule.resources.node import Node
from bascule_console.store.inventory import Inventory, Object
from bascule_console.store.networks import NOT_READY, READY, node_state
from bascule_console.store.topics import AGENTS, FINDINGS, INVENTORY
from bascule_console.store.vms import MIGRATIONS, NETWORKS, NODES, VmRow, migration_target

if TYPE_CHECKING:
    from bascule.flows.ledger import Ledger
    from bascule.lint import Finding
    from bascule_console.store.store import Store

ANSWERS, SILENT, ABSENT = "answers", "silent", "no agent"


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """One Network on one node: `ready`, `not ready`, `not selected` or `no agent`, and why."""

    node: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class NetworkHealth:
    """One Network on every node, reporting or not."""

    name: str
    vlans: int
    nodes: tuple[NodeHealth, ...]

    def count(self, state: str) -> int:
        """On how many nodes it is in that state."""
        return sum(node.state == state for node in self.nodes)

    @property
    def tone(self) -> str:
        """good, bad, or unknown while no node reports it ready."""
        if self.count(NOT_READY):
            return "bad"
        return "good" if self.count(READY) else "unknown"


@dataclass(frozen=True, slots=True)
class Moving:
    """A migration in flight."""

    vm: str
    namespace: str
    source: str
    target: str
    phase: str
    migration: str


@dataclass(frozen=True, slots=True)
class AgentState:
    """A node's agent: `answers`, `silent` with why, or `no agent`."""

    node: str
    state: str
    mode: str
    version: str
    why: str


@dataclass(frozen=True)
class Overview:
    """What the overview shows; `ledger` is None while no agent has told one, `findings` while lint has not run."""

    networks: tuple[NetworkHealth, ...]
    vms: Mapping[str, int]
    moves: tuple[Moving, ...]
    agents: tuple[AgentState, ...]
    ledger: Ledger | None
    findings: tuple[Finding, ...] | None

    def document(self) -> dict[str, Any]:
        """The JSON of `bascule overview`."""
        return {
            "networks": [asdict(network) | {"nodes": [asdict(n) for n in network.nodes]} for network in self.networks],
            "vms": dict(self.vms),
            "moves": [asdict(move) for move in self.moves],
            "agents": [asdict(agent) for agent in self.agents],
            "ledger": self.ledger.to_dict() if self.ledger else None,
            "findings": None if self.findings is None else [finding.as_dict() for finding in self.findings],
        }


class OverviewSeen:
    """The overview of a live store; what only the ledger moves is not worked out again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._made: tuple[int, Overview] | None = None

    def now(self) -> Overview:
        """As things are now."""
        store, topics = self._store, self._store.topics
        version = sum(topics.version(name) for name in (INVENTORY, AGENTS, FINDINGS))
        if self._made is None or self._made[0] != version:
            vms = store.vms.rows().values()
            self._made = (version, overview(store.inventory, vms, store.silent, None, store.findings))
        return replace(self._made[1], ledger=store.flows.ledger if store.flows.heard else None)


def overview(
    inventory: Inventory,
    vms: Iterable[VmRow],
    silent: Mapping[str, str],
    ledger: Ledger | None,
    findings: tuple[Finding, ...] | None,
) -> Overview:
    """The overview of what is known; `silent` gives, by node, why its agent does not answer."""
    nodes = [Node.of(node) for node in inventory.all(NODES)]
    return Overview(
        networks=tuple(_health(Network.of(network), nodes) for network in inventory.all(NETWORKS)),
        vms=_tally(vms),
        moves=tuple(_moving(vmim) for vmim in inventory.all(MIGRATIONS) if _in_flight(vmim)),
        agents=tuple(_agent(node, silent) for node in nodes),
        ledger=ledger,
        findings=findings,
    )


def _health(network: Network, nodes: list[Node]) -> NetworkHealth:
    states = [NodeHealth(node.name, *node_state(node, network.name)) for node in nodes]
    return NetworkHealth(network.name, len(network.carried_vlans()), tuple(states))


def _tally(vms: Iterable[VmRow]) -> dict[str, int]:
    tally = {"total": 0, "running": 0, "failed": 0}
    for vm in vms:
        tally["total"] += 1
        tally["running"] += vm.phase == "Running"
        tally["failed"] += vm.failed
    return tally


def _in_flight(vmim: Object) -> bool:
    return Migration.of(vmim).phase not in MIGRATION_ENDED


def _moving(vmim: Object) -> Moving:
    migration = Migration.of(vmim)
    state = migration.state
    return Moving(
        vm=migration.vmi,
        namespace=migration.meta.namespace,
        source=state.source_node if state else "",
        target=(state.target_node if state else "") or migration_target(vmim),
        phase=migration.phase or "Pending",
        migration=migration.meta.name,
    )


def _agent(node: Node, silent: Mapping[str, str]) -> AgentState:
    if node.agent is None:
        return AgentState(node.name, ABSENT, "", "", "its Node has no annotation bascule.dev/agent")
    why = silent.get(node.name, "")
    return AgentState(node.name, SILENT if why else ANSWERS, node.agent.mode, node.agent.version, why)
