"""What a lab is called and where it lives: every namespace, file and address of contracts.md section 1 in one place.

Both are configurable, by arguments or by BASCULE_LAB_PREFIX and BASCULE_LAB_DIR together, so that labs stand side by
side: tests build small ones beside a running one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

VLANS = (100, 110, 120)
NATIVE_VLAN = 100
API_ADDRESS = "10.98.0.254"
GATEWAY_MANAGEMENT = "10.98.0.253"
OUTSIDE_ADDRESS = "198.51.100.10"
OUTSIDE_ROUTER = "198.51.100.1"


def _default_state() -> Path:
    return Path(os.environ.get("BASCULE_LAB_DIR", "/run/bascule-lab"))


def _default_prefix() -> str:
    return os.environ.get("BASCULE_LAB_PREFIX") or "bl"


def cache_dir() -> Path:
    """Where the guest kernel and the template are kept: `$XDG_CACHE_HOME/bascule`, default ~/.cache/bascule."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bascule"


@dataclass(frozen=True)
class LabConfig:
    """One lab. `prefix` starts the name of every network namespace; `state` is a directory on a tmpfs (0700)."""

    prefix: str = field(default_factory=_default_prefix)
    state: Path = field(default_factory=_default_state)

    @property
    def fabric(self) -> str:
        """The switch's namespace; the API server listens here too."""
        return f"{self.prefix}-fabric"

    @property
    def gateway(self) -> str:
        """The gateway's namespace: one access port and one address per VLAN."""
        return f"{self.prefix}-gw"

    @property
    def outside(self) -> str:
        """The outside host's namespace, behind the gateway."""
        return f"{self.prefix}-out"

    @property
    def old(self) -> str:
        """The old side's namespace: a KVM host."""
        return f"{self.prefix}-old"

    def node(self, name: str) -> str:
        """A node's namespace; `name` is `node1` …"""
        return f"{self.prefix}-{name}"

    def launcher(self, uid: str) -> str:
        """A launcher pod's namespace: the first ten hex digits of the pod's uid."""
        return f"{self.prefix}-p-{uid.replace('-', '')[:10]}"

    @property
    def bpffs(self) -> Path:
        """The lab's own BPF file system, mounted outside every namespace."""
        return self.state / "bpf"

    @property
    def guests(self) -> Path:
        """Sockets and logs of the guests."""
        return self.state / "guests"


def node_number(name: str) -> int:
    """3 for `node3`. Raises ValueError when the name does not end in a number from 1 to 9."""
    number = int(name.removeprefix("node"))
    if not 1 <= number <= 9:
        raise ValueError(f"{name}: nodes are node1 to node9")
    return number


def node_management(name: str) -> str:
    """The node's address on the management network."""
    return f"10.98.0.{node_number(name)}"


def node_migration(name: str) -> str:
    """The node's address on the migration network."""
    return f"10.99.0.{node_number(name)}"
