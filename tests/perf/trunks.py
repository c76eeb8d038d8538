"""How fast a node converges: one Network with 200 VLANs in use, the pass that finds nothing to do, a range of 4,094.

The baseline of the first convergence is iproute2 making the same links in one batch: what the kernel alone takes.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bascule.hostplan.desired import Need, desire
from bascule.hostplan.observed import Observed
from bascule.hostplan.plan import plan
from bascule.hostplan.steps import Step
from bascule.resources.network import Network
from bascule_agent.apply.host import Host
from bascule_agent.bpf import layout
from bascule_agent.bpf.objects import ensure, mount_bpffs, unmount_bpffs
from bascule_agent.netlink import Netlink, create_netns, delete_netns, quiet_sysctls

NODE, BARE, PINS = "bp-node", "bp-bare", Path("/run/bp-trunks-bpf")
VLANS, RUNS, PASSES = 200, 3, 5
SETTLE_SECONDS, QUIET_SECONDS = 20.0, 0.1


def network(start: int, end: int) -> Network:
    """One Network on trunk0 with a range of VLANs."""
    return Network.of({"metadata": {"name": "dc1"}, "spec": spec(start, end)})


def spec(start: int, end: int) -> dict[str, Any]:
    """Its spec."""
    trunk = {"trunkPort": {"interface": {"name": "trunk0"}}}
    entry = {"nodeSelector": "", "bridge": {"managedBridge": {}}, "hostConnections": [trunk]}
    vlans = [{"vlan": {"range": {"start": start, "end": end}}}]
    return {"l2Bridge": {"hostConfig": [entry], "vlans": vlans}}


@contextmanager
def node() -> Iterator[Host]:
    """An empty node with a trunk."""
    create_netns(NODE)
    try:
        quiet_sysctls(NODE)
        with Netlink(NODE) as netlink:
            end = netlink.add_veth("trunk0", "wire0")
            for index in (end.index, end.peer_index):
                netlink.set(index, up=True)
        objects = ensure(layout.SOURCE, PINS / "node", layout.defines(), layout.LAYOUT)
        for table in ("trunks", "native", "stubs"):
            objects.rows(table, remove=True)
        host = Host(objects, NODE)
        yield host
        host.close()
        objects.close()
    finally:
        delete_netns(NODE)


def converge(host: Host, wanted: Network, vids: range) -> float:
    """Seconds for observe, desire, plan, every step, and the look that says all of it is there."""
    began = time.perf_counter()
    for step in steps(host.observe(), wanted, vids):
        host.execute(step)
    observed = host.observe()
    seconds = time.perf_counter() - began
    assert steps(observed, wanted, vids) == ()
    return seconds


def steps(observed: Observed, wanted: Network, vids: range) -> tuple[Step, ...]:
    """The plan for ports in these VLANs."""
    return plan(desire([wanted], "node", {}, [Need("dc1", vid) for vid in vids], observed), observed)


def batch(count: int) -> float:
    """Seconds for iproute2 to make as many bridges and veth pairs, joined and up, in one batch."""
    create_netns(BARE)
    try:
        lines = []
        for n in range(count):
            lines += [f"link add b{n} type bridge", f"link add s{n} type veth peer x{n}", f"link set s{n} master b{n}"]
            lines += [f"link set {link}{n} up" for link in "bsx"]
        began = time.perf_counter()
        subprocess.run(["ip", "-n", BARE, "-batch", "-"], input="\n".join(lines), text=True, check=True)
        return time.perf_counter() - began
    finally:
        delete_netns(BARE)


def settle() -> None:
    """Wait until the kernel has taken the namespace before apart: it holds the lock of all link changes meanwhile."""
    end = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < end:
        time.sleep(0.2)
        create_netns(BARE)
        began = time.perf_counter()
        with Netlink(BARE) as netlink:
            netlink.delete(netlink.add_veth("a", "b").index)
        seconds = time.perf_counter() - began
        delete_netns(BARE)
        if seconds < QUIET_SECONDS:
            return


def rows() -> list[dict[str, Any]]:
    """The figures."""
    mount_bpffs(PINS)
    try:
        first, bare, idle, wide = [], [], [], []
        for _ in range(RUNS):
            settle()
            with node() as host:
                wide.append(converge(host, network(1, 4094), range(10, 13)))
            settle()
            bare.append(batch(VLANS))
            settle()
            with node() as host:
                wanted = network(1000, 1000 + VLANS - 1)
                first.append(converge(host, wanted, range(1000, 1000 + VLANS)))
                for _ in range(PASSES):
                    began = time.process_time()
                    assert steps(host.observe(), wanted, range(1000, 1000 + VLANS)) == ()
                    idle.append((time.process_time() - began) * 1e3)
    finally:
        unmount_bpffs(PINS)
    return [
        _row("trunks: first convergence, 200 VLANs", statistics.median(first), "s", statistics.median(bare), "≤ 2 s"),
        _row("trunks: no-op reconcile, 200 VLANs (look and plan, CPU)", statistics.median(idle), "ms", None, "≤ 20 ms"),
        _row("trunks: range 1-4094, 3 ports", statistics.median(wide), "s", None, "≤ 0.5 s"),
    ]


def _row(name: str, value: float, unit: str, baseline: float | None, goal: str) -> dict[str, Any]:
    """One figure; the goals are times for a quiet machine, so nothing is decided by them."""
    ratio = round(value / baseline, 2) if baseline else None
    shown = round(baseline, 3) if baseline else None
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "baseline": shown,
        "ratio": ratio,
        "goal": goal,
        "met": None,
    }
