"""A migration's phases with the times that its VMIM itself records. Pure.

A watch sees the last of several quick changes only, and its arrival says when the news came, not when the phase began.
`status.phaseTransitionTimestamps` has every phase with its own time. KubeVirt writes whole seconds there, so a time
without a fraction is shown as what it is: not exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bascule.resources.kubevirt import Migration


@dataclass(frozen=True, slots=True)
class PhaseSeen:
    """The migration entered `phase`, `seconds` after its first; `exact` unless the cluster writes whole seconds only.

    `own` is False when the VMIM has no time for the phase and the news' arrival stands in for it.
    """

    phase: str
    seconds: float
    detail: str = ""
    exact: bool = True
    own: bool = True

    @property
    def after(self) -> str:
        """`0.42 s`, `~1 s` when only whole seconds are known, `0.42 s (seen)` when the VMIM has no time for it."""
        return f"~{self.seconds:.0f} s" if not self.exact else f"{self.seconds:.2f} s" + ("" if self.own else " (seen)")


class PhaseReader:
    """What each new state of one VMIM adds to the phases already told."""

    def __init__(self) -> None:
        self.phase = ""
        self._told: set[str] = set()
        self._zero: datetime | None = None

    def read(self, vmim: Mapping[str, Any], arrived: float) -> list[PhaseSeen]:
        """The phases that this state adds, oldest first. `arrived` is this machine's time since the VMIM was made."""
        migration = Migration.of(vmim)
        detail = migration.state.failure_reason if migration.state else ""
        found = [self._transition(phase, at, arrived) for phase, at in migration.transitions if phase]
        last = migration.phase or (migration.transitions[-1][0] if migration.transitions else "Pending")
        if last not in {seen.phase for seen in found}:
            found.append(PhaseSeen(last, arrived, own=False))
        self.phase = last
        new = [seen for seen in found if seen.phase not in self._told]
        self._told.update(seen.phase for seen in new)
        return [PhaseSeen(s.phase, s.seconds, detail if s.phase == last else "", s.exact, s.own) for s in new]

    def _transition(self, phase: str, at: str, arrived: float) -> PhaseSeen:
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            return PhaseSeen(phase, arrived, own=False)
        if self._zero is None:
            self._zero = moment
        return PhaseSeen(phase, max(0.0, (moment - self._zero).total_seconds()), exact="." in at)
