"""vNetwork and vDisk: the adapters and disks of each VM."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from bascule.estate.cells import addresses, mac, number, yes_no
from bascule.estate.model import Disk, Nic
from bascule.estate.rvtools.networks import Joiner
from bascule.estate.rvtools.vms import Roll, server_of
from bascule.estate.sheet import Sheet


def read_nics(sheet: Sheet, roll: Roll, joiner: Joiner) -> dict[str, list[Nic]]:
    """VM key → its adapters in the order of the rows; a row whose MAC is none keeps the adapter without it."""
    texts = {name: sheet.texts(name) for name in ("label", "model", "network", "switch", "host", "ip", "ip6")}
    connected = sheet.values("connected", yes_no, None)
    starts = sheet.values("starts", yes_no, None)
    direct = sheet.values("direct", yes_no, None)
    macs = sheet.values("mac", mac, "")
    found: dict[str, list[Nic]] = defaultdict(list)
    for at, key in roll.lines(sheet):
        vm = roll.vms[key]
        four, six, bad = addresses(f"{texts['ip'][at]} {texts['ip6'][at]}")
        if bad:
            sheet.reject(at, f"{bad[0][:40]!r} is no address", "correct the cell", "ip")
        network, switch = texts["network"][at], texts["switch"][at]
        is_on = connected[at] if vm.power == "on" or starts[at] is None else starts[at]
        nic = Nic(
            index=len(found[key]),
            label=texts["label"][at],
            mac=macs[at],
            network=network,
            switch=switch,
            port_group=joiner.key(vm.server, texts["host"][at] or vm.host, switch, network),
            model=texts["model"][at],
            connected=is_on,
            ips=four,
            ips6=six,
            direct_path=direct[at],
            place=sheet.place(at),
        )
        found[key].append(nic)
    return found


def read_disks(sheet: Sheet, roll: Roll) -> dict[str, list[Disk]]:
    """VM key → its disks."""
    texts = {name: sheet.texts(name) for name in ("path", "mode", "sharing", "shared_bus")}
    mibs, raws = sheet.values("mib", number, 0), sheet.values("raw", yes_no, None)
    found: dict[str, list[Disk]] = defaultdict(list)
    for at, key in roll.lines(sheet):
        path = texts["path"][at]
        store = path[1 : path.index("]")] if path.startswith("[") and "]" in path else ""
        sharing = (texts["sharing"][at] + texts["shared_bus"][at]).lower().replace(" ", "")
        shared = "multiwriter" in sharing or "physicalsharing" in sharing or "virtualsharing" in sharing
        mode, raw = texts["mode"][at], bool(raws[at])
        found[key].append(Disk(path, store, mibs[at], mode, shared, raw, sheet.place(at)))
    return found


def nics_of_info(sheet: Sheet, roll: Roll, joiner: Joiner, have: dict[str, list[Nic]]) -> None:
    """For VMs that vNetwork does not hold: Network #1 … #8 of vInfo name port groups, without MAC and address."""
    columns = [sheet.texts(f"network{n}") for n in range(1, 9)]
    servers, ids, uuids, names = server_of(sheet), sheet.texts("id"), sheet.texts("uuid"), sheet.names("vm")
    for at in range(len(sheet)):
        key, _ = roll.find(servers[at], ids[at], uuids[at], names[at])
        if not key or have.get(key):
            continue
        vm = roll.vms[key]
        have[key] = [
            Nic(n, network=column[at], port_group=joiner.key(vm.server, vm.host, "", column[at]), place=sheet.place(at))
            for n, column in enumerate(each for each in columns if each[at])
        ]


def give_primary(nics: list[Nic], primary: tuple[str, ...]) -> tuple[list[Nic], tuple[str, ...]]:
    """vInfo's primary address goes to the only NIC when that has none; else it stays the VM's."""
    left = tuple(ip for ip in primary if not any(ip in nic.ips + nic.ips6 for nic in nics))
    if len(nics) == 1 and left and not nics[0].ips:
        four = tuple(ip for ip in left if ":" not in ip)
        return [replace(nics[0], ips=four)], tuple(ip for ip in left if ":" in ip)
    return nics, left
