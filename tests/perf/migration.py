"""Cold moves against a bare script that does the same by hand: stop by libvirt, qemu-img convert, boot on the bridge.

Both stop the same VM, move the same disk and are probed alike (ICMP every 10 ms and ARP from the gateway), in turns in
one run. The outage is from the last answer before to the first after.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.perf._moves_bare import as_series
from tests_lab import PREFIX, STATE, Lab, until

from bascule.migration.run_record import outage
from bascule_agent.netlink import in_netns
from bascule_agent.probes import ArpProber, IcmpProber

MOVES = int(os.environ.get("BASCULE_PERF_MOVES") or 10)
VM, IP = "shop-1", "10.110.0.31"
SETTLE_S, FORCED_S = 5.0, 120.0
GATEWAY = f"{PREFIX}-gw"
Row = dict[str, Any]


def rows() -> list[Row]:
    """Ten moves each way; needs root and QEMU, brings a lab and its old side up when none runs."""
    lab = Lab()
    own = not (STATE / "lab.json").exists()
    if own:
        lab.lab("up", "--guests", "3", timeout=400)
    old = lab.status().get("old") is None
    if old:
        lab.lab("old", "up", "--vms", "1", timeout=240)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            os.environ["XDG_STATE_HOME"] = f"{scratch}/state"
            return compare(lab, Path(scratch))
    finally:
        if old:
            lab.lab("old", "down")
        if own:
            lab.lab("down")


def compare(lab: Lab, scratch: Path) -> list[Row]:
    """Move and give back, and do it by hand, in turns."""
    uri = lab.status()["old"]["uri"]
    plan(lab, uri, scratch)
    moved: list[float] = []
    bare: list[float] = []
    phases: list[Any] = []
    forced = 0
    for turn in range(MOVES):
        found = [move(lab, uri, scratch, phases), by_hand(uri, scratch)]
        print(f"{turn + 1}: {found[0]}, by hand {found[1]} ms", file=sys.stderr, flush=True)
        if None in found:
            forced += 1
            continue
        moved.append(found[0] or 0.0)
        bare.append(found[1] or 0.0)
    return table(moved, bare, phases, forced)


def table(moved: list[float], bare: list[float], phases: list[Any], forced: int) -> list[Row]:
    """Medians of the turns in which the guest heeded its power button both times; the others are counted."""
    value, baseline = statistics.median(moved), statistics.median(bare)
    found: list[Row] = [
        {"name": f"cold move, outage, median of {len(moved)} ({min(moved):.0f} to {max(moved):.0f})", "value": value,
         "unit": "ms", "baseline": baseline, "ratio": value / baseline, "goal": "<= bare + 1000",
         "met": value <= baseline + 1000},
        {"name": f"by hand: stop, convert, boot ({min(bare):.0f} to {max(bare):.0f})", "value": baseline, "unit": "ms",
         "goal": "shown", "met": None},
        {"name": "turns left out: the guest did not heed its power button", "value": forced, "unit": "turns",
         "goal": "0", "met": None},
    ]  # fmt: skip
    for name in ("stop", "disks", "start", "first answer"):
        took = [each["ms"] for run in phases for each in run if each["phase"] == name and each["ms"] is not None]
        found.append({"name": f"phase {name}, median", "value": statistics.median(took), "unit": "ms",
                      "goal": "shown", "met": None})  # fmt: skip
    return found


def plan(lab: Lab, uri: str, scratch: Path) -> None:
    """A plan of the one VM."""
    vm = next(each for each in lab.status()["old"]["vms"] if each["name"] == VM)
    (scratch / "addresses.csv").write_text(f"vm,mac,ip\n{VM},{vm['mac']},{vm['ip']}\n")
    (scratch / "answers.yaml").write_text("port_groups: {shops: 110, ledgers: 120, archives: 100}\n")
    lab.cli("estate", "import", uri, str(scratch / "addresses.csv"), check=None)
    lab.cli("plan", "build", "--answers", str(scratch / "answers.yaml"), check=None)


def move(lab: Lab, uri: str, scratch: Path, phases: list[Any]) -> float | None:
    """One cold move and its way back; its outage in ms by the same prober as the bare script's, None when the guest's
    power had to be taken."""
    answers()
    with Probed() as probed:
        (row,) = lab.cli("plan", "run", "--vm", VM, "--source", uri, "-o", "json", timeout=240).json
        assert row["state"] == "moved", row
        probed.until_back()
    record = (scratch / "state" / "bascule" / "runs" / f"vms.{VM}.json").read_text()
    lab.cli("plan", "rollback", VM, "--source", uri, timeout=240)
    found = json.loads(record)["phases"]
    if found[0]["ms"] > FORCED_S * 1000:
        return None
    phases.append(found)
    return probed.ms


def by_hand(uri: str, scratch: Path) -> float | None:
    """The same by virsh and qemu-img; then all is put back. None when the guest's power had to be taken."""
    answers()
    twin = scratch / "twin.xml"
    text = virsh(uri, "dumpxml", "--inactive", VM)
    disk = re.search(r"<source file='([^']+)'", text)
    assert disk is not None
    raw = scratch / "twin.raw"
    text = re.sub(r"<uuid>[^<]*</uuid>", "", text.replace(f"<name>{VM}</name>", "<name>twin</name>"))
    text = text.replace(disk[0], f"<source file='{raw}'").replace("type='qcow2'", "type='raw'")
    twin.write_text(text)
    try:
        with Probed() as probed:
            heeded = shut_down(uri)
            subprocess.run(["qemu-img", "convert", "-O", "raw", disk[1], str(raw)], check=True)
            virsh(uri, "create", str(twin))
            probed.until_back()
        virsh(uri, "destroy", "twin")
    finally:
        virsh(uri, "start", VM)
    return probed.ms if heeded else None


def shut_down(uri: str) -> bool:
    """As `plan run` has it: asked again every 10 s, and after 120 s without power. Did the guest shut down itself?"""
    deadline = time.monotonic() + FORCED_S
    while virsh(uri, "domstate", VM).strip() != "shut off":
        if time.monotonic() > deadline:
            virsh(uri, "destroy", VM)
            return False
        subprocess.run(["virsh", "-c", uri, "shutdown", VM], capture_output=True, check=False)
        for _ in range(50):
            if virsh(uri, "domstate", VM).strip() == "shut off":
                return True
            time.sleep(0.2)
    return True


def virsh(uri: str, *words: str) -> str:
    """Standard output of virsh."""
    done = subprocess.run(["virsh", "-c", uri, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def answers() -> None:
    """Until the address has answered for a while, and its guest has had time to hear its power button."""
    until("the address answers", lambda: subprocess.run(
        ["ip", "netns", "exec", GATEWAY, "ping", "-c", "5", "-i", "0.2", "-W", "1", "-q", IP],
        capture_output=True, check=False).returncode == 0, 60)  # fmt: skip
    time.sleep(SETTLE_S)


class Probed:
    """ICMP every 10 ms and two streams of ARP every 50 ms from the gateway; `ms` is the outage once it is left."""

    ms: float

    def __enter__(self) -> Probed:
        self._icmp = in_netns(GATEWAY, lambda: IcmpProber(IP, 10.0))
        self._beside = [in_netns(GATEWAY, lambda: ArpProber(IP, 50.0)) for _ in range(2)]
        self._points: dict[int, list[int | None]] = {}
        for each in (self._icmp, *self._beside):
            each.start()
        time.sleep(0.5)
        return self

    def until_back(self) -> None:
        """Until the last half second was answered after a silence."""
        until("it answers again", lambda: self._gap() is not None, 120)

    def _gap(self) -> tuple[int, int] | None:
        for seq, tx, rx in as_series(self._icmp.drain()):
            known = self._points.setdefault(int(seq or 0), [seq, tx, rx])
            known[2] = known[2] or rx
        seen = sorted(int(point[2]) for point in self._points.values() if point[2] is not None)
        pairs = [(b - a, b) for a, b in zip(seen, seen[1:], strict=False)]
        length, end = max(pairs, default=(0, 0))
        return (length, end) if length > 500_000_000 and seen[-1] - end > 500_000_000 else None

    def __exit__(self, *_: object) -> None:
        found = self._gap()
        for each in (self._icmp, *self._beside):
            each.stop()
        if found is not None:
            points = [self._points[seq] for seq in sorted(self._points)]
            self.ms = outage(points, 1, found[1]).ms or 0.0
