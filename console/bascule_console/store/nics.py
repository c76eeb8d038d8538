"""The NICs of one VM: what its template asks for, what its instance has, and when the one becomes the other. Pure."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.resources.kubevirt import Instance, VirtualMachine, VmNic
from bascule.resources.meta import Condition, condition
from bascule.resources.read import dig
from bascule_console.store.claims import addresses
from bascule_console.store.inventory import Inventory, Object
from bascule_console.store.vms import ADDRESS_ANNOTATION, VMIS, VMS, attachment_of

STAND_IN = "bascule.dev/stand-in"
STAND_IN_WORDS = (
    "KubeVirt is a stand-in here: it reads the template only when it starts a guest, and its guests have exactly one "
    "NIC. With a second one it refuses the next start (UnsupportedNICs); bascule journal undo takes it back"
)


@dataclass(frozen=True, slots=True)
class NewNic:
    """A NIC to attach; `nad` is `namespace/name`; `ip` may be "", then IPAM chooses one."""

    name: str
    nad: str
    mac: str
    ip: str = ""


def nic_rows(inventory: Inventory, key: str) -> list[dict[str, Any]]:
    """The NICs of VM `namespace/name` in the template's order, then those that only the instance still has.

    The JSON of `bascule vms show`: `asked` is the template's address, `ip` what it has, `effect` when the NIC is.
    """
    document, vmi_document = inventory.get(VMS, key), inventory.get(VMIS, key)
    if document is None:
        return []
    vm, vmi = VirtualMachine.of(document), Instance.of(vmi_document) if vmi_document else None
    wanted = {nic.name: nic for nic in vm.nics}
    had = {nic.name: nic for nic in vmi.nics} if vmi else {}
    has = {status.name: status for status in vmi.interfaces} if vmi else {}
    found = []
    for name in dict.fromkeys([*wanted, *had]):
        nic = wanted.get(name) or had[name]
        network, vlan = attachment_of(inventory, vm.meta.namespace, nic.nad)
        asked = addresses(vm.template.annotations.get(ADDRESS_ANNOTATION.format(nic=name), ""))
        status = has.get(name)
        found.append(
            {
                "name": name,
                "nad": nic.nad,
                "network": network,
                "vlan": vlan,
                "binding": nic.binding,
                "mac": (status.mac if status else "") or nic.mac,
                "asked": asked[0] if asked else "",
                "ip": status.ip if status else "",
                "effect": "only until the next start" if name not in wanted else takes_effect(vm, vmi, name),
            }
        )
    return found


def takes_effect(vm: VirtualMachine, vmi: Instance | None, nic: str) -> str:
    """When the template's NIC is in effect, as far as the API says.

    KubeVirt puts a hot-plugged NIC into the VMI's spec first, plugs it by a migration (VMI condition MigrationRequired)
    or at once, and sets the VM condition RestartRequired for what it cannot plug.
    """
    if vmi is None:
        return "at the next start"
    if any(status.name == nic for status in vmi.interfaces):
        return "in effect"
    restart = _true(vm.conditions, "RestartRequired")
    if restart is not None:
        return f"after a restart: {restart.message or 'RestartRequired'}"
    if any(each.name == nic for each in vmi.nics):
        migration = _true(vmi.conditions, "MigrationRequired")
        return "by hotplug, at the next live migration" if migration else "by hotplug, which is under way"
    return "after a restart"


def with_nic(document: Object, nic: NewNic) -> dict[str, Any]:
    """The VM with one more NIC in its template: network, interface, address annotation. `document` is not changed."""
    changed: dict[str, Any] = copy.deepcopy(dict(document))
    template = changed["spec"].setdefault("template", {})
    spec = template.setdefault("spec", {})
    spec["networks"] = [*(spec.get("networks") or []), {"name": nic.name, "multus": {"networkName": nic.nad}}]
    devices = spec.setdefault("domain", {}).setdefault("devices", {})
    interface: dict[str, Any] = {"name": nic.name, "bridge": {}, "macAddress": nic.mac}
    devices["interfaces"] = [*(devices.get("interfaces") or []), interface]
    if nic.ip:
        meta = template.setdefault("metadata", {})
        annotations = {**(meta.get("annotations") or {})}
        annotations[ADDRESS_ANNOTATION.format(nic=nic.name)] = json.dumps([nic.ip])
        meta["annotations"] = annotations
    return changed


def free_name(nics: tuple[VmNic, ...]) -> str:
    """The first of net-0, net-1, … that no NIC has."""
    taken = {nic.name for nic in nics}
    return next(name for name in (f"net-{number}" for number in range(len(taken) + 1)) if name not in taken)


def stable_mac(vm_key: str, nic: str) -> str:
    """A locally administered unicast MAC that the same NIC of the same VM gets every time.

    Without one in the template the VM loses its network after a live migration (CORE-13418).
    """
    digest = hashlib.sha256(f"{vm_key}/{nic}".encode(errors="surrogatepass")).digest()
    return "02:" + digest[:5].hex(":")


def played_by_stand_in(vmi: Object | None) -> bool:
    """Does the instance say that KubeVirt is played by a stand-in?"""
    return vmi is not None and bool(dig(vmi, "metadata", "annotations", STAND_IN))


def _true(conditions: tuple[Condition, ...], kind: str) -> Condition | None:
    found = condition(conditions, kind)
    return found if found is not None and found.status == "True" else None


def nic_words(row: Mapping[str, Any]) -> str:
    """One NIC in one line."""
    where = f"{row['network']}/{row['vlan']}" if row["network"] else row["nad"] or "pod network"
    ip = row["ip"] or (f"{row['asked']} asked" if row["asked"] else "no address yet")
    return f"{row['name']}  {where}  {ip}  {row['mac'] or 'no MAC'}  {row['effect']}"
