"""Moves against bare bridges: the same guests, template, QMP parameters, link and probes, alternating in one run.

What Bascule costs a move is the difference in lost 5-ms probes; STOP to RESUME is shown because it is what the network
feels, and both lose for it. Beside that: what the record itself proves (sessions, announcements, the minute after), a
VM whose announcements are all dropped behind its port, and a guest that dirties its memory while it moves.
"""

from __future__ import annotations

import base64
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.perf._moves_bare import Bare
from tests_lab import STATE, Lab, until
from tests_moves import announcements_dropped

MOVES, WATCHED, MUTED, DIRTY = 40, 3, 5, 5
NODES = ("node1", "node2", "node3")
HERE = Path(__file__).parent
FLAGS = "-static -nostdlib -ffreestanding -fno-stack-protector -fno-pie -no-pie -Os -s -Wl,--build-id=none"
Row = dict[str, Any]


def rows() -> list[Row]:
    """Forty moves each way; needs root and QEMU, brings a lab of twelve guests up when none runs."""
    lab, own = Lab(), not (STATE / "lab.json").exists()
    if own:
        lab.lab("up", timeout=400)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            found = compare(lab, Path(scratch) / "bare")
            return [*found, *muted(lab), *dirty(lab, Path(scratch)), *watched(lab)]
    finally:
        if own:
            lab.lab("down")


def move(lab: Lab, vm: str = "web-1", target: str = "") -> Row:
    """Move a VM to another node (the next one, if none is named); its record."""
    if not target:
        target = NODES[(NODES.index(lab.node_of(vm)) + 1) % 3]
    found: Row = lab.cli("-o", "json", "vms", "move", vm, "--to", target, check=None).json
    return found


def compare(lab: Lab, scratch: Path) -> list[Row]:
    """Move web-1 and the bare guest in turns."""
    records: list[Row] = []
    bare_lost: list[int] = []
    bare_pauses: list[float] = []
    bare = Bare(scratch)
    bare.start()
    try:
        for _ in range(MOVES):
            records.append(move(lab))
            gone, pause = bare.move()
            bare_lost.append(gone)
            bare_pauses.append(pause)
    finally:
        bare.stop()
    lost = [icmp(record)["lost"] for record in records]
    pauses = [record["qemu"]["stop_to_resume_ms"] for record in records]
    sessions = [record["tcp"] for record in records]
    alive = sum(tcp["alive"] is True for tcp in sessions)
    spoken = [record["fabric"]["announce_delay_ms"] for record in records]
    return [
        row(f"lost 5-ms ICMP probes, median of {MOVES} moves", "probes", lost, bare_lost, "<= bare + 1", 1.0, median),
        row(f"lost 5-ms ICMP probes, 90th percentile of {MOVES}", "probes", lost, bare_lost, "<= bare + 5", 5.0, ninth),
        row(f"STOP to RESUME, median of {MOVES} moves", "ms", pauses, bare_pauses, "printed", None, median),
        plain("TCP sessions alive after the move", "%", 100 * alive / len(sessions), "100", alive == len(sessions)),
        plain("first frame at the port to announcement on the fabric, worst", "ms", worst(spoken), "<= 20", None),
    ]


def muted(lab: Lab) -> list[Row]:
    """Every RARP and gratuitous ARP of QEMU and guest is dropped behind the port: our announcement carries it."""
    lost, spoken, reached = [], [], 0
    for _ in range(MUTED):
        target = NODES[(NODES.index(lab.node_of("web-1")) + 1) % 3]
        with announcements_dropped(target):
            record = move(lab, target=target)
        lost.append(icmp(record)["lost"])
        by = record["fabric"]["announced_by"]
        spoken.append(record["fabric"]["announce_delay_ms"])
        reached += by == "agent" and icmp(record)["series"][-1][2] is not None
    return [
        plain(f"announcements dropped: lost 5-ms probes, median of {MUTED}", "probes", median(lost), "stated", None),
        plain("announcements dropped: our word after the first frame, worst", "ms", worst(spoken), "<= 20", None),
        plain("announcements dropped: address reached by it", "moves", reached, str(MUTED), reached == MUTED),
    ]


def dirty(lab: Lab, scratch: Path) -> list[Row]:
    """web-1 writes to 24 MiB of its memory all the time while it moves; without a compiler nothing is measured."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return [plain("guest dirtying memory: no compiler here", "moves", 0, "measured", None)]
    program = scratch / "dirty"
    subprocess.run([compiler, *FLAGS.split(), "-o", str(program), str(HERE / "dirty.c")], check=True)
    text = base64.b64encode(program.read_bytes()).decode()
    lab.guest("web-1", f"echo {text} | base64 -d >/run/dirty; chmod +x /run/dirty; /run/dirty >/dev/null 2>&1 &")
    try:
        records = [move(lab) for _ in range(DIRTY)]
    finally:
        lab.guest("web-1", "killall dirty; rm -f /run/dirty", check=None)
    stalls = [record["qemu"].get("fault_stall_ms") or 0.0 for record in records]
    gaps = [icmp(record)["longest_gap_ms"] for record in records]
    done = sum(record["phases"][-1]["phase"] == "Succeeded" for record in records)
    return [
        plain("guest dirtying memory: moves completed", "moves", done, str(DIRTY), done == DIRTY),
        plain(f"guest dirtying memory: stall by faulted pages, median of {DIRTY}", "ms", median(stalls), "shown", None),
        plain(f"guest dirtying memory: longest ICMP gap, median of {DIRTY}", "ms", median(gaps), "shown", None),
    ]


def watched(lab: Lab) -> list[Row]:
    """Three VMs moved and watched for the whole minute after."""
    vms = [g["name"] for g in lab.status()["guests"] if g["state"] == "running"][:WATCHED]
    moves = [move(lab, vm)["migration"] for vm in vms]
    time.sleep(60)

    def over() -> Any:
        found = [lab.cli("-o", "json", "moves", "show", name, check=None).json for name in moves]
        return found if all(record["aftershock"]["state"] == "done" for record in found) else None

    records = until("the watches are over", over, 60)
    died = sum(bool(probe["error"]) for record in records for probe in record["aftershock"]["probes"])
    return [plain(f"sessions that ended within 60 s of {len(records)} moves", "sessions", died, "0", died == 0)]


def icmp(record: Row) -> Row:
    """The record's ICMP probe from the gateway."""
    found: Row = next(p for p in record["probes"] if p["kind"] == "icmp" and p["from"] == "gateway")
    return found


def median(values: list[Any]) -> float:
    """The middle."""
    return float(statistics.median(values))


def ninth(values: list[Any]) -> float:
    """The 90th percentile."""
    return float(statistics.quantiles(values, n=10)[8])


def worst(values: list[Any]) -> float:
    """The largest; one that was never told counts as infinite."""
    return max(float("inf") if value is None else float(value) for value in values)


def row(name: str, unit: str, values: list[Any], baseline: list[Any], goal: str, allowed: float | None, of: Any) -> Row:
    """One figure against its baseline, with the spread of both in the name."""
    value, base = of(values), of(baseline)
    spread = f"{min(values):.3g}..{max(values):.3g} against {min(baseline):.3g}..{max(baseline):.3g}"
    met = None if allowed is None else value <= base + allowed
    ratio = value / base if base else None
    shown = f"{name} ({spread})"
    return {"name": shown, "value": value, "unit": unit, "baseline": base, "ratio": ratio, "goal": goal, "met": met}


def plain(name: str, unit: str, value: float, goal: str, met: bool | None) -> Row:
    """One figure that has no baseline."""
    return {"name": name, "value": value, "unit": unit, "baseline": None, "ratio": None, "goal": goal, "met": met}
