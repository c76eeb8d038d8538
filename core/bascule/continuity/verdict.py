"""Did the VM's network survive the move? One word and the reasons, from the record's JSON alone.

Words: `kept`, `broken`, `unknown` (the move is over and no probe was ever answered: nothing was measured), `pending`
(the record is not complete). A source that is missing never counts for or against; it is listed in `missing`.

A guest that resumes and then says nothing is named as that: under TCG a precopy migration can lose guest memory (the
guest's kernel panics after RESUME; measured on bare bridges too). A live guest announces itself (virtio), so frames of
its own at the target's port tell the two apart; without a count of them neither is blamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.continuity.aftershock import after_s, in_window
from bascule.continuity.findings import removal_near

MAX_GAP_MS = 1000.0
TAIL_MS = 500.0

_GUEST_FRAMES = {"garp", "arp", "ip"}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a move counts as broken (or unknown): a stable code, a sentence, and what to do (may be empty)."""

    code: str
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`word` is kept, broken, unknown or pending; `reasons` is empty when it is kept."""

    word: str
    reasons: tuple[Reason, ...] = ()


def judge(record: Mapping[str, Any], max_gap_ms: float = MAX_GAP_MS) -> Verdict:
    """The verdict on a record (JSON shape of schema.json); `max_gap_ms` is the longest silence that is accepted."""
    if not record["complete"]:
        return Verdict("pending", (Reason("pending", "the move is still being observed"),))
    reasons = [*_failure(record), *_identity(record)]
    silent = [probe for probe in record["probes"] if probe["kind"] == "icmp" and _silent(probe)]
    reasons += _silence(record, silent)
    reasons += _gaps(record, max_gap_ms, {probe["from"] for probe in silent})
    reasons += _tcp(record)
    reasons += _aftershock(record, max_gap_ms)
    if reasons:
        return Verdict("broken", tuple(reasons))
    if not any(_answered(probe) for probe in record["probes"]):
        return Verdict("unknown", (Reason("not-measured", "no probe was ever answered, so nothing was measured"),))
    return Verdict("kept")


def _failure(record: Mapping[str, Any]) -> list[Reason]:
    phases = record["phases"]
    if not phases or phases[-1]["phase"] != "Failed":
        return []
    why = record.get("failure") or "no reason given"
    statuses = {event["status"] for event in record.get("hypervisor_events") or [] if event["side"] == "source"}
    if statuses & {"postcopy-active", "postcopy-paused"} and "completed" not in statuses:
        message = (
            f"the migration failed after the switch to post-copy, so the guest is lost: {why}; the VM is started again "
            "if its run strategy says so"
        )
        return [Reason("guest-lost", message, "read the VM's runStrategy and the VMI's conditions")]
    return [Reason("migration-failed", f"the migration failed: {why}", "read the VMIM's status and the launcher's log")]


def _identity(record: Mapping[str, Any]) -> list[Reason]:
    nics = record.get("nics") or [{"name": "", **{key: record[key] for key in ("ip", "mac", "vlan")}}]
    found = []
    for nic in nics:
        for key, label in (("ip", "IP"), ("mac", "MAC"), ("vlan", "VLAN")):
            before, after = nic[key]["before"], nic[key]["after"]
            if before is not None and after is not None and before != after:
                where = f" of {nic['name']}" if nic["name"] else ""
                found.append(Reason(f"{key}-changed", f"{label}{where} changed from {before} to {after}"))
    return found


def _answered(probe: Mapping[str, Any]) -> bool:
    return any(point[2] is not None for point in probe["series"])


def _silent(probe: Mapping[str, Any]) -> bool:
    """It was answered once, and nothing sent in the last 500 ms of its series was."""
    series = probe["series"]
    if not _answered(probe):
        return False
    tail = [point for point in series if point[1] > series[-1][1] - TAIL_MS * 1e6]
    return series[-1][1] - series[0][1] > TAIL_MS * 1e6 and all(point[2] is None for point in tail)


def _silence(record: Mapping[str, Any], silent: list[Mapping[str, Any]]) -> list[Reason]:
    # A TCP session that died stops its series; only ICMP keeps asking to the end.
    if not silent:
        return []
    names = ", ".join(sorted({probe["from"] for probe in silent}))
    if any(probe["kind"] == "icmp" and _answered(probe) and probe not in silent for probe in record["probes"]):
        return [Reason("unreachable-from", f"after the move no probe from {names} is answered; others are")]
    kinds = {item["kind"] for item in record["announcements"] if item.get("by") != "agent"}
    spoke = record.get("guest_frames")
    if kinds & _GUEST_FRAMES or spoke:
        return [
            Reason(
                "unreachable",
                f"the guest sent frames at its port on {record['target']} after the move, yet no probe from {names} is "
                "answered: the path to it is broken, or it stopped afterwards",
                "prove the target's trunk (bascule trunks prove) and read the guest's console",
            )
        ]
    if not kinds:
        message = f"no frame with the VM's MAC came to {record['target']}'s port, and no probe is answered"
        return [Reason("not-seen", message)]
    if spoke is None:
        return [Reason("silent", "no probe is answered after the move; whether the guest itself speaks is not known")]
    return [_guest_silent(record)]


def _guest_silent(record: Mapping[str, Any]) -> Reason:
    mode = (record["qemu"] or {}).get("mode") or "unknown mode"
    return Reason(
        "guest-silent",
        "the guest is silent after the move: the hypervisor announced it, and the guest itself sent nothing, not even "
        f"a gratuitous ARP. This points to the guest, not to the network ({mode}); precopy under TCG is known to lose "
        "guest memory",
        "read the guest's console and restart it; under TCG move by post-copy",
    )


def _gaps(record: Mapping[str, Any], max_gap_ms: float, silent: set[str]) -> list[Reason]:
    return [
        Reason(
            "gap",
            f"{probe['kind']} from {probe['from']}: no reply for {probe['longest_gap_ms']:.0f} ms, "
            f"more than {max_gap_ms:.0f} ms",
        )
        for probe in record["probes"]
        if probe["from"] not in silent and _answered(probe) and (probe["longest_gap_ms"] or 0) > max_gap_ms
    ]


def _tcp(record: Mapping[str, Any]) -> list[Reason]:
    return [
        Reason("tcp-died", f"the TCP session from {probe['from']} died: {probe['error']}")
        for probe in record["probes"]
        if probe["kind"] == "tcp-echo" and probe["error"] and _answered(probe)
    ]


def _aftershock(record: Mapping[str, Any], max_gap_ms: float) -> list[Reason]:
    """What broke in the minute after: only what the move itself had left alive."""
    found = []
    died = {probe["from"] for probe in record["probes"] if probe["kind"] == "tcp-echo" and probe["error"]}
    for probe in (record.get("aftershock") or {}).get("probes") or []:
        late = after_s(record, probe["error_ns"] or probe["longest_gap_at_ns"] or 0)
        when = "" if late is None else f" {late:.1f} s after the cut-over"
        window = ", in the 12 to 20 s in which a late removal of the source endpoint strikes" if in_window(late) else ""
        cause = removal_near(record, probe["error_ns"] or probe["lost_window_at_ns"] or 0)
        tail = f"{when}{window}" + (f"; {cause}" if cause else "")
        if probe["kind"] == "tcp-echo" and probe["error"] and probe["from"] not in died:
            message = f"the TCP session from {probe['from']} survived the move and died{tail}: {probe['error']}"
            found.append(Reason("aftershock-tcp-died", message, "reconnect; look at the source node in that second"))
        elif (probe["longest_gap_ms"] or 0) > max_gap_ms:
            message = f"{probe['kind']} from {probe['from']}: no reply for {probe['longest_gap_ms']:.0f} ms{tail}"
            found.append(Reason("aftershock-gap", message, "look at the source node in that second"))
    return found
