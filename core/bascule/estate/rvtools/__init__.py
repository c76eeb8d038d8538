"""RVTools' exports: the sheets of one book, or the CSV files of one folder (reference/vms.md section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bascule.estate.errors import EstateFileError
from bascule.estate.model import DISTRIBUTED, STANDARD, Disk, Estate, Nic, Rejected
from bascule.estate.rvtools.devices import give_primary, nics_of_info, read_disks, read_nics
from bascule.estate.rvtools.hosts import read_hosts
from bascule.estate.rvtools.networks import Joiner, read_distributed, read_standard, read_switches
from bascule.estate.rvtools.vms import Roll, read_tags, read_tools, read_vms
from bascule.estate.sheet import Sheet


def read_sheets(name: str, sheets: Sequence[tuple[str, Sheet]], rejected: Sequence[Rejected] = ()) -> Estate:
    """The estate of one export. `sheets` are (kind, sheet), several of a kind where books were merged; `rejected` what
    was found wrong before. Raises EstateFileError when no sheet names VMs or port groups."""
    of = {kind: [sheet for each, sheet in sheets if each == kind] for kind in {kind for kind, _ in sheets}}
    roll = Roll()
    rolls = of.get("vinfo") or of.get("vnetwork") or of.get("vdisk") or []
    named = [sheet for sheet in rolls if "vm" in sheet.fields]
    if not named and not of.get("dvport") and not of.get("vport"):
        cause = f"it has {', '.join(sorted(of)) or 'no sheet that RVTools writes'}"
        raise EstateFileError(f"{name}: no VMs and no port groups", cause, "export all sheets, or vInfo at least")
    for sheet in named:
        if "vinfo" in of:
            read_vms(sheet, roll)
        else:
            _without_info(sheet, roll)
    groups = [group for sheet in of.get("dvport", ()) for group in read_distributed(sheet)]
    groups += read_standard(of.get("vport", ()))
    for sheet in of.get("vinfo", ()):
        read_tags(sheet, roll)
    for sheet in of.get("vtools", ()):
        read_tools(sheet, roll)
    nics, disks = _devices(of, roll, Joiner(groups))
    for key, vm in roll.vms.items():
        own, left = give_primary(nics.get(key, []), vm.addresses)
        roll.vms[key] = replace(vm, nics=tuple(own), disks=tuple(disks.get(key, ())), addresses=left)
    switches = [each for sheet in of.get("dvswitch", ()) for each in read_switches(sheet, DISTRIBUTED)]
    switches += [each for sheet in of.get("vswitch", ()) for each in read_switches(sheet, STANDARD)]
    hosts = read_hosts((kind, sheet) for kind, sheet in sheets if kind in ("vhost", "vnic", "vscvmk"))
    every = (*rejected, *(each for _, sheet in sheets for each in sheet.rejected))
    return Estate(
        vms=tuple(roll.vms.values()),
        port_groups=tuple({group.key: group for group in groups}.values()),
        switches=tuple({each.key: each for each in switches}.values()),
        hosts=tuple(hosts),
        rejected=tuple(dict.fromkeys(every)),
    )


def _devices(
    of: dict[str, list[Sheet]], roll: Roll, joiner: Joiner
) -> tuple[dict[str, list[Nic]], dict[str, list[Disk]]]:
    nics: dict[str, list[Nic]] = {}
    for sheet in of.get("vnetwork", ()):
        for key, found in read_nics(sheet, roll, joiner).items():
            have = nics.setdefault(key, [])
            have += [replace(nic, index=len(have) + at) for at, nic in enumerate(found)]
    for sheet in of.get("vinfo", ()):
        nics_of_info(sheet, roll, joiner, nics)
    disks: dict[str, list[Disk]] = {}
    for sheet in of.get("vdisk", ()):
        for key, more in read_disks(sheet, roll).items():
            disks.setdefault(key, []).extend(more)
    return nics, disks


def _without_info(sheet: Sheet, roll: Roll) -> None:
    """vNetwork or vDisk alone: VMs from rows in which each stands several times; that is no fault there."""
    before = len(sheet.rejected)
    read_vms(sheet, roll)
    kept = [each for each in sheet.rejected[before:] if "stands here twice" not in each.why and not each.field]
    sheet.rejected[before:] = kept
