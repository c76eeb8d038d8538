"""The comparison of Accept: made when it is asked for, because it reads recordings or asks every agent, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bascule.errors import RefusedError
from bascule.migration.run import ACCEPTED, MOVED
from bascule_console.services.credentials import Access
from bascule_console.services.journal import Journal, journal_path
from bascule_console.services.wizard.parts import few, plural

if TYPE_CHECKING:
    from bascule.migration.acceptance import VmAcceptance
    from bascule_console.services.run import Loaded


@dataclass(slots=True)
class Comparing:
    """`found` is one VM each, None before it was asked for; `at` when, ISO 8601 UTC."""

    found: list[VmAcceptance] | None = None
    at: str = ""

    async def compare(self, loaded: Loaded, access: Access | None, before: Sequence[str]) -> str:
        """Compare every VM that moved, with recordings of before or what the agents heard. Raises BasculeError."""
        from bascule_console.services import acceptance
        from bascule_console.services.run import status

        moved = [row.target for row in status(loaded) if row.state in (MOVED, ACCEPTED)]
        vms = acceptance.chosen(loaded, Journal(journal_path()), moved)
        self.found = await acceptance.compared(loaded, vms, access, before)
        self.at = datetime.now(UTC).isoformat(timespec="seconds")
        return f"compared {plural(len(self.found), 'VM')}"

    def sign(self, loaded: Loaded, target: str, note: str, missing: Sequence[str], reason: str) -> str:
        """Sign off a VM, or the unsigned ones of `wave N`, as they were compared. Raises RefusedError while something
        stopped that has no word."""
        from bascule_console.services import acceptance
        from bascule_console.services.run import status

        open_ = {row.target: row for row in status(loaded) if row.state == MOVED}
        found = [
            each
            for each in self.found or ()
            if each.vm.target in open_ and target in (each.vm.target, f"wave {each.vm.wave}")
        ]
        if not found:
            raise RefusedError(f"{target} was not compared", "it moved after the comparison", "compare again")
        names = {each.vm.name for each in found}
        mine = [name for name in missing if "/" not in name or name.partition("/")[0] in names]
        document = acceptance.sign(loaded, found, Journal(journal_path()), note, mine, reason)
        return f"signed off by {document['by']}: {few(sorted(names))}; kept in {document['file']}"
