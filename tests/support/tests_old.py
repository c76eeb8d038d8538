"""The old side of a running lab, as an operator has it: its verbs, its state by virsh, and who reaches it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests_lab import BIN, PREFIX, STATE, Done, Lab, until

from bascule_kube import Cluster
from bascule_kube.kinds import DATAVOLUME, VM

PORT_GROUPS = "port_groups: {shops: 110, ledgers: 120, archives: 100}\n"


class Old:
    """The old side, and the operator's state in a directory of its own."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        status = lab.status()["old"]
        self.uri: str = status["uri"]
        self.vms: dict[str, Any] = {vm["name"]: vm for vm in status["vms"]}

    def state(self, name: str) -> str:
        """A VM's state by virsh."""
        return self.virsh("domstate", name).strip()

    def virsh(self, *words: str) -> str:
        """Standard output of virsh."""
        command = ["virsh", "-c", self.uri, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def plan(self, *words: str, check: int | None = 0, timeout: float = 240.0) -> Done:
        """`bascule --lab plan …`."""
        return self.lab.cli("plan", *words, check=check, timeout=timeout)

    def run(self, *words: str, check: int | None = 0, timeout: float = 240.0) -> Any:
        """`plan run`, its rows by target."""
        done = self.plan("run", "--source", self.uri, *words, "-o", "json", check=check, timeout=timeout)
        return {row["target"]: row for row in done.json}

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        """`plan run` in the background."""
        command = [str(BIN / "bascule"), "--lab", "plan", "run", "--source", self.uri, *words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def estate(self) -> Path:
        """Import the source with the addresses that the operator knows; the answers on its port groups."""
        lines = ["vm,mac,ip", *(f'"{vm["name"]}",{vm["mac"]},{vm["ip"]}' for vm in self.vms.values())]
        listed, answers = self.folder / "addresses.csv", self.folder / "answers.yaml"
        listed.write_text("\n".join(lines) + "\n")
        answers.write_text(PORT_GROUPS)
        self.lab.cli("estate", "import", self.uri, str(listed), check=None)
        return answers

    def build(self, *words: str, check: int | None = 0) -> Any:
        """Import and plan."""
        return self.plan("build", "--answers", str(self.estate()), *words, "-o", "json", check=check).json

    def deeds(self, target: str) -> list[Any]:
        """What the journal has of one VM."""
        path = Path(os.environ["XDG_STATE_HOME"]) / "bascule" / "journal.jsonl"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        kind = [each["after"] for each in map(json.loads, lines) if each["target"]["kind"] == "MigrationStep"]
        return [each["spec"] for each in kind if each["metadata"]["name"] == target]

    def record(self, target: str) -> Any:
        """Its `bascule-run/1`."""
        path = Path(os.environ["XDG_STATE_HOME"]) / "bascule" / "runs" / f"vms.{target}.json"
        return json.loads(path.read_text())

    def kill_at(self, step: str, target: str) -> None:
        """Begin a run, and kill it as soon as the journal says that it began a step's change."""
        before = len(self.deeds(target))
        process = self.begin("--vm", target)
        deadline = time.monotonic() + 60
        try:
            while time.monotonic() < deadline and process.poll() is None:
                if any((d["step"], d["action"]) == (step, "intent") for d in self.deeds(target)[before:]):
                    break
                time.sleep(0.002)
        finally:
            process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


@contextmanager
def old_side(lab: Lab, folder: Path, *words: str) -> Iterator[Old]:
    """The old side that is up, else one of its own; the operator's state is in `folder`."""
    own = lab.status().get("old") is None
    if own:
        lab.lab("old", "up", *words, timeout=240)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_STATE_HOME", str(folder / "state"))
            yield Old(lab, folder)
    finally:
        asyncio.run(sweep())
        if own:
            lab.lab("old", "down", timeout=120)


async def sweep() -> None:
    """What came over goes, with its disks: other tests count the lab's VMs."""
    async with await Cluster.open(STATE / "kubeconfig") as cluster:
        for kind in (VM, DATAVOLUME):
            for each in await cluster.list(kind, namespace="vms"):
                meta = each["metadata"]
                if kind is DATAVOLUME or "bascule.dev/moved-from" in (meta.get("annotations") or {}):
                    await cluster.delete(kind, meta["name"], "vms")


def ping(space: str, ip: str) -> bool:
    """Does an address answer from a namespace of the fabric?"""
    command = ["ip", "netns", "exec", f"{PREFIX}-{space}", "ping", "-c", "1", "-W", "1", "-q", ip]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def neighbour(ip: str) -> str:
    """The MAC that the gateway's kernel has for an address."""
    command = ["ip", "-n", f"{PREFIX}-gw", "neigh", "show", ip]
    words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else ""


def reached(vm: Any) -> None:
    """The gateway and the outside host reach the address, with the MAC it always had; nobody touched a cache."""
    until(f"{vm['ip']} from outside", lambda: ping("gw", vm["ip"]) and ping("out", vm["ip"]))
    assert neighbour(vm["ip"]) == vm["mac"]
