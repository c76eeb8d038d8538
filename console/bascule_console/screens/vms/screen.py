"""The VM screen: every VM, the NICs of the one under the cursor, moving it and attaching a NIC."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from bascule.errors import UnreachableError
from bascule_console.actions.registry import action
from bascule_console.screens.detailed import DetailedScreen
from bascule_console.screens.live import words
from bascule_console.screens.live.columns import vm_columns, vm_tone
from bascule_console.screens.move.record import RecordScreen
from bascule_console.screens.move.start import show_record, start_move
from bascule_console.screens.vms.words import about
from bascule_console.store.nics import nic_rows
from bascule_console.store.topics import AGENTS, INVENTORY, MOVES, POLICIES
from bascule_console.store.vms import ATTACHMENTS, VMS, VmRow, attachment_of
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.tableblock import TableBlock

if TYPE_CHECKING:
    from bascule_console.screens.vms.attach import Wish
    from bascule_console.services.proposal import Proposal


class VmsScreen(DetailedScreen[VmRow]):
    """VMs and their NICs."""

    MODE = "vms"
    TOPICS = (INVENTORY, AGENTS, MOVES, POLICIES)
    AUTO_FOCUS = "#vms"

    def block(self) -> TableBlock[VmRow]:
        """The VMs."""
        store, glyphs = self.app.store, self.glyphs
        store.policy.want()
        return TableBlock(
            "VMs",
            vm_columns(glyphs),
            store.vms,
            glyphs,
            id="vms",
            row_tone=vm_tone,
            empty=lambda: words.no_vms(store, self.app.problem, connected=self.app.connected),
            extra=lambda: words.failed(store, glyphs),
        )

    def detail(self, row: VmRow) -> list[Parts]:
        """The VM's NICs and whether it can be moved."""
        world = self.app.store.policy.world
        applying = None
        if world is not None:
            from bascule_console.services.policyshow import nic_policies

            applying = nic_policies(world, row.namespace, row.name)
        return about(row, nic_rows(self.app.store.inventory, row.key), self.glyphs, applying)

    def subject(self) -> tuple[str, str] | None:
        """The VM."""
        return (VMS, self.row.key) if self.row else None

    def action_open_row(self) -> None:
        """The VM's first address and its whole life."""
        row = self.row
        if row and row.ip:
            self.app.open("addresses", (row.network, row.vlan, row.ip))

    def action_move_vm(self) -> None:
        """Move the VM under the cursor."""
        if self.row:
            start_move(self.app, self.row)

    def action_last_record(self) -> None:
        """The VM's newest cut-over record that any agent told, else the last one of this session."""
        row = self.row
        if row is None:
            return
        record = self.app.store.moves.newest(row.namespace, row.name)
        if record is not None:
            self.app.push_screen(RecordScreen(record, ascii_only=self.app.ascii_only))
        else:
            show_record(self.app, row)

    def action_attach_nic(self) -> None:
        """Ask on which network, then show what it changes."""
        from bascule_console.screens.review.screen import Review
        from bascule_console.screens.vms.attach import AttachForm

        row = self.row
        if row is None:
            return

        def chosen(wish: Wish | None) -> None:
            if wish is not None:
                self.app.push_screen(Review(action("attach_nic"), self._propose(row, wish)))

        self.app.push_screen(AttachForm(row, self._nads(row)), chosen)

    async def _propose(self, row: VmRow, wish: Wish) -> Proposal:
        from bascule_console.services.attach import propose

        session = self.app.session
        if session is None:
            raise UnreachableError("there is no cluster to change", fix="start the console on a kubeconfig")
        proposal: Awaitable[Proposal] = propose(session, row.namespace, row.name, wish.nad, mac=wish.mac, ip=wish.ip)
        return await proposal

    def _nads(self, row: VmRow) -> list[tuple[str, str]]:
        """NADs to choose from with their segment and the VM's NIC that is on it, those of its namespace first."""
        inventory, namespace = self.app.store.inventory, row.namespace
        there = {nic["nad"]: nic["name"] for nic in nic_rows(inventory, row.key)}
        found = []
        for nad in inventory.all(ATTACHMENTS):
            key = f"{nad['metadata'].get('namespace', '')}/{nad['metadata']['name']}"
            network, vlan = attachment_of(inventory, namespace, key)
            leads = f"VLAN {vlan} of {network}" if network else "no Network that is known"
            found.append((key, f"{leads}, {there[key]} is on it" if key in there else leads))
        return sorted(found, key=lambda each: (not each[0].startswith(f"{namespace}/"), each[0]))
