"""RVTools books and CSV folders: what is read, how rows find each other, and every kind of dirt they come with."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests_rvtools import HEADERS, VC, book, cells, estate, folder

from bascule.estate.load import load
from bascule.estate.model import TRUNK, Estate, Vm

OTHER = {"VI SDK Server": "vc2.example", "VI SDK UUID": "0a1b2c3d-0000-4000-8000-000000000002"}


def read(rows: Any) -> Estate:
    return load([("export.xlsx", book(rows))])


def vm(found: Estate, name: str) -> Vm:
    return next(each for each in found.vms if each.name == name)


def why(found: Estate) -> list[str]:
    return [f"{each.place} {each.field}: {each.why}" for each in found.rejected]


def test_a_book_is_read_as_written() -> None:
    found = read(estate(6))
    assert len(found.vms) == 6 and not found.rejected
    one = vm(found, "app00001")
    assert (one.id, one.power, one.memory_mib, one.tools) == ("vm-1001", "on", 4096, "running")
    assert one.tags == (("Application", "shop0"),)
    (nic,) = one.nics
    assert (nic.mac, nic.ips, nic.model, nic.network) == ("00:50:56:00:00:01", ("10.120.0.10",), "Vmxnet3", "pg-120")
    group = next(each for each in found.port_groups if each.key == nic.port_group)
    assert (group.vlan.id, group.switch, group.promiscuous) == (120, "dvs1", False)
    assert [disk.datastore for disk in one.disks] == ["ds1"] * 3
    assert found.hosts[0].addresses[0].cidr == "10.9.0.0/24"


def test_the_csv_folder_says_the_same_as_the_book() -> None:
    rows = estate(7)
    there, here = read(rows), load(folder(rows))

    def bare(found: Estate) -> list[tuple[Any, ...]]:
        return [
            (each.key, each.power, each.tags, [(nic.mac, nic.ips, nic.port_group) for nic in each.nics])
            for each in found.vms
        ]

    assert bare(there) == bare(here)


def test_headers_in_another_order_spelling_and_with_a_title_above() -> None:
    rows = estate(2)
    sheets: dict[str, list[list[Any]]] = {name: cells(name, content) for name, content in rows.items()}
    for table in sheets.values():
        table[:] = [line[::-1] for line in table]
    rename = {"Memory": "Memory MB", "VI SDK UUID": "vCenter UUID", "Mac Address": "MAC_ADDRESS", "VM ID": "VM Id"}
    for table in sheets.values():
        table[0] = [rename.get(cell, cell) for cell in table[0]]
    sheets["vInfo"].insert(0, ["Export of Monday"])
    sheets["vDisk"][0] = ["Capacity MB" if cell == "Capacity MiB" else cell for cell in sheets["vDisk"][0]]
    found = read(sheets)
    assert not found.rejected
    assert vm(found, "app00000").nics[0].mac == "00:50:56:00:00:00"
    assert vm(found, "app00000").disks[0].mib == 40960
    assert found.vms[0].place == "export.xlsx:vInfo:3"


def test_one_name_in_two_vcenters_stays_two_vms_with_their_own_nics() -> None:
    rows, other = estate(3), estate(3, server=OTHER, vlans=(210,))
    merged = {name: [*content, *other[name]] for name, content in rows.items()}
    found = read(merged)
    assert len(found.vms) == 6 and not found.rejected
    groups = {each.key: each for each in found.port_groups}
    twins = [each for each in found.vms if each.name == "app00000"]
    assert [groups[each.nics[0].port_group].vlan.id for each in twins] == [110, 210]
    for table in merged.values():
        for row in table:
            row.pop("VM ID", None)
            row.pop("VM UUID", None)
            row.pop("VI SDK UUID", None)
            row.pop("VI SDK Server", None)
    assert any("several VMs" in each or "stands here twice" in each for each in why(read(merged)))


def test_two_sheets_of_one_kind_and_headers_in_the_middle() -> None:
    rows, other = estate(2), estate(2, server=OTHER)
    sheets: dict[str, list[list[Any]]] = {name: cells(name, content) for name, content in rows.items()}
    sheets["vInfo"] += cells("vInfo", other["vInfo"])
    sheets["vNetwork (2)"] = cells("vNetwork", other["vNetwork"])
    found = read(sheets)
    assert len(found.vms) == 4 and all(len(each.nics) == 1 for each in found.vms)
    assert why(found) == ["export.xlsx:vInfo:4 : the header stands here once more"]


def test_the_placeholder_is_no_value_and_no_name() -> None:
    rows = estate(3)
    rows["vNetwork"][0]["IPv4 Address"] = "VM"
    rows["vNetwork"][1]["VM"] = "VM"
    rows["vNetwork"][2].update({"VM": "VM", "VM ID": "", "VM UUID": ""})
    found = read(rows)
    assert vm(found, "app00000").nics[0].ips == ("10.110.0.10",)  # vInfo's primary address
    assert len(vm(found, "app00001").nics) == 1
    assert why(found) == ["export.xlsx:vNetwork:4 : the name is the placeholder 'VM' and no id tells which VM is meant"]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (110, "110"), ("110", "110"), (0, "untagged"), ("0", "untagged"), (4095, "trunk 0-4094"), ("", "unknown"),
        ("10-20,30", "trunk 10-20,30"), ("0-4094", "trunk 0-4094"), ("100,200", "trunk 100,200"),
        ("Private VLAN 100, 101", "private 100/101"), ("100/101", "private 100/101"), ("VLAN 7", "7"),
    ],
)  # fmt: skip
def test_vlan_cells(cell: Any, text: str) -> None:
    rows = estate(1)
    rows["dvPort"][0]["VLAN"] = cell
    found = read(rows)
    assert found.port_groups[0].vlan.text == text and not found.rejected


@pytest.mark.parametrize(
    ("sheet", "column", "cell", "words"),
    [
        ("dvPort", "VLAN", "5000", "ids run from"),
        ("dvPort", "VLAN", "20-10", "ids run from"),
        ("dvPort", "VLAN", "many", "is no VLAN"),
        ("vNetwork", "Mac Address", "00:50:56:zz:00:01", "is no MAC"),
        ("vNetwork", "Mac Address", "0050", "is no MAC"),
        ("vNetwork", "IPv4 Address", "10.0.0.256", "is no address"),
        ("vNetwork", "Connected", "perhaps", "neither yes nor no"),
        ("vInfo", "Memory", "lots", "is no number"),
        ("vInfo", "Memory", -4, "out of range"),
        ("vDisk", "Capacity MiB", "1e99x", "is no number"),
        ("vSC_VMK", "Subnet mask", "255.0.255.0", "is no IPv4 subnet"),
    ],
)
def test_a_bad_cell_is_named_and_its_row_still_read(sheet: str, column: str, cell: Any, words: str) -> None:
    rows = estate(2)
    rows[sheet][0][column] = cell
    found = read(rows)
    assert len(found.vms) == 2 and all(len(each.nics) == 1 for each in found.vms)
    (rejected,) = found.rejected
    assert (rejected.what, rejected.sheet, rejected.row, rejected.field) == ("cell", sheet, 2, column)
    assert words in rejected.why and rejected.fix


@pytest.mark.parametrize(
    ("sheet", "change", "words"),
    [
        ("vNetwork", {"VM": "ghost", "VM ID": "vm-9", "VM UUID": "9"}, "ghost is not in vInfo"),
        ("vDisk", {"VM": "ghost", "VM ID": "vm-9", "VM UUID": "9"}, "ghost is not in vInfo"),
        ("vInfo", {"VM": ""}, "has no name"),
        ("dvPort", {"Port": ""}, "has no name"),
    ],
)
def test_a_bad_row_is_named(sheet: str, change: dict[str, Any], words: str) -> None:
    rows = estate(2)
    rows[sheet].append({**copy.deepcopy(rows[sheet][0]), **change})
    found = read(rows)
    last = len(rows[sheet]) + 1
    assert any(each.row == last and each.sheet == sheet and words in each.why for each in found.rejected)


def test_standard_port_groups_are_joined_by_host() -> None:
    rows = estate(2)
    rows["dvPort"].clear()
    for host, vid in (("esx0.example", 10), ("esx1.example", 20)):
        rows["vPort"].append({"Host": host, "Port Group": "pg-110", "Switch": "vSwitch0", "VLAN": vid, **VC})
        rows["vPort"].append({"Host": host, "Port Group": "pg-120", "Switch": "vSwitch0", "VLAN": 33, **VC})
        rows["vSwitch"].append({"Host": host, "Switch": "vSwitch0", "MTU": 9000, **VC})
    for row in rows["vNetwork"]:
        row["Switch"] = "vSwitch0"
    rows["vNetwork"][1]["Network"] = "pg-110"
    found = read(rows)
    groups = {each.key: each for each in found.port_groups}
    assert [groups[each.nics[0].port_group].vlan.id for each in found.vms] == [10, 20]
    (both,) = [each for each in found.port_groups if each.name == "pg-120"]
    assert both.hosts == ("esx0.example", "esx1.example")
    assert next(each for each in found.switches if each.name == "vSwitch0").mtu == 9000


def test_guest_trunks_many_addresses_and_names_of_any_language() -> None:
    rows = estate(2)
    rows["dvPort"][0]["VLAN"] = 4095
    rows["vNetwork"][0]["IPv4 Address"] = "10.110.0.10, 10.110.0.77; fe80::1"
    rows["vNetwork"][0]["IPv6 Address"] = "2001:db8::5"
    for sheet in ("vInfo", "vNetwork", "vDisk"):
        for row in rows[sheet]:
            row["VM"] = row["VM"].replace("app00000", "Бухгалтерия 會計")
    found = read(rows)
    one = vm(found, "Бухгалтерия 會計")
    assert one.nics[0].ips == ("10.110.0.10", "10.110.0.77")
    assert one.nics[0].ips6 == ("fe80::1", "2001:db8::5")
    assert found.port_groups[0].vlan.kind == TRUNK


def test_empty_sheets_and_absent_ones() -> None:
    rows = estate(2)
    sheets: dict[str, list[list[Any]]] = {"vInfo": cells("vInfo", rows["vInfo"]), "vNetwork": [[]], "vDisk": [[]]}
    found = read(sheets)
    assert [(each.nics[0].network, each.nics[0].mac) for each in found.vms] == [("pg-110", ""), ("pg-120", "")]
    assert {each.sheet for each in found.rejected} >= {"vNetwork"}
    files = [(name, b"" if "vDisk" in name else data) for name, data in folder(rows)]
    without = load(files)
    assert [(each.what, each.file) for each in without.rejected] == [("sheet", "RVTools_tabvDisk.csv")]


def test_without_vinfo_the_adapters_name_the_vms() -> None:
    rows = estate(3)
    found = read({"vNetwork": rows["vNetwork"], "dvPort": rows["dvPort"]})
    assert len(found.vms) == 3 and not found.rejected
    assert found.vms[0].nics[0].ips == ("10.110.0.10",) and found.vms[0].power == "on"


def test_every_header_of_the_writer_is_one_that_rvtools_writes() -> None:
    assert "VLAN" not in HEADERS["vNetwork"]  # reference/vms.md: the VLAN is found by joining
