"""The lab as its status file tells it: `lab status -o json` (DESIGN section 6)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bascule_lab.agents import AgentProcess
from bascule_lab.config import LabConfig
from bascule_lab.standins.kubelet import Launch


class LabStatus:
    """State and progress, and the document made from what runs now."""

    def __init__(self, config: LabConfig, nodes: Sequence[str]) -> None:
        self._config = config
        self._nodes = nodes
        self.state = "coming up"
        self.progress: list[str] = []

    def document(self, agents: Mapping[str, AgentProcess], launches: Iterable[Launch]) -> dict[str, Any]:
        """The status file's content."""
        state = self._config.state
        return {
            "state": self.state,
            "pid": os.getpid(),
            "kubeconfig": str(state / "kubeconfig"),
            "namespaces": {
                "fabric": self._config.fabric,
                "gateway": self._config.gateway,
                "outside": self._config.outside,
            },
            "nodes": [
                {
                    "name": name,
                    "netns": self._config.node(name),
                    "agent_pid": agents[name].pid if name in agents else 0,
                    "socket": str(state / "nodes" / name / "agent.sock"),
                }
                for name in self._nodes
            ],
            "guests": sorted((_guest(launch) for launch in launches if launch.guest), key=lambda g: str(g["name"])),
            "progress": self.progress,
        }


def _guest(launch: Launch) -> dict[str, Any]:
    guest = launch.guest
    assert guest is not None
    return {
        "name": guest.spec.name,
        "node": launch.node,
        "kind": guest.kind,
        "pid": guest.pid,
        "qmp": str(guest.qmp_path) if guest.qmp_path else None,
        "serial": str(guest.serial_path) if guest.serial_path else None,
        "netns": guest.port.netns,
        "interface": guest.port.interface,
        "state": "running" if guest.running else "dead",
    }
