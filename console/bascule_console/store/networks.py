"""Network rows and the matrix of one Network: what it carries, what each node says of it, who is attached. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bascule.resources.kubevirt import Instance
from bascule.resources.network import HostConfig, Network
from bascule.resources.node import Node
from bascule_console.store.derived import PerObject
from bascule_console.store.inventory import Inventory, Object
from bascule_console.store.vms import NETWORKS, NODES, VMIS
from bascule_console.store.workloads import Workloads, WorkloadsSeen

READY, NOT_READY, NOT_SELECTED, NO_AGENT = "ready", "not ready", "not selected", "no agent"


@dataclass(frozen=True, slots=True)
class NodeState:
    """What one node's agent says about a Network."""

    node: str
    ready: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """One Network; `nodes` holds only nodes that report about it, `bridges` and `trunks` one text per hostConfig."""

    name: str
    vlans: tuple[int, ...]
    bridges: tuple[str, ...]
    trunks: tuple[str, ...]
    nodes: tuple[NodeState, ...]
    nads: tuple[str, ...]
    attached: tuple[str, ...]

    @property
    def ready(self) -> str:
        """`n/m` of the nodes that report."""
        return f"{sum(state.ready for state in self.nodes)}/{len(self.nodes)}" if self.nodes else NO_AGENT

    @property
    def healthy(self) -> bool:
        """Every node that reports and is selected is ready, and at least one reports."""
        return bool(self.nodes) and all(state.ready or state.reason == "NotSelected" for state in self.nodes)

    def document(self) -> dict[str, Any]:
        """The JSON of `networks list`."""
        texts = {key: list(getattr(self, key)) for key in ("vlans", "bridges", "trunks")}
        users = {key: list(getattr(self, key)) for key in ("nads", "attached")}
        return {"name": self.name, **texts, "ready": self.ready, "nodes": [asdict(n) for n in self.nodes], **users}


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One VLAN of a Network on one node: READY and the like, and how many running VM NICs are on it there."""

    node: str
    vlan: int
    state: str
    reason: str
    nics: int


def network_row(document: Object, nodes: Iterable[Node], workloads: Workloads) -> NetworkRow:
    """The row of one Network object."""
    network = Network.of(document)
    reports = [(node.name, node.network_condition(network.name)) for node in nodes]
    return NetworkRow(
        name=network.name,
        vlans=tuple(sorted(network.carried_vlans())),
        bridges=tuple(_bridge(config) for config in network.host_configs),
        trunks=tuple(config.trunk.interface for config in network.host_configs if config.trunk),
        nodes=tuple(
            NodeState(name, found.status == "True", found.reason, found.message)
            for name, found in reports
            if found is not None
        ),
        nads=tuple(workloads.nads_of(network.name)),
        attached=tuple(workloads.attached(network.name)),
    )


def network_rows(inventory: Inventory, workloads: Workloads) -> dict[str, NetworkRow]:
    """Every Network by name."""
    nodes = [Node.of(node) for node in inventory.all(NODES)]
    rows = (network_row(document, nodes, workloads) for document in inventory.all(NETWORKS))
    return {row.name: row for row in rows}


def node_state(node: Node, network: str) -> tuple[str, str]:
    """(READY and the like, the reason or message) of one Network on one node."""
    found = node.network_condition(network)
    if found is None:
        return NO_AGENT, "its agent has said nothing about it" if node.agent else "no agent runs there"
    if found.reason == "NotSelected":
        return NOT_SELECTED, found.message
    return (READY if found.status == "True" else NOT_READY), f"{found.reason}: {found.message}"


class NicCounts:
    """How many NICs of running VMs stand on each (node, Network, VLAN), each instance read once."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._placed = PerObject(_placed)

    def now(self, workloads: Workloads) -> Counter[tuple[str, str, int]]:
        """As things are now; a NIC whose NAD is not known or names no VLAN counts nowhere."""
        segments = {nad.name: (nad.network, nad.vlan) for nad in workloads.nads if nad.vlan is not None}
        counts: Counter[tuple[str, str, int]] = Counter()
        for node, nads in self._placed.of(self._inventory.all(VMIS)):
            for nad in nads:
                network, vlan = segments.get(nad, ("", None))
                if node and vlan is not None:
                    counts[node, network, vlan] += 1
        return counts


def matrix(
    network: NetworkRow, nodes: Iterable[Object], nics: Mapping[tuple[str, str, int], int]
) -> tuple[MatrixCell, ...]:
    """Every node × VLAN of a Network, by node and VLAN."""
    cells = []
    for node in map(Node.of, nodes):
        state, reason = node_state(node, network.name)
        for vlan in network.vlans:
            cells.append(MatrixCell(node.name, vlan, state, reason, nics.get((node.name, network.name, vlan), 0)))
    return tuple(cells)


class NetworksSeen:
    """Network rows and matrices from the store, as screens and verbs show them."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._workloads = WorkloadsSeen(inventory)
        self._nics = NicCounts(inventory)

    def rows(self) -> dict[str, NetworkRow]:
        """Every Network by name."""
        return network_rows(self._inventory, self._workloads.now())

    def matrix(self, row: NetworkRow) -> tuple[MatrixCell, ...]:
        """Node × VLAN of one of the rows."""
        counts = self._nics.now(self._workloads.now())
        return matrix(row, self._inventory.all(NODES), counts)


def ranges(vlans: Iterable[int]) -> str:
    """Ascending VLAN ids as `100,110-112`."""
    runs: list[list[int]] = []
    for vid in vlans:
        if runs and vid == runs[-1][-1] + 1:
            runs[-1].append(vid)
        else:
            runs.append([vid])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _bridge(config: HostConfig) -> str:
    return "managed" if config.bridge.managed else config.bridge.name or "none"


def _placed(vmi: Object) -> tuple[str, tuple[str, ...]]:
    """(node, the NADs of its NICs) of an instance that holds a place; no node once it has ended."""
    instance = Instance.of(vmi)
    ended = instance.phase in ("Succeeded", "Failed")
    return "" if ended else instance.node, tuple(nic.nad for nic in instance.nics if nic.nad)
