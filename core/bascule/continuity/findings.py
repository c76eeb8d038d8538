"""What the watchers found in a move, each with node, port and frame. Pure: the record's JSON in, findings out.

`severity` error: the network did not do what it must; warning: it did, and somebody should know. A finding never
repeats a reason of the verdict: the verdict says whether the VM's network survived, a finding says what was seen where.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bascule.continuity.aftershock import LATE_S, NEAR_S, WINDOW_S, after_s, in_window

Finding = dict[str, Any]
Record = Mapping[str, Any]
_LEAK_SLACK_NS = 1_000_000
_CUT_OVER_MS = 100.0


def findings(record: Record) -> list[Finding]:
    """All findings on a record (schema.json), in the order of time; those without a time come last."""
    found = [
        *_early_leak(record),
        *_flap(record),
        *_duplicates(record),
        *_blackhole(record),
        *_stale_neighbour(record),
        *_fdb(record),
        *_identity(record),
        *_late_removal(record),
        *_aftershock(record),
    ]
    return sorted(found, key=lambda finding: (finding["at_ns"] is None, finding["at_ns"] or 0))


def _finding(
    id_: str, severity: str, node: str, port: str, frame: str, at_ns: int | None, message: str, fix: str
) -> Finding:
    return {
        "id": id_,
        "severity": severity,
        "node": node,
        "port": port,
        "frame": frame,
        "at_ns": at_ns,
        "message": message,
        "fix": fix,
    }


def _mac(record: Record) -> str:
    return str(record["mac"]["after"] or record["mac"]["before"] or "the VM's MAC")


def _resume(record: Record) -> int | None:
    value = (record.get("qemu") or {}).get("resume_ns")
    return None if value is None else int(value)


def _early_leak(record: Record) -> Iterator[Finding]:
    """The target speaks with the VM's MAC before the VM runs there (kubevirt#17195): every switch turns too soon."""
    resume = _resume(record)
    early = [item for item in record["announcements"] if resume and item["at"] < resume - _LEAK_SLACK_NS]
    for item in early[:1]:
        before = ((resume or 0) - item["at"]) / 1e6
        yield _finding(
            "early-mac-leak",
            "error",
            item["node"],
            item["port"],
            f"{item['kind'].upper()} from {_mac(record)}",
            item["at"],
            f"the target sent with the VM's MAC {before:.1f} ms before the VM ran there: traffic turned to a port "
            "without a VM",
            "keep the target's pod from announcing the MAC (kubevirt#17195); in mode manage the port is held",
        )


def _flap(record: Record) -> Iterator[Finding]:
    """Two ports speak for one MAC: frames of the VM came in from the trunk after it had spoken at the target."""
    fabric = record.get("fabric") or {}
    since = fabric.get("first_out_ns")
    foreign = [f for f in fabric.get("foreign") or [] if since and f["at_ns"] > since + _LEAK_SLACK_NS]
    if foreign:
        first = foreign[0]
        yield _finding(
            "mac-flap",
            "error",
            str(record["target"]),
            str(fabric.get("link") or ""),
            f"{first['kind'].upper()} from {_mac(record)} to {first['dst']}",
            first["at_ns"],
            f"{len(foreign)} frames with the VM's MAC came in from the trunk after it spoke here: two ports speak for "
            "one MAC, and switches learn it back and forth",
            f"look for a second owner of the MAC: bascule trace {record['vm']}, and the source's launcher pod",
        )
    for node, view in sorted((record.get("fdb") or {}).items()):
        ports = [change["port"] for change in view.get("changes") or [] if not change["gone"]]
        turns = sum(a != b for a, b in zip(ports, ports[1:], strict=False))
        if turns > 1:
            yield _finding(
                "mac-flap",
                "warning",
                node,
                str(view.get("port") or ""),
                f"FDB {_mac(record)}: {' > '.join(ports[-5:])}",
                view["changes"][-1]["at_ns"],
                f"the bridge {view.get('bridge')} of {node} moved the VM's MAC {turns} times during one move",
                "find who else sends with this MAC on the VLAN",
            )


def _duplicates(record: Record) -> Iterator[Finding]:
    for probe in record["probes"]:
        if probe["duplicates"]:
            yield _finding(
                "duplicate-forwarding",
                "warning",
                str(probe["from"]),
                "",
                f"{probe['kind']} reply from {probe['address']}",
                None,
                f"{probe['duplicates']} probes from {probe['from']} were answered twice: frames reached the VM by two "
                "ways, or a queue was replayed",
                "check that the target's port was held until the VM ran (held_frames in the record)",
            )


def _blackhole(record: Record) -> Iterator[Finding]:
    """Frames for the VM went to the port it had left, and on and on, not only in the moment of the cut-over."""
    half = record.get("source_half") or {}
    last, cut = half.get("last_late") or {}, record["cut_ns"]
    late_ms = (last["at_ns"] - cut) / 1e6 if last.get("at_ns") and cut else 0.0
    if not half.get("to_vm") or late_ms < _CUT_OVER_MS:
        return
    nic = (half.get("nics") or [{}])[0]
    yield _finding(
        "blackhole",
        "error",
        str(half.get("node") or ""),
        str(nic.get("port") or ""),
        str(last["frame"]),
        last["at_ns"],
        f"{half['to_vm']} frames for the VM went to the port that it had left, the last one {late_ms:.0f} ms after the "
        "cut-over",
        "a switch or bridge has not learned the new place: look at `fdb` in the record, and at the fabric's own table",
    )


def _stale_neighbour(record: Record) -> Iterator[Finding]:
    mac = str(record["mac"]["after"] or "").lower()
    for probe in record["probes"]:
        told = str(probe.get("neighbour") or "").lower()
        if probe["kind"] == "icmp" and mac and told and told != mac and probe["address"] == record["ip"]["after"]:
            yield _finding(
                "stale-neighbour",
                "error",
                str(probe["from"]),
                "",
                f"neighbour entry {probe['address']} lladdr {told}",
                None,
                f"{probe['from']} still resolves {probe['address']} to {told}; the VM's MAC is {mac}",
                f"on {probe['from']}: ip neigh del {probe['address']} dev …, or wait for its timeout",
            )


def _fdb(record: Record) -> Iterator[Finding]:
    for node, view in sorted((record.get("fdb") or {}).items()):
        if view.get("moved") is False:
            yield _finding(
                "fdb-not-moved",
                "error",
                node,
                str(view.get("port") or ""),
                f"FDB {_mac(record)} on {view.get('bridge')}",
                None,
                f"the bridge {view.get('bridge')} of {node} still sends the VM's frames to {view.get('port')}",
                f"on {node}: bridge fdb del {_mac(record)} dev {view.get('port')} master",
            )


def _identity(record: Record) -> Iterator[Finding]:
    for nic in record["nics"]:
        for key in ("ip", "mac"):
            before, after = nic[key]["before"], nic[key]["after"]
            if before is not None and after is not None and before != after:
                yield _finding(
                    f"{key}-changed",
                    "error",
                    str(record["target"]),
                    str(nic["port"]),
                    "",
                    None,
                    f"{key.upper()} of {nic['name'] or nic['port']} was {before} and is {after}",
                    "set macAddress and the address annotation in the VM's template (CORE-13418)",
                )


def _late_removal(record: Record) -> Iterator[Finding]:
    """The source's endpoint went away long after the cut-over: the moment in which CORE-13427 strikes."""
    half = record.get("source_half") or {}
    for nic in half.get("nics") or []:
        closed = nic.get("closed_ns")
        late = after_s(record, closed) if closed else None
        if closed is None or late is None or late < LATE_S:
            continue
        where = f"in the {WINDOW_S[0]:.0f} to {WINDOW_S[1]:.0f} s window of CORE-13427" if in_window(late) else ""
        yield _finding(
            "late-source-removal",
            "warning",
            str(half["node"]),
            str(nic["port"]),
            f"endpoint {nic['mac']} {nic['ip'] or ''}".rstrip(),
            closed,
            f"{half['node']} removed the source endpoint {nic['port']} {late:.1f} s after the cut-over"
            + (f", {where}" if where else ""),
            "compare with the probes of the same second; sessions that die here reconnect",
        )


def _aftershock(record: Record) -> Iterator[Finding]:
    for probe in (record.get("aftershock") or {}).get("probes") or []:
        at, what = (probe["error_ns"], f"the session ended: {probe['error']}") if probe["error"] else (None, "")
        if at is None and probe["lost_window_ms"] > 3 * probe["interval_ms"]:
            at, what = probe["lost_window_at_ns"], f"nothing was answered for {probe['lost_window_ms']:.0f} ms"
        if at is None:
            continue
        late = after_s(record, at)
        cause = removal_near(record, at)
        when = "" if late is None else f" {late:.1f} s after the cut-over"
        yield _finding(
            "aftershock-tcp" if probe["error"] else "aftershock-loss",
            "error",
            str(probe["from"]),
            "",
            f"{probe['kind']} to {probe['address']}",
            at,
            f"{what}{when}" + (f"; {cause}" if cause else ""),
            "reconnect the session; read the source node's agent log of that second",
        )


def removal_near(record: Record, at_ns: int) -> str:
    """Whether the source's endpoint went away within two seconds of `at_ns`, in words; "" when it did not."""
    half = record.get("source_half") or {}
    for nic in half.get("nics") or []:
        closed = nic.get("closed_ns")
        if closed and abs(at_ns - closed) <= NEAR_S * 1e9:
            distance = (at_ns - closed) / 1e6
            return (
                f"{half['node']} removed the source endpoint {nic['port']} {abs(distance):.0f} ms "
                f"{'before' if distance >= 0 else 'after'} that"
            )
    return ""
