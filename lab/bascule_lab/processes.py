"""Which processes belong to a lab, told by their exact arguments: nothing is ended on a pid or a name alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

from bascule_lab.config import LabConfig

ECHO_MODULE = "bascule_lab.guests.echo"
_POLL_S = 0.01


def arguments(pid: int) -> list[str]:
    """A process's command line, [] when it does not run (a zombie has none either)."""
    with contextlib.suppress(OSError):
        line = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).rstrip("\0")
        return line.split("\0") if line else []
    return []


def is_qemu(line: list[str]) -> bool:
    """Whether this is a QEMU."""
    return bool(line) and Path(line[0]).name == "qemu-system-x86_64"


def is_agent(line: list[str]) -> bool:
    """Whether this is a node agent or a probe point."""
    return "bascule_agent" in line or any(Path(word).name == "bascule-agent" for word in line[:2])


def of_old_side(config: LabConfig) -> set[int]:
    """The pids of the old side: libvirtd and QEMUs that sit in its network namespace, whatever their arguments.

    By the namespace, because a QEMU that libvirtd asked what it can do, and left behind when it was killed, names
    nothing of the lab.
    """
    try:
        home = (Path("/run/netns") / config.old).stat().st_ino
    except OSError:
        return set()
    return {pid for pid in all_pids() if _network_of(pid) == home and _is_old_side(arguments(pid))}


def _is_old_side(line: list[str]) -> bool:
    return is_qemu(line) or bool(line) and Path(line[0]).name == "libvirtd"


def _network_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    return 0


def of_lab(config: LabConfig) -> set[int]:
    """The pids of a lab: its supervisor (lab.json), its old side, and QEMUs, agents and stand-ins
    whose arguments name its state.

    A shell or an editor that merely mentions the state directory is not among them, nor is this process.
    """
    state = str(config.state)
    found = {pid for pid in all_pids() if _works_for(arguments(pid), state)}
    found |= of_old_side(config)
    supervisor = _supervisor(config)
    if supervisor and "bascule_lab" in arguments(supervisor):
        found.add(supervisor)
    return found - {os.getpid()}


def _works_for(line: list[str], state: str) -> bool:
    return (is_qemu(line) or is_agent(line) or ECHO_MODULE in line) and any(f"{state}/" in word for word in line)


def _supervisor(config: LabConfig) -> int:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return int(json.loads((config.state / "lab.json").read_text())["pid"])
    return 0


def all_pids() -> list[int]:
    """Every process of this machine."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def end(pids: set[int], signal_number: int, timeout: float) -> None:
    """Send a signal and wait until all are gone or `timeout` seconds passed; children of ours are reaped."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)
    deadline = time.monotonic() + timeout
    while any(arguments(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def end_lab(config: LabConfig, timeout: float = 3.0) -> None:
    """End every process of a lab: SIGTERM, then SIGKILL. Looked up again each time: agents are restarted by theirs."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        end(of_lab(config), signal_number, timeout)
