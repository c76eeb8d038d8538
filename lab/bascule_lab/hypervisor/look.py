"""What the old side is now, for `lab status` and `lab old`; apart from what makes it, so that looking loads little."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bascule_lab.config import LabConfig
from bascule_lab.hypervisor.errors import OldSideError
from bascule_lab.hypervisor.places import Places
from bascule_lab.hypervisor.virt import connection

# virDomainState, as virsh calls them
STATES = ("no state", "running", "idle", "paused", "in shutdown", "shut off", "crashed", "suspended")


def status(config: LabConfig) -> dict[str, Any] | None:
    """`lab status`' `old` (contracts.md section 9), None without an old side; a VM's state is asked for now.

    `state` is virsh's word, "gone" for a VM that somebody undefined, "unknown" when libvirtd does not answer. `pid` is
    libvirtd's, `serial` a VM's serial port.
    """
    places = Places.of(config)
    try:
        found: dict[str, Any] = json.loads(places.record.read_text())
    except (OSError, ValueError):
        return None
    states = _states(places)
    for vm in found["vms"]:
        vm["state"] = "unknown" if states is None else states.get(vm["uuid"], "gone")
    return found


def _states(places: Places) -> dict[str, str] | None:
    """Every domain's state by UUID; None when libvirtd does not answer."""
    try:
        with connection(places) as libvirt:
            return {domain.UUIDString(): STATES[domain.state()[0]] for domain in libvirt.listAllDomains()}
    except OldSideError:
        return None


def serial_of(config: LabConfig, name: str) -> Path:
    """The serial port of a VM. Raises OldSideError when there is no such VM."""
    found = status(config)
    rows = found["vms"] if found else []
    for row in rows:
        if row["name"] == name:
            return Path(row["serial"])
    known = ", ".join(row["name"] for row in rows) or "none"
    raise OldSideError(f"no VM {name!r} on the old side", f"there are {known}", "bascule lab old status")
