"""The VMs themselves: names, power, tools, adapters, what they share."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from bascule.estate.model import ON, SUSPENDED, Vm
from bascule.migration.checks.registry import ERROR, UNKNOWN, WARNING, Result, check, no_cluster, untold
from bascule.migration.names import target_names
from bascule.migration.world import World

_DNS = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LINUX = ("linux", "ubuntu", "debian", "red hat", "rhel", "centos", "suse", "rocky", "alma", "fedora", "photon")
_PREDICTABLE = ("centos 7", "centos 8", "red hat enterprise linux 7", "debian gnu/linux 9", "ubuntu")
_VIRTIO = ("virtio", "virtio-net", "virtio-net-pci")
MOST_NICS = 9


@check("name-dns-safe", "VMs", "name can be an object's name", "every name is DNS-safe")
def _dns(world: World) -> Iterator[Result]:
    names = target_names(world.vms)
    for vm in world.vms:
        if not _DNS.fullmatch(vm.name):
            yield Result(
                vm.name, WARNING, f"it will be called {names[vm.key]}", "rename it before, if that matters", vm.key
            )


@check("name-unique", "VMs", "name is used once", "no two VMs have one name")
def _unique(world: World) -> Iterator[Result]:
    count = Counter(vm.name for vm in world.vms)
    names = target_names(world.vms)
    for vm in world.vms:
        if count[vm.name] > 1:
            told = f"{count[vm.name]} VMs have this name; this one ({vm.place}) will be {names[vm.key]}"
            yield Result(vm.name, WARNING, told, "rename them before, if that matters", vm.key)


@check("name-free", "VMs", "name is free in the namespace", "no VM of the namespace has one of the names")
def _free(world: World) -> Iterator[Result]:
    if not world.target.known:
        yield no_cluster(f"which VMs are in {world.namespace}")
        return
    taken = {vm.name for vm in world.target.vms if vm.meta.namespace == world.namespace}
    names = target_names(world.vms)
    for vm in world.vms:
        if names[vm.key] in taken:
            told = f"VirtualMachine {world.namespace}/{names[vm.key]} exists"
            fix = "it was moved already, or choose another namespace; a deleted VM's address takes 15 minutes"
            yield Result(vm.name, ERROR, told, fix, vm.key)


@check("power-state", "VMs", "VM is on or off", "no VM is suspended")
def _power(world: World) -> Iterator[Result]:
    for vm in world.vms:
        if vm.power == SUSPENDED:
            yield Result(
                vm.name, ERROR, "it is suspended: its disks are not at rest", "resume it, then shut it down", vm.key
            )
        elif not vm.power:
            yield Result(
                vm.name, UNKNOWN, f"{vm.place} does not tell whether it runs", "give it in a CSV: vm,power", vm.key
            )


@check("tools", "VMs", "guest tools run", "the tools of every running VM run")
def _tools(world: World) -> Iterator[Result]:
    for vm in world.vms:
        if vm.power == ON and vm.tools == "not running":
            told = "its addresses may be missing or old, and it cannot be shut down from outside"
            yield Result(vm.name, WARNING, f"tools do not run: {told}", "start the tools and export again", vm.key)
    yield from untold([vm.name for vm in world.vms if vm.power == ON and not vm.tools], "whether tools run")


@check("nic-model", "NICs", "NIC's model stays", "every NIC is virtio already")
def _model(world: World) -> Iterator[Result]:
    for seat in world.seats:
        model = seat.nic.model.lower()
        if model and model not in _VIRTIO:
            fix = "install the virtio driver before the move"
            fix = fix if "windows" in seat.vm.os.lower() else "nothing on Linux since 2.6.25: the driver is built in"
            yield Result(seat.name, WARNING, f"{seat.nic.model} becomes virtio", fix, seat.vm.key)
    yield from untold([seat.name for seat in world.seats if not seat.nic.model], "the model of the NIC")


@check("nic-rename", "VMs", "guest finds its NIC by MAC, not by name", "no guest is known to name NICs by their slot",
       "is its network set by the NIC's name (ens192, eth0)?")  # fmt: skip
def _rename(world: World) -> Iterator[Result]:
    for vm in world.vms:
        if not any(nic.model and nic.model.lower() not in _VIRTIO for nic in vm.nics):
            continue
        system = vm.os.lower()
        if "windows" in system:
            told = "Windows keeps the old adapter with its address as a hidden device"
            fix = "remove it (devmgmt_show_nonpresent_devices) or let virt-v2v's first boot do it"
            yield Result(vm.name, WARNING, told, fix, vm.key)
        elif any(each in system for each in _LINUX):
            certain = any(each in system for each in _PREDICTABLE)
            told = "the NIC moves to another PCI slot and is named anew (ens192 → enp1s0)"
            fix = "match by MAC in netplan, NetworkManager or a .link file"
            yield Result(vm.name, WARNING if certain else UNKNOWN, told, fix, vm.key)
    yield from untold([vm.name for vm in world.vms if not vm.os], "the operating system")


@check("nic-connected", "NICs", "NIC is connected", "every NIC is connected")
def _connected(world: World) -> Iterator[Result]:
    for seat in world.seats:
        if seat.nic.connected is False:
            told = "it is not connected on the old side; on the new side it would be"
            yield Result(seat.name, WARNING, told, "leave it out of the plan if it is not needed", seat.vm.key)


@check("nic-count", "VMs", f"at most {MOST_NICS} NICs", "no VM has too many NICs, and none has none")
def _count(world: World) -> Iterator[Result]:
    for vm in world.vms:
        if len(vm.nics) > MOST_NICS:
            told = f"{len(vm.nics)} NICs; a pod takes {MOST_NICS} Calico networks"
            yield Result(vm.name, ERROR, told, "split it, or leave NICs out", vm.key)
        elif not vm.nics:
            yield Result(vm.name, WARNING, f"{vm.place}: no NIC", "nothing to keep, or a sheet is missing", vm.key)


@check("nic-one-a-network", "VMs", "NICs are in different port groups", "no VM has two NICs in one port group")
def _two(world: World) -> Iterator[Result]:
    for vm in world.vms:
        count = Counter(nic.port_group for nic in vm.nics if nic.port_group)
        twice = [key for key, number in count.items() if number > 1]
        if twice:
            name = world.groups[twice[0]].name if twice[0] in world.groups else twice[0]
            told = f"{count[twice[0]]} NICs in {name}: a bond or a cluster's second path"
            yield Result(vm.name, WARNING, told, "one NIC is enough here: the bridge is redundant below", vm.key)


@check("direct-path", "NICs", "NIC is not passed through", "no NIC is passed through")
def _direct(world: World) -> Iterator[Result]:
    for seat in world.seats:
        if seat.nic.direct_path or "sriov" in seat.nic.model.lower().replace("-", ""):
            told = "its NIC bypasses the virtual switch (DirectPath, SR-IOV)"
            yield Result(seat.name, ERROR, told, "give it an ordinary NIC, and measure before", seat.vm.key)


@check("shared-disk", "VMs", "VM shares no disk", "no VM shares a disk")
def _shared(world: World) -> Iterator[Result]:
    holders: dict[str, list[Vm]] = defaultdict(list)
    for vm in world.vms:
        for disk in vm.disks:
            if disk.path:
                holders[disk.path].append(vm)
    for vm in world.vms:
        for disk in vm.disks:
            others = [each.name for each in holders.get(disk.path, ()) if each is not vm]
            if others or disk.shared:
                told = f"{disk.path or 'a disk'} is shared" + (f" with {', '.join(others[:3])}" if others else "")
                fix = "a cluster: its heartbeat may need multicast; the plan keeps them in one wave"
                yield Result(vm.name, WARNING, told, fix, vm.key)
                break


@check("nested-hypervisor", "VMs", "VM is no hypervisor", "no VM hosts other VMs")
def _nested(world: World) -> Iterator[Result]:
    for vm in world.vms:
        if any(each in vm.os.lower() for each in ("esxi", "hyper-v", "proxmox", "xenserver")):
            told = f"{vm.os}: its VMs have MACs and addresses of their own, which are dropped"
            yield Result(vm.name, ERROR, told, "move its VMs, not the hypervisor", vm.key)
