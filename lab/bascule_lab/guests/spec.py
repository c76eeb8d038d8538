"""What a guest is told: its name, its NIC and whom it talks to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GuestSpec:
    """One guest with one NIC.

    `mac` lower-case with colons, `ip` dotted, `gateway` an address or "" for none. `peers` are whom it talks to every
    `talk_every_s` seconds: `10.110.0.12` is one ping, `10.110.0.12:7` one TCP connection. A guest with `disks` (raw
    files, the first is /dev/vda) is booted and takes its address from them (guests/disk.py).
    """

    name: str
    mac: str
    ip: str
    prefix: int = 24
    gateway: str = ""
    peers: tuple[str, ...] = ()
    talk_every_s: float = 1.5
    disks: tuple[Path, ...] = ()

    def line(self) -> str:
        """The configuration line of init.sh."""
        peers = ",".join(self.peers) or "-"
        return f"CONF {self.ip} {self.prefix} {self.mac} {self.gateway or '-'} {peers} {self.talk_every_s:g}"
