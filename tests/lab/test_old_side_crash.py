"""`lab old` through its command line on a lab of its own: the words an operator uses, and `lab down` after a crash."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests_lab import Lab, until

pytestmark = [pytest.mark.root, pytest.mark.qemu]


class OwnLab(Lab):
    """A lab beside the one of the session, by its environment."""

    def __init__(self, prefix: str, state: Path) -> None:
        self.prefix, self.state = prefix, state

    def traces(self) -> list[str]:
        """What of it the machine shows, by tools that are not ours."""
        spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.splitlines()
        mounts = Path("/proc/mounts").read_text().splitlines()
        shown = subprocess.run(["ps", "-ww", "-eo", "stat,args"], capture_output=True, text=True, check=True).stdout
        running = [line for line in shown.splitlines() if f"{self.state}/" in line and not line.startswith("Z")]
        groups = [str(path) for path in Path("/sys/fs/cgroup").glob("*/*machine*")]
        left = [line for line in spaces if line.startswith(f"{self.prefix}-")] + running + groups
        left += [line for line in mounts if f"{self.state}/" in line]
        return left + [
            str(path) for path in (self.state, Path("/var/lib/libvirt"), Path("/run/libvirt")) if path.exists()
        ]


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnLab]:
    place = Path(tempfile.mkdtemp(prefix="hz1-", dir="/run"))
    lab = OwnLab(f"hz1-{os.getpid()}", place / "lab")
    monkeypatch.setenv("BASCULE_LAB_PREFIX", lab.prefix)
    monkeypatch.setenv("BASCULE_LAB_DIR", str(lab.state))
    try:
        yield lab
    finally:
        lab.lab("down", check=None)
        shutil.rmtree(place)


def test_without_a_lab_it_is_refused(own: OwnLab) -> None:
    done = own.lab("old", "up", check=None)
    assert done.code == 4 and "no lab is running" in done.err and "Traceback" not in done.err
    assert own.lab("old", "status").out == "no old side: bascule lab old up\n"
    assert own.lab("old", "down").err == "there was no old side\n"
    assert own.traces() == []


@pytest.mark.long
def test_up_used_killed_and_down(own: OwnLab) -> None:
    own.lab("up", "--empty", timeout=300)
    assert own.status()["old"] is None
    own.lab("old", "up", "--vms", "2", "--planted", timeout=300)
    found = own.status()["old"]
    assert found == own.lab("old", "status", "-o", "json").json
    assert found["namespace"] == f"{own.prefix}-old"
    rows = {vm["name"]: (vm["state"], vm["vlan"], vm["ip"]) for vm in found["vms"]}
    assert rows == {
        "shop-1": ("running", 110, "10.110.0.31"),
        "ledger-1": ("running", 120, "10.120.0.31"),
        "shop-1-clone": ("shut off", 110, "10.110.0.31"),
    }
    refused = own.lab("old", "up", check=None)
    assert refused.code == 4 and "the old side is up" in refused.err
    wrong = own.lab("old", "exec", "nobody", "--", "true", check=None)
    assert wrong.code and "shop-1, ledger-1" in wrong.err
    assert own.lab("old", "exec", "shop-1", "--", "echo $((6*7)); exit 5", check=5).out == "42\n"
    assert boots(own) == 1
    virsh(found["uri"], "shutdown", "shop-1")
    until("shut off", lambda: virsh(found["uri"], "domstate", "shop-1").strip() == "shut off", 30)
    virsh(found["uri"], "start", "shop-1")
    until("its second boot is on its disk", lambda: boots(own) == 2, 60)

    status = own.status()
    for pid in (status["pid"], *(node["agent_pid"] for node in status["nodes"]), found["pid"]):
        os.kill(pid, signal.SIGKILL)
    assert any(f"{own.state}/old" in line for line in own.traces()), "the crash left nothing, so nothing is proven"
    own.lab("down")
    until("nothing is left", lambda: own.traces() == [], 10)


def boots(own: OwnLab) -> int:
    """How often shop-1's disk was booted, read in the guest; 0 while it does not answer."""
    done = own.lab("old", "exec", "shop-1", "--", "dd if=/dev/vda bs=512 skip=1 count=1 2>/dev/null", check=None)
    return int(done.out.split()[1]) if done.code == 0 and done.out.startswith("BOOTS") else 0


def virsh(uri: str, *words: str) -> str:
    return subprocess.run(["virsh", "-c", uri, *words], capture_output=True, text=True, check=True, timeout=60).stdout


def test_status_is_json_without_a_lab_too(own: OwnLab) -> None:
    assert json.loads(own.lab("old", "status", "-o", "json").out) is None
