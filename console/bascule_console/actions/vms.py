"""Actions of the VM screen beside those it shares with the live screen."""

from __future__ import annotations

from bascule_console.actions.model import Action, Need

ACTIONS: tuple[Action, ...] = (
    Action(
        id="attach_nic",
        label="Attach NIC",
        key="a",
        scope=("vms",),
        danger=True,
        confirm="Attach a NIC to {name}?",
        verb="bascule vms attach NAME --nad NAD",
        needs=(Need("patch", "kubevirt.io", "virtualmachines"),),
    ),
)
