"""The address screen: an address's whole life, and the wire asked whether it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.errors import UnreachableError
from bascule_console.screens.addresses.columns import about, address_columns, row_tone
from bascule_console.screens.addresses.source import AddressSource
from bascule_console.screens.detailed import DetailedScreen
from bascule_console.store.nodes import agent_target
from bascule_console.store.topics import ADDRESSES, AGENTS, INVENTORY, REPORTS
from bascule_console.store.vms import NODES, VMS
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.tableblock import TableBlock

Row = Mapping[str, Any]
ASK_AT_MOST = 512


class AddressesScreen(DetailedScreen[Row]):
    """Every address that anything is known about."""

    MODE = "addresses"
    TOPICS = (INVENTORY, REPORTS, ADDRESSES, AGENTS)
    TICK_HZ = 2.0
    AUTO_FOCUS = "#addresses"

    def block(self) -> TableBlock[Row]:
        """The addresses, in the order of VLAN and number."""
        store = self.app.store
        self._source = AddressSource(store)
        return TableBlock(
            "Addresses",
            address_columns(self.glyphs, self._agents),
            self._source,
            self.glyphs,
            id="addresses",
            row_tone=row_tone,
            empty=self._why_empty,
            extra=self._wrong,
        )

    def refresh_rows(self) -> None:
        """Rows are made here, or beside where there are many; the next tick shows those."""
        if self._source.many:
            self.run_worker(self._source.refresh_beside(), group="rows")
        else:
            self._source.refresh()
        super().refresh_rows()

    def detail(self, row: Row) -> list[Parts]:
        """The address's life."""
        return about(row, self.glyphs)

    def subject(self) -> tuple[str, str] | None:
        """The VM that claims the address."""
        row = self.row
        return (VMS, f"{row['namespace']}/{row['vm']}") if row and row["vm"] else None

    def action_open_row(self) -> None:
        """The VM that claims the address."""
        found = self.subject()
        if found is not None:
            self.app.open("vms", found[1])

    def action_ask_address(self) -> None:
        """Probe the address under the cursor."""
        if self.row:
            self.app.do(self._ask([self.row]))

    def action_ask_all(self) -> None:
        """Probe every address that the filter shows."""
        view = self.table.view
        rows = [row for row in map(view.row, range(min(len(view), ASK_AT_MOST))) if row is not None]
        left = len(view) - len(rows)
        said = f"asked {len(rows)} addresses" + (f"; {left} more: narrow the filter" if left else "")
        self.app.do(self._ask(rows), said)

    async def _ask(self, rows: list[Row]) -> None:
        from bascule_console.services.addresses import ask_into

        session = self.app.session
        if session is None:
            raise UnreachableError("there is no cluster to ask", fix="start the console on a kubeconfig")
        places = [(row["network"], row["vlan"], row["ip"]) for row in rows]
        await ask_into(session.cluster, session.agents, self.app.store, places)

    def _agents(self) -> bool:
        """Whether any node has an agent, or that is not known yet."""
        nodes = self.app.store.inventory.all(NODES)
        return not nodes or any(agent_target(node) is not None for node in nodes)

    def _wrong(self) -> Parts:
        rows = self._source.rows().values()
        wrong = sum(bool(row["conflicts"]) for row in rows)
        return [(f"  {self.glyphs.bad} {wrong} in conflict", "bad")] if wrong else []

    def _why_empty(self) -> list[str]:
        if self.app.problem:
            return self.app.problem.split("; ")
        if not self.app.store.inventory.synced(VMS):
            return ["Connecting …"]
        if not self._source.rows():
            return [
                "No VM asks for an address, and no Network has a subnet.",
                "Next: bascule apply -f examples/dc1.yaml",
            ]
        return ["No address passes the filter.", "Next: press / and Enter on an empty line"]
