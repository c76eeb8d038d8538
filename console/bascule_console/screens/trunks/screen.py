"""The trunk screen: every link that could be a trunk, how hostConfig applies to its node, what the doctor says.

Space marks links, a and x change trunks, m is the matrix. The agents are asked only while the screen is shown.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.text import Text
from textual.app import ComposeResult

from bascule.errors import UnreachableError
from bascule.resources.node import Node
from bascule.text import escape
from bascule_console.screens.detailed import DetailedScreen
from bascule_console.screens.trunks import words
from bascule_console.screens.trunks.columns import candidate_columns, key_of, row_tone
from bascule_console.services.session import Session
from bascule_console.services.trunks import Order
from bascule_console.store.derived import Derived
from bascule_console.store.hostconfig import of_node
from bascule_console.store.topics import AGENTS, INVENTORY, REPORTS, TRUNKS
from bascule_console.store.trunks import candidate_rows, trunk_findings
from bascule_console.store.vms import NETWORKS, NODES
from bascule_console.widgets.detail import Detail
from bascule_console.widgets.glyphs import UNICODE
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.tableblock import TableBlock

Row = Mapping[str, Any]
TOPICS = (INVENTORY, REPORTS, AGENTS, TRUNKS)
LOOK_EVERY_S = 10.0


class Foot(Detail):
    """Lines that are cut at the edge: the table needs the room."""

    DEFAULT_CSS = "Foot { background: $background; }"

    def _wrapped(self, parts: Parts, width: int) -> list[Text]:
        line = self._text(parts)
        if line.cell_len > width:
            more = getattr(self.app, "glyphs", UNICODE).more
            line.truncate(width - 1, overflow="crop")
            line.append(more)
        return [line]


class TrunksScreen(DetailedScreen[Row]):
    """Candidates."""

    MODE = "trunks"
    TOPICS = TOPICS
    AUTO_FOCUS = "#candidates"

    def block(self) -> TableBlock[Row]:
        """The candidates of every node, silent nodes among them."""
        store, glyphs = self.app.store, self.glyphs
        self.marks: dict[str, str] = {}
        self._looked_s, self._due = 0.0, True
        source: Derived[Row] = Derived(
            store.topics,
            TOPICS,
            lambda: candidate_rows(store.trunks.candidates),
            lambda row: " ".join(str(value) for value in row.values()),
        )
        columns = candidate_columns(glyphs, lambda: set(self.marks.items()))
        return TableBlock(
            "Trunk candidates",
            columns,
            source,
            glyphs,
            id="candidates",
            row_tone=row_tone,
            empty=self._why_empty,
            extra=self._extra,
        )

    def body(self) -> ComposeResult:
        """Table and detail, the doctor at the foot."""
        yield from super().body()
        yield Foot(id="foot")

    def detail(self, row: Row) -> list[Parts]:
        """The link, and which hostConfig entry its node gets."""
        inventory = self.app.store.inventory
        node = inventory.get(NODES, str(row["node"]))
        chain = of_node(inventory.all(NETWORKS), Node.of(node)) if node is not None else []
        return words.about(row, chain, self.glyphs)

    def subject(self) -> tuple[str, str] | None:
        """The Network whose trunk it is, else the Node."""
        row = self.row
        if not row:
            return None
        return (NETWORKS, str(row["network"])) if row["network"] else (NODES, str(row["node"]))

    def refresh_lines(self) -> None:
        """Words, findings, and a look at the nodes when the last one is old."""
        super().refresh_lines()
        store = self.app.store
        findings = trunk_findings(store.inventory, store.reports.documents, store.trunks.proof.rows)
        self.query_one(Foot).show_lines(words.foot(findings, store.trunks.proof, self.glyphs))
        self._look()

    def on_screen_resume(self) -> None:
        """Shown again, perhaps after a change: what was seen before is old."""
        self._due = True

    def _look(self) -> None:
        from bascule_console.services.trunk_looks import look, prove

        session = self.app.session
        late = self._due or time.monotonic() - self._looked_s >= LOOK_EVERY_S
        if session is None or not session.context or not late:
            return
        if not self._looked_s:
            self.app.run_worker(prove(session), group="proof")
        self._looked_s, self._due = time.monotonic(), False
        self.app.run_worker(look(session), group="looks")

    def _extra(self) -> Parts:
        trunks = self.app.store.trunks
        parts = words.proof_summary(trunks.proof, time.time_ns(), proving=trunks.proving, glyphs=self.glyphs)
        if self.marks:
            parts = [(f"  {len(self.marks)} marked", "key"), *parts]
        asked = trunks.candidates
        if asked.problem and asked.at_ns:
            old = words.ago(asked.at_ns, time.time_ns())
            parts.append((f"  {self.glyphs.bad} links as they were {old}: {asked.problem}", "bad"))
        return parts

    def _why_empty(self) -> list[str]:
        store = self.app.store
        return words.no_candidates(
            store.trunks.candidates,
            self.app.problem,
            known=store.inventory.synced(NODES),
            nodes=len(store.inventory.all(NODES)),
            session=self.app.session is not None,
        )

    # -- actions ----------------------------------------------------------------------------------------------

    def action_mark_link(self) -> None:
        """Mark the link for a change, or not any more. A node has one trunk, so one mark."""
        row = self.row
        if not row or not row["name"]:
            return
        node, link = key_of(row)
        if self.marks.get(node) == link:
            del self.marks[node]
        else:
            self.marks[node] = link
        self.table.notify_style_update()
        self.table.refresh()
        self.table.action_move(1)
        self.refresh_lines()

    def action_show_matrix(self) -> None:
        """The proof of node × VLAN."""
        from bascule_console.screens.trunks.proof import ProofScreen

        self.app.push_screen(ProofScreen(str(self.row["node"]) if self.row else ""))

    def action_open_row(self) -> None:
        """The proof, at this node."""
        self.action_show_matrix()

    def action_prove_trunks(self) -> None:
        """Ask every VLAN again."""
        from bascule_console.services.trunk_looks import prove

        self.app.do(prove(self._session()))

    def action_attach_trunk(self) -> None:
        """Make the marked links, or the one under the cursor, trunks of a Network."""
        from bascule_console.screens.trunks.form import OrderForm

        links = self._chosen()
        if not links:
            self.app.notify("choose a link first: space marks one per node", severity="warning", markup=False)
            return
        inventory = self.app.store.inventory
        networks = [doc for doc in inventory.all(NETWORKS) if "l2Bridge" in (doc.get("spec") or {})]
        nodes = [Node.of(node) for node in inventory.all(NODES)]
        self.app.push_screen(OrderForm(links, networks, nodes), self._ordered)

    def action_detach_trunk(self) -> None:
        """Take the trunk of the marked nodes, or of the one under the cursor, away."""
        from bascule_console.screens.trunks.form import OrderForm

        rows = [row for row in self.app.store.trunks.candidates.rows if row["network"]]
        chosen = self._chosen()
        hit = [row for row in rows if chosen.get(str(row["node"])) == row["name"]]
        names = sorted({str(row["network"]) for row in hit})
        if len(names) != 1 or len(hit) != len(chosen):
            wrong = "is no trunk" if not names else "are not all trunks of one Network"
            text = f"{', '.join(f'{node} {link}' for node, link in chosen.items())} {wrong}"
            self.app.notify(escape(text), severity="warning", markup=False)
            return
        network = self.app.store.inventory.get(NETWORKS, names[0])
        nodes = [Node.of(node) for node in self.app.store.inventory.all(NODES)]
        if network is not None:
            self.app.push_screen(OrderForm(dict.fromkeys(chosen, ""), [network], nodes), self._ordered)

    def _chosen(self) -> dict[str, str]:
        if self.marks:
            return dict(self.marks)
        row = self.row
        return {str(row["node"]): str(row["name"])} if row and row["name"] else {}

    def _ordered(self, order: Order | None) -> None:
        from bascule_console.screens.trunks.change import ChangeScreen
        from bascule_console.services.trunk_run import Run

        if order is None:
            return
        self.marks.clear()
        self.table.notify_style_update()
        self.app.push_screen(ChangeScreen(Run(order, self.app.store.topics)))

    def _session(self) -> Session:
        if self.app.session is None:
            raise UnreachableError("there is no cluster to ask", fix="start the console on a kubeconfig")
        return self.app.session
