"""A lab that was killed leaves nothing: not its namespaces, mounts, pins, processes or files. Witness: /proc, ip."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.errors import RefusedError
from bascule_agent.bpf import raw
from bascule_lab import machine, processes
from bascule_lab.config import LabConfig

pytestmark = pytest.mark.root

# a lab in a process of its own, so that it can be killed: fabric, one node, one stand-in guest
BUILDER = """
import asyncio, sys
from pathlib import Path
from bascule_lab import machine
from bascule_lab.config import LabConfig
from bascule_lab.fabric.fabric import Fabric
from bascule_lab.guests import plumbing
from bascule_lab.guests.spec import GuestSpec
from bascule_lab.guests.standin import StandInGuest

async def main():
    config = LabConfig(prefix=sys.argv[1], state=Path(sys.argv[2]))
    machine.prepare(config)
    fabric = Fabric(config, ["node1"])
    await fabric.start()
    port = await plumbing.add(config, "node1", "abcdef")
    guest = StandInGuest(config, GuestSpec("web-1", "52:54:00:00:6e:01", "10.110.0.11"), port)
    await guest.start_clone()
    print(guest.pid, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.fixture
def config() -> Iterator[LabConfig]:
    state = Path(tempfile.mkdtemp(prefix="h5-"))
    made = LabConfig(prefix=f"h5-{os.getpid()}", state=state / "lab")
    yield made
    assert machine.cleanup(made) == []
    shutil.rmtree(state)


def ours(config: LabConfig) -> list[str]:
    """What of this lab the machine shows, by tools that are not ours."""
    spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    mounts = Path("/proc/mounts").read_text()
    shown = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    words = [line for line in (spaces + mounts).splitlines() if config.prefix in line or str(config.state) in line]
    return words + [line for line in shown.splitlines() if f"{config.state}/guests" in line]


def test_after_a_kill_nothing_is_left(config: LabConfig) -> None:
    programs = raw.ids("prog")
    builder = subprocess.Popen(
        [sys.executable, "-c", BUILDER, config.prefix, str(config.state)], stdout=subprocess.PIPE, text=True
    )
    assert builder.stdout is not None
    guest = int(builder.stdout.readline())
    builder.stdout.close()
    pinned = config.bpffs / "fabric"
    held = {raw.prog_info(fd).id for fd in _open_pins(pinned, "sw_in", "sw_out")}
    assert held - programs and ours(config), "there is something to remove"
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    assert processes.arguments(guest), "the guest outlives the process that started it"

    assert machine.cleanup(config) == []
    assert ours(config) == []
    assert not processes.arguments(guest)
    assert not config.state.exists()
    deadline = time.monotonic() + 5
    while held & raw.ids("prog") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not held & raw.ids("prog"), "programs go with the namespaces, a moment later"
    assert machine.cleanup(config) == [], "a second time does nothing"


def _open_pins(root: Path, *names: str) -> Iterator[int]:
    for path in (next(root.iterdir()) / name for name in names):
        fd = raw.get(path)
        try:
            yield fd
        finally:
            os.close(fd)


def test_a_directory_that_is_not_a_labs_is_refused(config: LabConfig) -> None:
    config.state.mkdir(parents=True)
    (config.state / "precious").write_text("mine")
    with pytest.raises(RefusedError, match="not a lab's directory"):
        machine.prepare(config)
    machine.cleanup(config)
    assert (config.state / "precious").read_text() == "mine"


def test_a_bystander_that_names_the_directory_is_not_ended(config: LabConfig) -> None:
    machine.prepare(config)
    bystander = subprocess.Popen(["sh", "-c", f"sleep 30; : {config.state}/guests qemu-system-x86_64 bascule_agent"])
    try:
        machine.cleanup(config)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def _in_namespace(config: LabConfig, arguments: list[str], script: str) -> subprocess.Popen[str]:
    """A python in a namespace of the lab's name; it says a line once it runs there."""
    enter = f"import os; fd = os.open('/run/netns/{config.prefix}-x', os.O_RDONLY); import ctypes; "
    enter += "assert not ctypes.CDLL(None).setns(fd, 0x40000000); print('in', flush=True); import time; "
    started = subprocess.Popen(
        arguments, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert started.stdin is not None and started.stdout is not None
    started.stdin.write(enter + script)
    started.stdin.close()
    assert started.stdout.readline() == "in\n"
    started.stdout.close()
    return started


def test_a_dying_process_without_arguments_is_waited_for(config: LabConfig) -> None:
    machine.prepare(config)
    subprocess.run(["ip", "netns", "add", f"{config.prefix}-x"], check=True)
    # the kernel shows an exiting process so: no command line, its namespaces still held
    dying = _in_namespace(config, [""], "time.sleep(1)")
    try:
        assert machine.cleanup(config) == []
    finally:
        dying.kill()
        dying.wait()


def test_a_process_that_stays_in_a_namespace_is_named(config: LabConfig) -> None:
    machine.prepare(config)
    subprocess.run(["ip", "netns", "add", f"{config.prefix}-x"], check=True)
    stays = _in_namespace(config, ["stays", "-"], "time.sleep(60)")
    try:
        assert machine.cleanup(config) == [f"process {stays.pid} is still in a namespace: stays -"]
        assert stays.poll() is None
    finally:
        stays.kill()
        stays.wait()


def test_diff_tells_what_came_and_went(config: LabConfig) -> None:
    before = machine.Snapshot((), ("a",), ("/x",), (1,), (), ())
    after = machine.Snapshot((), ("b",), ("/x",), (1, 2), (), ())
    assert machine.diff(before, after) == ["namespaces: new b", "namespaces: gone a", "programs: new 2"]
    assert machine.diff(before, before) == []
