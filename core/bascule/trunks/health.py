"""What goes wrong with a trunk without a change of ours, and how a node says so: faults into outcomes and findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bascule.hostplan.outcome import NetworkOutcome


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong now, or was repaired. `reason` is a condition's reason; `since_ns` CLOCK_REALTIME;
    `repaired` when the agent put it right itself (mode manage)."""

    network: str
    reason: str
    message: str
    evidence: str = ""
    fix: str = ""
    since_ns: int = 0
    repaired: bool = False

    def as_finding(self, node: str) -> dict[str, Any]:
        """A finding (DESIGN section 6) about the node."""
        return {
            "id": f"trunk-{_dashed(self.reason)}",
            "severity": "info" if self.repaired else "error",
            "object": f"Node/{node}",
            "network": self.network,
            "message": self.message,
            "evidence": self.evidence,
            "fix": self.fix,
            "since_ns": self.since_ns,
            "repaired": self.repaired,
        }


def merge(outcomes: Iterable[NetworkOutcome], faults: Iterable[Fault]) -> tuple[NetworkOutcome, ...]:
    """The outcomes with the first fault of each Network in place of a good one; one that is bad already keeps its own
    reason. A repaired fault leaves the Network ready and is told in its message."""
    first: dict[str, Fault] = {}
    for fault in sorted(faults, key=lambda each: (each.repaired, each)):
        first.setdefault(fault.network, fault)
    return tuple(_told(outcome, first.get(outcome.network)) for outcome in outcomes)


def observed_only(outcome: NetworkOutcome) -> NetworkOutcome:
    """The outcome beside another owner's data plane (mode observe): that its bridge is not ours is no fault there."""
    if outcome.reason in ("NotSelected", "BadSelector", "NetworkNotFound", "TrunkMissing"):
        return outcome
    name = outcome.network
    return NetworkOutcome(name, True, "Observed", f"{name}: another owner's data plane, looked at and not touched")


def _told(outcome: NetworkOutcome, fault: Fault | None) -> NetworkOutcome:
    if fault is None or not outcome.ok:
        return outcome
    return NetworkOutcome(outcome.network, fault.repaired, fault.reason, f"{outcome.network}: {fault.message}")


def _dashed(reason: str) -> str:
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in reason).lstrip("-")
