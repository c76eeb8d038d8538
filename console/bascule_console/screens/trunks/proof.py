"""The proof: VLAN × node, and the evidence of the cell under the cursor."""

from __future__ import annotations

import time

from textual.app import ComposeResult

from bascule.errors import UnreachableError
from bascule_console.screens.base import BasculeScreen
from bascule_console.screens.trunks import words
from bascule_console.screens.trunks.matrix import MatrixBlock, MatrixTable
from bascule_console.store.derived import Derived
from bascule_console.store.topics import TRUNKS
from bascule_console.store.trunks import vlan_lines
from bascule_console.widgets.detail import Detail, Split, fact, heading
from bascule_console.widgets.lines import Parts

MEANS = {
    "proven": "an answer came back on this VLAN: it works in both directions",
    "unproven": "nobody answered: the VLAN may be off the switch port, or nobody who could answer is up",
    "failed": "there is evidence against it",
}


class ProofScreen(BasculeScreen):
    """Pushed over the candidates."""

    MODE = "trunks"
    TOPICS = (TRUNKS,)
    AUTO_FOCUS = "#matrix"

    def __init__(self, node: str = "") -> None:
        super().__init__()
        self._start = node

    @property
    def crumb(self) -> str:
        """What it shows."""
        return "Matrix"

    def body(self) -> ComposeResult:
        """Matrix and evidence."""
        store = self.app.store
        source = Derived(
            store.topics,
            self.TOPICS,
            lambda: vlan_lines(store.trunks.proof.rows),
            lambda line: f"{line.network} {line.vlan} " + " ".join(str(c["verdict"]) for c in line.cells.values()),
        )
        with Split():
            yield MatrixBlock(source, self.glyphs, empty=self._why_empty, extra=self._extra)
            yield Detail(id="evidence")

    @property
    def table(self) -> MatrixTable:
        """The matrix."""
        return self.query_one(MatrixTable)

    def refresh_rows(self) -> None:
        """A column per node, silent ones among them."""
        proof = self.app.store.trunks.proof
        nodes = tuple(sorted({str(cell["node"]) for cell in proof.rows} | set(proof.quiet)))
        self.table.set_nodes(nodes, frozenset(proof.quiet))
        if self._start in nodes:
            self.table.show_node(self._start)
            self._start = ""
        super().refresh_rows()

    def refresh_lines(self) -> None:
        """The evidence too."""
        super().refresh_lines()
        self._show_evidence()

    def on_grid_table_chosen(self) -> None:
        """The cursor sits on another cell, or other nodes are in sight."""
        self.refresh_lines()

    def action_prove_trunks(self) -> None:
        """Ask every VLAN again."""
        from bascule_console.services.trunk_looks import prove

        if self.app.session is None:
            self.app.say(UnreachableError("there is no cluster to ask", fix="start the console on a kubeconfig"))
        else:
            self.app.do(prove(self.app.session))

    def _show_evidence(self) -> None:
        found = self.query(Detail)
        if found:
            found.first().show_lines(self._evidence())

    def _evidence(self) -> list[Parts]:
        hit = self.table.under_cursor
        if hit is None:
            return []
        line, cell = hit
        node, proof = self.table.node, self.app.store.trunks.proof
        lines = [heading(f"VLAN {line.vlan} of {line.network} on {node}")]
        if cell is None:
            why = proof.quiet.get(node)
            words_ = f"{self.glyphs.bad} {why}" if why else f"{line.network} has no trunk with this VLAN here"
            return [*lines, fact("silent" if why else "not asked", words_, "bad" if why else "muted")]
        verdict = str(cell["verdict"])
        said = f"{words.symbol(verdict, self.glyphs)} {verdict}: {MEANS[verdict]}"
        age = words.ago(proof.at_ns, time.time_ns())
        lines += [fact("verdict", said, words.TONES[verdict]), fact("evidence", str(cell["evidence"]))]
        return [*lines, fact("asked", age)]

    def _extra(self) -> Parts:
        trunks = self.app.store.trunks
        parts = words.proof_summary(trunks.proof, time.time_ns(), proving=trunks.proving, glyphs=self.glyphs)
        left, right = self.table.outside
        if left or right:
            parts.append((f"  {left} nodes left, {right} right", "muted"))
        return parts

    def _why_empty(self) -> list[str]:
        trunks = self.app.store.trunks
        return words.no_cells(trunks.proof, proving=trunks.proving)
