"""One Network: its facts, the matrix of VLAN × node, and what each node says."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from bascule.resources.node import Node
from bascule.text import escape
from bascule_console.screens.networks.changes import ChangesNetworks
from bascule_console.screens.networks.columns import (
    NodeLine,
    VlanRow,
    facts,
    matrix_columns,
    node_columns,
    vlan_rows,
)
from bascule_console.store.derived import Derived
from bascule_console.store.networks import NetworksSeen, node_state
from bascule_console.store.topics import INVENTORY
from bascule_console.store.vms import NETWORKS, NODES
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.table import GridTable
from bascule_console.widgets.tableblock import TableBlock


class NetworkDetail(ChangesNetworks):
    """Pushed over the list, about one Network."""

    TOPICS = (INVENTORY,)
    AUTO_FOCUS = "#matrix"
    DEFAULT_CSS = """
    NetworkDetail #facts { height: auto; max-height: 6; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    NetworkDetail #said-block { height: auto; max-height: 40%; min-height: 4; }
    NetworkDetail #said-block GridTable { height: auto; max-height: 100%; }
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._network = name
        self._across: tuple[str, ...] = ()

    @property
    def crumb(self) -> str:
        """The Network."""
        return self._network

    def current(self) -> str:
        """The Network, as long as it is there."""
        return self._network if self.app.store.inventory.get(NETWORKS, self._network) else ""

    def body(self) -> ComposeResult:
        """Facts and two tables."""
        store, glyphs = self.app.store, self.glyphs
        self._seen = NetworksSeen(store.inventory)
        vlans = Derived(store.topics, self.TOPICS, self._vlans, lambda row: f"{row.vlan} {row.cidr} {row.gateway}")
        said = Derived(store.topics, self.TOPICS, self._said, lambda row: f"{row.node} {row.state} {row.reason}")
        yield Static(id="facts", markup=False)
        columns = matrix_columns((), glyphs)
        yield TableBlock("VLANs × nodes", columns, vlans, glyphs, id="matrix", empty=self._gone, extra=self._hidden)
        yield TableBlock(
            "What nodes say", node_columns(glyphs, self._network), said, glyphs, id="said", empty=self._no_nodes
        )

    def refresh_rows(self) -> None:
        """A column per node, and the facts."""
        inventory = self.app.store.inventory
        nodes = tuple(Node.of(node).name for node in inventory.all(NODES))
        if nodes != self._across:
            self._across = nodes
            self.matrix.set_columns(matrix_columns(nodes, self.glyphs))
        document, row = inventory.get(NETWORKS, self._network), self._seen.rows().get(self._network)
        lines = facts(document, row, self.glyphs) if document is not None and row is not None else []
        # One line each, cut at the edge: a Network with a thousand VMs must leave room for its matrix.
        cut = Text("\n".join(escape(line) for line in lines))
        self.query_one("#facts", Static).update(cut)
        super().refresh_rows()

    @property
    def matrix(self) -> GridTable[VlanRow]:
        """The matrix."""
        return self.query_one("#matrix", GridTable)

    def action_open_row(self) -> None:
        """The node that speaks, on its own screen."""
        said = self.query_one("#said", GridTable)
        if said.has_focus and (line := said.view.cursor_row()) is not None:
            self.app.open(NODES, line.node)

    def _vlans(self) -> dict[int, VlanRow]:
        document, row = self.app.store.inventory.get(NETWORKS, self._network), self._seen.rows().get(self._network)
        if document is None or row is None:
            return {}
        return vlan_rows(document, self._seen.matrix(row))

    def _said(self) -> dict[str, NodeLine]:
        nodes = map(Node.of, self.app.store.inventory.all(NODES))
        return {node.name: NodeLine(node.name, *node_state(node, self._network)) for node in nodes}

    def _hidden(self) -> Parts:
        hidden = self.matrix.hidden_columns
        legend: Parts = [(f"  {self.glyphs.good} ready, and how many NICs are there", "muted")]
        return [*legend, (f"; {hidden} columns do not fit", "muted")] if hidden else legend

    def _gone(self) -> list[str]:
        if not self.current():
            return [f"Network {self._network} is not there any more.", "Next: esc"]
        return ["No VLAN passes the filter.", "Next: press / and Enter on an empty line"]

    def _no_nodes(self) -> list[str]:
        return [] if self.app.store.inventory.all(NODES) else ["No node is known."]
