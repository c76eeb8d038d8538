"""The list of Networks. Enter opens one; n, e and E make and change them."""

from __future__ import annotations

from collections import Counter

from textual.app import ComposeResult

from bascule_console.screens.networks.changes import ChangesNetworks
from bascule_console.screens.networks.columns import Listed, list_columns
from bascule_console.store.derived import Derived
from bascule_console.store.networks import NetworksSeen, ranges
from bascule_console.store.topics import FINDINGS, INVENTORY
from bascule_console.store.vms import NETWORKS
from bascule_console.widgets.table import GridTable
from bascule_console.widgets.tableblock import TableBlock


class NetworksScreen(ChangesNetworks):
    """Every Network: what it carries, whether it stands, who hangs on it."""

    TOPICS = (INVENTORY, FINDINGS)
    AUTO_FOCUS = "#networks"

    def body(self) -> ComposeResult:
        """One table."""
        store = self.app.store
        self._seen = NetworksSeen(store.inventory)
        source = Derived(store.topics, self.TOPICS, self._rows, _searchable)
        columns = list_columns(self.glyphs)
        yield TableBlock("Networks", columns, source, self.glyphs, id="networks", empty=self._empty)

    @property
    def table(self) -> GridTable[Listed]:
        """The table."""
        return self.query_one("#networks", GridTable)

    def current(self) -> str:
        """The Network under the cursor."""
        row = self.table.view.cursor_row()
        return row.row.name if row else ""

    def action_open_row(self) -> None:
        """The Network under the cursor, whole."""
        from bascule_console.screens.networks.detail import NetworkDetail

        if self.current():
            self.app.push_screen(NetworkDetail(self.current()))

    def _rows(self) -> dict[str, Listed]:
        counts = Counter((finding.object, finding.severity) for finding in self.app.store.findings or ())
        return {
            name: Listed(row, counts[f"Network/{name}", "error"], counts[f"Network/{name}", "warning"])
            for name, row in self._seen.rows().items()
        }

    def _empty(self) -> list[str]:
        inventory = self.app.store.inventory
        if self.app.problem:
            return [*self.app.problem.split("; ")]
        if why := inventory.problems().get(NETWORKS):
            return ["Networks cannot be read:", why]
        if not self.app.connected or not inventory.synced(NETWORKS):
            return ["Connecting …"]
        if not inventory.all(NETWORKS):
            return ["This cluster has no Network.", "Next: n makes one, or bascule apply -f FILE"]
        return ["No Network passes the filter.", "Next: press / and Enter on an empty line"]


def _searchable(listed: Listed) -> str:
    row = listed.row
    words = [row.name, f"vlan {ranges(row.vlans)}", row.ready, *row.bridges, *row.trunks, *row.nads]
    return " ".join(words)
