"""Kill a guest or an agent, as a crash would."""

from __future__ import annotations

import os
import signal
import time

from bascule_lab.faults.errors import FaultError
from bascule_lab.processes import arguments, is_agent, is_qemu


def kill_guest(pid: int) -> int:
    """SIGKILL a guest's QEMU (or a stand-in's process); returns CLOCK_REALTIME ns. Raises FaultError.

    The pid's command line is checked first: a pid that was reused by now is not touched.
    """
    if not is_qemu(arguments(pid)) and "bascule_lab.guests.echo" not in arguments(pid):
        raise FaultError(f"pid {pid} is no guest", " ".join(arguments(pid))[:80] or "it does not run")
    return _kill(pid)


def kill_agent(pid: int) -> int:
    """SIGKILL an agent; returns CLOCK_REALTIME ns. Raises FaultError when `pid` is no agent."""
    if not is_agent(arguments(pid)):
        raise FaultError(f"pid {pid} is no agent", " ".join(arguments(pid))[:80] or "it does not run")
    return _kill(pid)


def _kill(pid: int) -> int:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError as error:
        raise FaultError(f"pid {pid} is gone") from error
    return time.time_ns()
