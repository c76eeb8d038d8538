"""The node screen: every node's report; Enter shows one node's links and ports."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from textual.app import ComposeResult

from bascule_console.actions.registry import action
from bascule_console.screens.base import BasculeScreen
from bascule_console.screens.detailed import DetailedScreen
from bascule_console.screens.nodes.columns import link_columns, links_of, node_columns, port_columns
from bascule_console.screens.nodes.words import about, no_nodes, searchable
from bascule_console.store.derived import Derived
from bascule_console.store.inventory import Object
from bascule_console.store.nodereports import node_documents
from bascule_console.store.topics import AGENTS, INVENTORY, REPORTS
from bascule_console.store.vms import NODES
from bascule_console.widgets.detail import Detail
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.tableblock import TableBlock

Row = Mapping[str, Any]
TOPICS = (INVENTORY, REPORTS, AGENTS)


def labels_of(obj: Object | None) -> Mapping[str, str]:
    """An object's labels."""
    return ((obj or {}).get("metadata") or {}).get("labels") or {}


class NodesScreen(DetailedScreen[Row]):
    """Nodes with their agents' reports."""

    MODE = "nodes"
    TOPICS = TOPICS
    AUTO_FOCUS = "#nodes"

    def block(self) -> TableBlock[Row]:
        """The nodes."""
        store = self.app.store
        source: Derived[Row] = Derived(
            store.topics,
            TOPICS,
            lambda: dict(node_documents(store.inventory, store.reports).items()),
            searchable,
            lambda row: labels_of(store.inventory.get(NODES, str(row["name"]))),
        )
        return TableBlock(
            "Nodes",
            node_columns(self.glyphs),
            source,
            self.glyphs,
            id="nodes",
            empty=lambda: no_nodes(store.inventory.synced(NODES), self.app.problem),
        )

    def detail(self, row: Row) -> list[Parts]:
        """The node in words."""
        return about(row, self.glyphs)

    def subject(self) -> tuple[str, str] | None:
        """The Node."""
        return (NODES, str(self.row["name"])) if self.row else None

    def action_open_row(self) -> None:
        """One node's links and ports."""
        if self.row:
            self.app.push_screen(NodeScreen(str(self.row["name"])))

    def action_drain_node(self) -> None:
        """Move every VM of the node under the cursor away."""
        if self.row:
            from bascule_console.screens.move.drain import DrainScreen

            self.app.push_screen(DrainScreen(str(self.row["name"])))

    def action_uncordon_node(self) -> None:
        """Let pods come to the node under the cursor again."""
        if self.row:
            name = str(self.row["name"])
            self.app.confirm(action("uncordon_node"), lambda: self._uncordon(name), name=name)

    def _uncordon(self, name: str) -> None:
        from bascule_console.services.cordon import cordon

        session = self.app.session
        if session is not None:
            work = cordon(session.cluster, session.journal(), name, off=True)
            self.app.do(work, f"{name} may take VMs again")


class NodeScreen(BasculeScreen):
    """One node: its links above, its ports below."""

    MODE = "nodes"
    TOPICS = TOPICS
    AUTO_FOCUS = "#ports"

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    @property
    def crumb(self) -> str:
        """The node's name."""
        return self._node

    @property
    def document(self) -> Row | None:
        """The node's document as it is now; None when the node left."""
        store = self.app.store
        return node_documents(store.inventory, store.reports).get(self._node)

    def body(self) -> ComposeResult:
        """What is said about the node, then two tables."""
        yield Detail(id="about")
        yield self._block("Links", "links", link_columns(self.glyphs), self._links)
        yield self._block("Ports", "ports", port_columns(self.glyphs), self._ports)

    def refresh_lines(self) -> None:
        """The words too."""
        super().refresh_lines()
        row = self.document
        gone: list[Parts] = [[(f"{self._node} left the cluster", "bad")]]
        self.query_one(Detail).show_lines(about(row, self.glyphs) if row else gone)

    def subject(self) -> tuple[str, str] | None:
        """The Node."""
        return NODES, self._node

    def action_open_row(self) -> None:
        """The VM behind the port under the cursor."""
        table = self.active
        row = table.view.cursor_row() if table is not None and table.id == "ports" else None
        if row:
            self.app.open("vms", f"{row['namespace']}/{row['vm']}")

    def _block(self, title: str, name: str, columns: Any, make: Any) -> TableBlock[Row]:
        source: Derived[Row] = Derived(
            self.app.store.topics, TOPICS, make, lambda row: " ".join(map(str, row.values()))
        )
        return TableBlock(title, columns, source, self.glyphs, id=name, empty=self._why_empty)

    def _links(self) -> dict[Hashable, Row]:
        row = self.document
        return {link["name"]: link for link in links_of(row)} if row else {}

    def _ports(self) -> dict[Hashable, Row]:
        row = self.document
        ports = row["ports"] if row else []
        return {(port.get("namespace"), port["vm"], port["nic"], port.get("pod")): port for port in ports}

    def _why_empty(self) -> list[str]:
        row = self.document
        if row is None:
            return [f"{self._node} left the cluster."]
        if row["agent"] is None:
            return [f"no agent: {row['silent'].removeprefix('no agent: ')}", "Next: run bascule-agent on this node"]
        return ["None here."]
