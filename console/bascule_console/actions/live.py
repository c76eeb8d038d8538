"""Actions on VMs and flows as the live screen has them; the VM and flow screens share them."""

from __future__ import annotations

from bascule_console.actions.model import Action, Need

CREATE_MOVE = Need("create", "kubevirt.io", "virtualmachineinstancemigrations")

ACTIONS: tuple[Action, ...] = (
    Action(
        id="move_vm",
        label="Move VM",
        key="m",
        scope=("live", "vms"),
        danger=True,
        confirm="Live-migrate {name} from {source} to {target}?",
        verb="bascule vms move NAME --to NODE",
        needs=(CREATE_MOVE,),
    ),
    Action(id="freeze", label="Freeze", key="space", scope=("live", "flows"), verb="bascule flows --last N"),
    Action(id="last_record", label="Record", key="r", scope=("live", "vms"), verb="bascule moves show NAME"),
)
