"""The move record: one live migration as its network saw it, with the JSON keys of DESIGN section 6.

A record is written by the agent of the move's target. What no source told stays null and is named in `missing`;
nothing is filled in by guessing. `to_json` adds the verdict, so that every reader judges alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bascule.continuity.findings import findings
from bascule.continuity.series import Point, measure
from bascule.continuity.verdict import judge

SCHEMA_PATH = Path(__file__).with_name("schema.json")


def load_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a record."""
    document: dict[str, Any] = json.loads(SCHEMA_PATH.read_text())
    return document


@dataclass(frozen=True, slots=True)
class Change:
    """A value on both sides of the move; None is "no source said"."""

    before: str | int | None = None
    after: str | int | None = None


@dataclass(frozen=True, slots=True)
class Nic:
    """A NIC of the VM across the move. The record's top-level `ip`, `mac`, `vlan` are those of the first one."""

    name: str = ""
    network: str = ""
    port: str = ""
    ip: Change = Change()
    mac: Change = Change()
    vlan: Change = Change()


@dataclass(frozen=True, slots=True)
class Probe:
    """Everything one vantage point sent to one address, and what came back. Times are the vantage point's clock."""

    kind: str
    source: str
    address: str
    interval_ms: float
    series: Sequence[Point] = ()
    duplicates: int = 0
    folded_sent: int = 0
    folded_lost: int = 0
    error: str = ""
    clock: Mapping[str, Any] | None = None
    neighbour: str = ""
    retransmits_at: Sequence[Sequence[int]] = ()

    def _here(self, realtime_ns: int | None) -> int | None:
        return None if realtime_ns is None else realtime_ns + int((self.clock or {}).get("offset_ns", 0))

    def answered_before(self, cut_ns: int | None) -> bool:
        """Was a probe sent before `cut_ns` (CLOCK_REALTIME; None: ever) answered?"""
        cut = self._here(cut_ns)
        return any(rx is not None and (cut is None or (tx or 0) < cut) for _, tx, rx in self.series)

    def answered_since(self, cut_ns: int | None) -> bool:
        """Was a probe sent at `cut_ns` (CLOCK_REALTIME; None: ever) or later answered?"""
        cut = self._here(cut_ns)
        return any(rx is not None and (cut is None or (tx or 0) >= cut) for _, tx, rx in self.series)

    def to_json(self, cut_ns: int | None) -> dict[str, Any]:
        """The probe with its figures; `cut_ns` is the cut-over in CLOCK_REALTIME ns, or None."""
        stats = measure(self.series, self.interval_ms, self._here(cut_ns))
        document = asdict(stats)
        document["sent"] += self.folded_sent
        document["lost"] += self.folded_lost
        if self.kind == "arp":
            document["reordered"] = 0  # an ARP answer has no number: the order of late ones is not known
        return {
            "kind": self.kind,
            "from": self.source,
            "address": self.address,
            "interval_ms": self.interval_ms,
            **document,
            "duplicates": self.duplicates,
            "folded": self.folded_sent,
            "error": self.error,
            "clock": dict(self.clock) if self.clock else None,
            "neighbour": self.neighbour,
            "retransmits": self.retransmits_at[-1][1] if self.retransmits_at else 0,
            "retransmits_at": [list(entry) for entry in self.retransmits_at],
            "series": [list(point) for point in self.series],
        }


def judged(document: dict[str, Any]) -> dict[str, Any]:
    """The same document with `verdict`, `reasons` and `findings` made anew from the rest of it."""
    document["findings"] = findings(document)
    verdict = judge(document)
    document["verdict"] = verdict.word
    document["reasons"] = [asdict(reason) for reason in verdict.reasons]
    return document


@dataclass(slots=True)
class Record:
    """One move; mutable, because it is filled while the move runs. Times: `*_ns` CLOCK_REALTIME, others ISO 8601."""

    migration_uid: str
    vm: str
    namespace: str
    target: str
    source: str = ""
    migration: str = ""
    started: str | None = None
    ended: str | None = None
    phases: list[dict[str, Any]] = field(default_factory=list)
    nics: list[Nic] = field(default_factory=list)
    qemu: dict[str, Any] | None = None
    hypervisor_events: list[dict[str, Any]] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    announcements: list[dict[str, Any]] = field(default_factory=list)
    source_half: dict[str, Any] | None = None
    held_frames: int | None = None
    guest_frames: int | None = None
    missing: dict[str, str] = field(default_factory=dict)
    failure: str = ""
    complete: bool = False
    control: list[dict[str, Any]] = field(default_factory=list)
    clocks: dict[str, dict[str, Any]] = field(default_factory=dict)
    fabric: dict[str, Any] | None = None
    fdb: dict[str, dict[str, Any]] = field(default_factory=dict)
    aftershock: dict[str, Any] | None = None
    handover: dict[str, Any] | None = None

    def cut_ns(self) -> int | None:
        """The cut-over: QEMU's RESUME on the target, else the first frame of the VM's MAC at the target's port."""
        if self.qemu and self.qemu.get("resume_ns"):
            return int(self.qemu["resume_ns"])
        return min((int(item["at"]) for item in self.announcements if item.get("by") != "agent"), default=None)

    def missing_now(self) -> dict[str, str]:
        """Sources that said nothing, each with why: what the tracker noted and what the record itself shows."""
        found = dict(self.missing)
        if self.qemu is None:
            found.setdefault("hypervisor-events", "the hypervisor reported nothing on the VMIM")
        if self.source_half is None:
            found.setdefault("source-half", "the source's agent has not been heard")
        if not self.announcements:
            found.setdefault("announcements", "no frame with the VM's MAC was seen at the target's port")
        if not self.probes:
            found.setdefault("probes", "no vantage point has probed")
        for probe in self.probes:
            if not any(point[2] for point in probe.series):
                why = probe.error or "never answered"
                found.setdefault(f"probe {probe.kind} from {probe.source} to {probe.address}", why)
        return found

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON document that `schema.json` accepts, verdict included."""
        cut = self.cut_ns()
        first = self.nics[0] if self.nics else Nic()
        missing = self.missing_now()
        document: dict[str, Any] = {
            "migration_uid": self.migration_uid,
            "migration": self.migration,
            "vm": self.vm,
            "namespace": self.namespace,
            "source": self.source,
            "target": self.target,
            "started": self.started,
            "ended": self.ended,
            "phases": self.phases,
            "ip": asdict(first.ip),
            "mac": asdict(first.mac),
            "vlan": asdict(first.vlan),
            "nics": [asdict(nic) for nic in self.nics],
            "qemu": self.qemu,
            "hypervisor_events": self.hypervisor_events,
            "probes": [probe.to_json(cut) for probe in self.probes],
            "announcements": sorted(self.announcements, key=lambda item: int(item["at"])),
            "tcp": self._tcp(cut),
            "source_half": self.source_half,
            "held_frames": self.held_frames,
            "guest_frames": self.guest_frames,
            "cut_ns": cut,
            "failure": self.failure,
            "missing": sorted(missing),
            "missing_why": missing,
            "complete": self.complete,
            "control": self.control,
            "clocks": self.clocks,
            "fabric": self.fabric,
            "fdb": self.fdb,
            "aftershock": self.aftershock,
            "handover": self.handover,
        }
        return judged(document)

    def _tcp(self, cut_ns: int | None) -> dict[str, Any]:
        """`alive` of the sessions that stood before the cut-over: False when one died, True when each answered after
        it, None when there was none or one only stalls; `resets`: how many ended by a reset."""
        sessions = [p for p in self.probes if p.kind == "tcp-echo" and p.answered_before(cut_ns)]
        alive: bool | None = None
        if any(p.error for p in sessions):
            alive = False
        elif sessions and all(p.answered_since(cut_ns) for p in sessions):
            alive = True
        return {"alive": alive, "resets": sum("reset" in p.error for p in sessions), "sessions": len(sessions)}

    def change_nic(self, name: str, **changes: Any) -> None:
        """Replace fields of the NIC called `name`; unknown names are ignored (the other side has more NICs)."""
        self.nics = [replace(nic, **changes) if nic.name == name else nic for nic in self.nics]
