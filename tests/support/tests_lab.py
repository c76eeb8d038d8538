"""One running lab for all end-to-end tests of a session, and the words to drive it: the CLI, as an operator would."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bascule_kube import Cluster
from bascule_kube.kinds import VM

BIN = Path(sys.executable).parent
STATE = Path(os.environ.get("BASCULE_LAB_DIR") or "/run/bascule-lab")
PREFIX = os.environ.get("BASCULE_LAB_PREFIX") or "bl"


@dataclass(frozen=True)
class Done:
    """One finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


class Lab:
    """The running lab through its command line."""

    def cli(self, *words: str, timeout: float = 120.0, check: int | None = 0) -> Done:
        """`bascule --lab WORDS`; `check` is the exit code it must end with, None for any."""
        return run([str(BIN / "bascule"), "--lab", *words], timeout, check)

    def lab(self, *words: str, timeout: float = 120.0, check: int | None = 0) -> Done:
        """`bascule lab WORDS`."""
        return run([str(BIN / "bascule"), "lab", *words], timeout, check)

    def delete_vm(self, name: str) -> None:
        """Delete a VirtualMachine in namespace vms."""

        async def act() -> None:
            async with await Cluster.open(STATE / "kubeconfig") as cluster:
                await cluster.delete(VM, name, namespace="vms")

        asyncio.run(act())

    def status(self) -> Any:
        """`lab status -o json`."""
        return self.lab("status", "-o", "json").json

    def guest(self, vm: str, command: str, timeout: float = 60.0, check: int | None = 0) -> str:
        """Run a shell command in a guest, over its serial port."""
        return self.lab("exec", vm, "--", command, timeout=timeout, check=check).out

    def node_of(self, vm: str) -> str:
        """The node that runs a VM."""
        found: str = next(g["node"] for g in self.status()["guests"] if g["name"] == vm and g["state"] == "running")
        return found

    def pair_on_two_nodes(self, app: str) -> tuple[str, str]:
        """Two VMs of one application (one VLAN) that run on different nodes."""
        guests = [g for g in self.status()["guests"] if g["name"].startswith(f"{app}-") and g["state"] == "running"]
        first = guests[0]
        second = next(g for g in guests if g["node"] != first["node"])
        return first["name"], second["name"]


def run(command: list[str], timeout: float, check: int | None) -> Done:
    """Run a command to its end; its exit code must be `check`."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    shown = f"$ {' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert check is None or done.returncode == check, f"exit {done.returncode}, not {check}\n{shown}"
    return Done(done.returncode, done.stdout, done.stderr)


def until(what: str, probe: Callable[[], Any], timeout: float = 20.0) -> Any:
    """Poll until `probe` is true; returns what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab with three nodes and twelve guests, taken down at the end of the session.

    BASCULE_TEST_LAB=running takes the one that is up and leaves it up, for work on the tests themselves.
    """
    if os.environ.get("BASCULE_TEST_LAB") == "running":
        yield Lab()
        return
    if (STATE / "lab.json").exists():
        pytest.fail("a lab is up on this machine: run 'bascule lab down' before the tests")
    found = Lab()
    found.lab("up", timeout=400)
    try:
        yield found
    finally:
        found.lab("down", timeout=120)
