"""After `lab down`, and after killing the lab's processes and then `lab down`, the machine is as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests_lab import PREFIX, STATE, Lab, until

pytestmark = [pytest.mark.root, pytest.mark.qemu]


def machine() -> dict[str, list[str]]:
    """What iproute2, the kernel's own lists and bpffs show: not Bascule's snapshot."""

    def lines(*command: str) -> list[str]:
        return sorted(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())

    mounts = sorted(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return {
        "links": lines("ip", "-br", "link"),
        "netns": lines("ip", "netns"),
        "mounts": mounts,
        "bpf": bpf_ids(),
        "processes": lines("pgrep", "-fa", "qemu-system|bascule_lab|bascule-agent") if _any() else [],
        "state": [str(p) for p in STATE.parent.glob("bascule-lab*")],
    }


def _any() -> bool:
    pattern = "qemu-system|bascule_lab|bascule-agent"
    return subprocess.run(["pgrep", "-f", pattern], capture_output=True, check=False).returncode == 0


def bpf_ids() -> list[str]:
    """Ids of all BPF programs and maps, walked by bpf(2)."""
    from bascule_agent.bpf import raw

    return [f"prog {i}" for i in sorted(raw.ids("prog"))] + [f"map {i}" for i in sorted(raw.ids("map"))]


def same_as(before: dict[str, list[str]]) -> bool:
    return machine() == before


def test_down_leaves_the_machine_as_it_was() -> None:
    if (STATE / "lab.json").exists():
        pytest.fail("a lab is up on this machine: run 'bascule lab down' before the tests")
    before = machine()
    lab = Lab()
    lab.lab("up", "--guests", "3", timeout=300)
    try:
        assert lab.status()["state"] == "up"
        assert machine() != before
    finally:
        lab.lab("down")
    until("the machine is as it was", lambda: same_as(before), 10)


def test_down_after_a_crash_leaves_the_machine_as_it_was() -> None:
    before = machine()
    lab = Lab()
    lab.lab("up", "--guests", "3", timeout=300)
    try:
        status = lab.status()
        own = [status["pid"], *(n["agent_pid"] for n in status["nodes"]), *(g["pid"] for g in status["guests"])]
        for pid in own:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
        assert any(f"{PREFIX}-" in name for name in machine()["netns"]), "the crash left nothing, so nothing is proven"
    finally:
        lab.lab("down")
    until("the machine is as it was", lambda: same_as(before), 10)
