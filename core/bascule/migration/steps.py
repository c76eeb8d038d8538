"""The steps of one VM, each with what is checked before, done, verified after, and how it is undone.

The order is the address fence: the source is proven silent before the target may speak, and every step up to the last
can be undone. Who carries them out is not told here; `machine.py` says which is next.
"""

from __future__ import annotations

from dataclasses import dataclass

from bascule.migration.plan import VmPlan


@dataclass(frozen=True, slots=True)
class Step:
    """One invertible change of one VM; the texts name the objects."""

    id: str
    check: str
    apply: str
    verify: str
    revert: str


def steps_of(vm: VmPlan, namespace: str) -> list[Step]:
    """The steps of a VM, in their order."""
    vlans = ", ".join(f"{nic.vlan} on {nic.network}" for nic in vm.nics) or "none"
    who = "; ".join(f"{nic.ip or 'any address'} ({nic.mac or 'any MAC'}) on VLAN {nic.vlan}" for nic in vm.nics)
    target = f"{namespace}/{vm.target}"
    labels = ", ".join(f"{key}={value}" for key, value in vm.labels.items()) or "none"
    return [
        Step(
            "network",
            f"every trunk that could host it proves VLAN {vlans}",
            f"Network, IPPool and NAD of VLAN {vlans} are there",
            f"NADs {', '.join(sorted({nic.nad for nic in vm.nics}))} name Network and VLAN",
            "nothing: others may use them by now",
        ),
        Step(
            "policy",
            "its policies are staged or enforced",
            f"labels {labels}",
            f"the template of {target} has them",
            "nothing: the labels go with the VirtualMachine",
        ),
        Step(
            "create", f"no VirtualMachine {target}", f"VirtualMachine {target}, halted", "it is accepted", "delete it"
        ),
        Step(
            "stop",
            f"{who} answers, and only the source does",
            f"shut {vm.name} down on the old side, its autostart off",
            f"{who} is silent",
            f"start {vm.name} on the old side, its autostart as it was",
        ),
        Step(
            "disks", "the source is off", f"copy the disks of {vm.name}", "sizes and checks agree", "delete the copies"
        ),
        Step(
            "start",
            f"nobody answers for {who}",
            f"start {target}",
            f"{who} answers from the node's trunk",
            f"stop {target} and prove {who} silent",
        ),
        Step(
            "accept",
            "its peers of before talk to it",
            f"record the move of {vm.name}",
            "signed off",
            "nothing: what was recorded stays",
        ),
    ]
