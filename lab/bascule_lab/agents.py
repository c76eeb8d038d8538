"""The node agents and the gateway's probe point: real processes in their namespaces, restarted as a DaemonSet would."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bascule_agent.netlink import in_netns

log = logging.getLogger(__name__)
RESTART_S = 1.0
HOLD_POLL_S = 0.1
STOP_TIMEOUT_S = 8.0


@dataclass(frozen=True)
class AgentSpec:
    """One process: `arguments` follow `bascule-agent`; `directory` holds its socket and its hold file."""

    name: str
    netns: str
    directory: Path
    arguments: tuple[str, ...]
    log: Path


class AgentProcess:
    """Keeps one agent running. `hold` keeps it down for a while: that is the fault `kill-agent`."""

    def __init__(self, spec: AgentSpec) -> None:
        self.spec = spec
        self._process: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int:
        """The process's pid, 0 while it is down."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    def start(self) -> None:
        """Start it and watch it."""
        self.spec.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._task = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while not self._stopping:
            while held_until(self.spec.directory) > time.time():
                await asyncio.sleep(HOLD_POLL_S)
            self._process = await asyncio.to_thread(self._spawn)
            code = await asyncio.to_thread(self._process.wait)
            if not self._stopping:
                log.warning("agent %s ended with code %s", self.spec.name, code)
                await asyncio.sleep(RESTART_S)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.spec.log.open("ab") as stream:
            command = [str(Path(sys.executable).with_name("bascule-agent")), *self.spec.arguments]
            return in_netns(
                self.spec.netns,
                lambda: subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    start_new_session=True,
                    env=direct_environment(),
                ),
            )

    async def stop(self) -> None:
        """Ask it to end; kill it if it does not."""
        self._stopping = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def direct_environment() -> dict[str, str]:
    """This environment without proxies: there is none inside the lab's namespaces."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def hold(directory: Path, seconds: float) -> None:
    """Keep the agent of `directory` down for `seconds` once it has ended."""
    (directory / "hold.json").write_text(json.dumps({"until": time.time() + seconds}))


def held_until(directory: Path) -> float:
    """Unix time until which the agent is to stay down; 0 without a hold."""
    try:
        return float(json.loads((directory / "hold.json").read_text())["until"])
    except (OSError, ValueError, KeyError):
        return 0.0
