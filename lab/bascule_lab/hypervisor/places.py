"""Where the old side of a lab is: its files, its socket, its URI (docs/design/contracts.md section 9)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bascule_lab.config import LabConfig, cache_dir


@dataclass(frozen=True)
class Places:
    """Every path of one old side; `root` is STATE/old."""

    root: Path

    @classmethod
    def of(cls, config: LabConfig) -> Places:
        """Those of a lab."""
        return cls(config.state / "old")

    @property
    def uri(self) -> str:
        """What `virsh -c` and libvirt.open take, in any namespace: a unix socket is reached by its path."""
        return f"qemu+unix:///system?socket={self.root}/libvirt-sock"

    @property
    def configuration(self) -> Path:
        """libvirtd.conf."""
        return self.root / "libvirtd.conf"

    @property
    def private(self) -> Path:
        """What libvirtd sees as /etc/libvirt, /var/lib/libvirt, /var/log/libvirt, /etc/passwd and /etc/group."""
        return self.root / "private"

    @property
    def log(self) -> Path:
        """libvirtd's own log."""
        return self.root / "libvirtd.log"

    @property
    def record(self) -> Path:
        """Which VMs were made, as JSON."""
        return self.root / "old.json"

    @property
    def images(self) -> Path:
        """The storage pool's directory."""
        return self.root / "images"

    def disk(self, file: str) -> Path:
        """A VM's qcow2 disk."""
        return self.images / f"{file}.qcow2"

    def serial(self, file: str) -> Path:
        """A VM's serial port, for `guests.serial.SerialClient`."""
        return self.root / "serial" / file


def capabilities_cache() -> Path:
    """Where libvirt keeps what it found out about QEMU, which takes it seconds each time it is not known."""
    return cache_dir() / "libvirt"
