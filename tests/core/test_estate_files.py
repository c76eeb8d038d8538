"""Other documents, several sources at once, files that are wrong by the hundred, and the estate's own document."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_rvtools import book, estate, folder

from bascule.errors import BasculeError
from bascule.estate import book as book_module
from bascule.estate.cells import CellError, addresses, mac, vlan
from bascule.estate.document import dump, load_document
from bascule.estate.errors import EstateFileError
from bascule.estate.load import File, load
from bascule.estate.ovf import ovf_member

EXAMPLES = Path(__file__).parents[2] / "examples/estate"
SHIPPED: list[File] = [(path.name, path.read_bytes()) for path in sorted(EXAMPLES.iterdir()) if path.is_file()]
OVF = b"""<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
 <References><File ovf:id="f1" ovf:href="disk1.vmdk"/></References>
 <DiskSection><Disk ovf:diskId="d1" ovf:fileRef="f1" ovf:capacity="10" ovf:capacityAllocationUnits="byte * 2^30"/>
 </DiskSection>
 <NetworkSection><Network ovf:name="pg-110"/></NetworkSection>
 <VirtualSystem ovf:id="shop"><Name>shop</Name><VirtualHardwareSection>
  <Item><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
  <Item><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>1024</rasd:VirtualQuantity></Item>
  <Item><rasd:ResourceType>17</rasd:ResourceType><rasd:HostResource>ovf:/disk/d1</rasd:HostResource></Item>
  <Item><rasd:ResourceType>10</rasd:ResourceType><rasd:Connection>pg-110</rasd:Connection>
   <rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType><rasd:Address>00:50:56:00:00:00</rasd:Address></Item>
 </VirtualHardwareSection></VirtualSystem></Envelope>"""
BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><domain><name>&b;</name></domain>'


def ova(ovf: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in (("shop.ovf", ovf), ("disk1.vmdk", b"\0" * 4096)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize("file", [("shop.ovf", OVF), ("shop.ova", ova(OVF))])
def test_an_ovf_alone_and_in_an_ova(file: File) -> None:
    found = load([file])
    (vm,) = found.vms
    assert (vm.name, vm.cpus, vm.memory_mib, vm.disk_mib, vm.disks[0].path) == ("shop", 2, 1024, 10240, "disk1.vmdk")
    assert (vm.nics[0].network, vm.nics[0].mac, vm.nics[0].model) == ("pg-110", "00:50:56:00:00:00", "VmxNet3")
    assert found.port_groups[0].vlan.text == "unknown"


def test_the_member_of_an_ova_without_reading_its_disks() -> None:
    assert ovf_member("shop.ova", io.BytesIO(ova(OVF))) == OVF


def test_the_examples() -> None:
    found = load(SHIPPED)
    vms = {vm.name: vm for vm in found.vms}
    groups = {group.key: group for group in found.port_groups}
    assert len(vms) == 8 and not found.rejected and not found.conflicts
    assert vms["web-3"].nics[0].ips == ("10.110.0.13",)  # of the DHCP reservation
    assert groups[vms["router-1"].nics[0].port_group].vlan.text == "trunk 110,120"
    assert groups[vms["legacy-1"].nics[0].port_group].vlan.text == "untagged"


def test_several_sources_fill_each_other_in_and_conflicts_are_shown() -> None:
    rows = estate(2)
    by_hand = b"vm,mac,ip,portgroup,vlan,subnet,gateway,os\n"
    by_hand += b"app00000,00:50:56:00:00:00,10.110.0.99,pg-110,111,10.110.0.0/24,10.110.0.1,Solaris\n"
    by_hand += b"new,00:50:56:00:ff:00,10.110.0.50,pg-110,,,,\n"
    found = load([("export.xlsx", book(rows)), ("more.csv", by_hand)])
    vms = {vm.name: vm for vm in found.vms}
    assert len(vms) == 3 and len(vms["app00000"].nics) == 1
    group = next(each for each in found.port_groups if each.name == "pg-110")
    assert (group.vlan.id, group.cidr, group.gateway) == (110, "10.110.0.0/24", "10.110.0.1")
    assert vms["new"].nics[0].port_group == group.key
    told = {(each.object, each.field, each.kept, each.other) for each in found.conflicts}
    assert ("VM app00000 NIC 0", "ips", "10.110.0.10", "10.110.0.99") in told
    assert ("port group pg-110", "vlan", "110", "111") in told
    assert all(each.kept_from.startswith("export.xlsx:") for each in found.conflicts)


def test_a_source_given_twice_changes_nothing() -> None:
    data = book(estate(4))
    once, twice = load([("a.xlsx", data)]), load([("a.xlsx", data), ("a.xlsx", data)])
    assert (once.vms, once.port_groups, once.hosts) == (twice.vms, twice.port_groups, twice.hosts)
    assert not twice.conflicts


def test_an_estate_survives_its_document_byte_for_byte() -> None:
    found = load([("export.xlsx", book(estate(5))), *SHIPPED])
    text = dump(found)
    again = load_document("estate.json", text.encode())
    assert again == found and dump(again) == text


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "no file"),
        ([("a.csv", b" \n")], "a.csv: empty"),
        ([("a.csv", b"one,two\n1,2\n")], "a.csv: no column 'vm'"),
        ([("a.csv", b"vm,ip\nx\0,1\n")], "a.csv:2: not text"),
        ([("a.xlsx", b"PK\x03\x04 broken")], "a.xlsx: not an .xlsx book"),
        ([("a.xlsx", b"text")], "a.xlsx: not an .xlsx book"),
        ([("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old")], "a.xls: not an .xlsx book"),
        ([("a.xml", BOMB)], "a.xml: refused"),
        ([("a.xml", OVF[:400])], "truncated"),
        ([("a.xml", b"<other/>")], "no libvirt domain"),
        ([("a.ova", b"no tar")], "a.ova: no OVA"),
        ([("a.ova", ova(BOMB))], "a.ova: refused"),
        ([("estate.json", b'{"format": "other"}')], "estate.json: no estate"),
        ([("estate.json", b'{"format": "bascule-estate/1", "vms": [{"key": 1}]}')], "estate.vms[0].key is no str"),
        ([("estate.json", b'{"format": "bascule-estate/1", "vms": [{"name": "a"}]}')], "has no key"),
        ([("export.xlsx", book({"vSnapshot": [["VM", "Name"]]}))], "nothing to import"),
    ],
)
def test_a_wrong_file_is_one_error_that_names_it(files: list[File], words: str) -> None:
    with pytest.raises(EstateFileError) as error:
        load(files)
    assert words in str(error.value)


def member(name: str, data: bytes) -> bytes:
    """A book with one member replaced."""
    stream, made = io.BytesIO(), io.BytesIO(book(estate(1)))
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for each in old.infolist():
            new.writestr(each.filename, data if each.filename == name else old.read(each.filename))
    return stream.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
HEAD = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
FAR = HEAD + b'<row r="1"><c r="A1"/></row><row r="1048576"><c r="XFD1048576"/></row></sheetData></worksheet>'
WIDE = HEAD + b'<row r="1"><c r="A1"/></row><row r="90000"><c r="ZZ90000"/></row></sheetData></worksheet>'


END = b"</row></sheetData></worksheet>"
ROW = HEAD + b'<row r="1"><c r="A1"><v>1</v></c>'
HIDDEN = [
    ROW + b"<c t='n'r='XFD1048576'><v>1</v></c>" + END,
    ROW + b'<c\n\tr\n=\n"XFD1048576"><v>1</v></c>' + END,
    ROW + b'<c r="&#88;FD1048576"><v>1</v></c>' + END,
    ROW + b'<c r="A2" r="XFD1048576"><v>1</v></c>' + END,
    ROW + b'<c r="xfd1048576"><v>1</v></c>' + END,
    ROW + b'</row><row r="1048576"><c><v>1</v></c>' + END,
    (ROW + b'<c r="XFD1048576"><v>1</v></c>' + END).decode().encode("utf-16"),
    ROW.replace(b"<c ", b"<x:c ") + b'<x:c r="XFD1048576"/>' + END,
]


def elsewhere(sheet: bytes) -> bytes:
    """A book whose first sheet lies where no sheet does."""
    stream, made = io.BytesIO(), io.BytesIO(book(estate(1)))
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for each in old.infolist():
            new.writestr(each.filename, old.read(each).replace(b"worksheets/sheet1.xml", b"media/image.png"))
        new.writestr("xl/media/image.png", sheet)
    return stream.getvalue()


@pytest.mark.parametrize("sheet", HIDDEN)
def test_a_far_cell_cannot_hide(sheet: bytes) -> None:
    """Each was read by calamine 0.9.1 as one dense block, or might be: the process would be killed."""
    for bomb in (member(SHEET, sheet), elsewhere(sheet)):
        with pytest.raises(EstateFileError, match="refused"):
            load([("bomb.xlsx", bomb)])


@pytest.mark.parametrize("sheet", [FAR, WIDE, b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + HEAD])
def test_a_book_that_would_not_fit_is_refused_before_it_is_opened(sheet: bytes) -> None:
    with pytest.raises(EstateFileError, match="refused"):
        load([("bomb.xlsx", member(SHEET, sheet))])


def test_a_zip_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "MAX_INFLATED", 4 << 20)
    bomb = member(SHEET, HEAD + b" " * (8 << 20))
    assert len(bomb) < 100_000
    with pytest.raises(EstateFileError, match="zip bomb"):
        load([("bomb.xlsx", bomb)])


def test_a_broken_sheet_is_named_and_the_others_are_read() -> None:
    found = load([("export.xlsx", member("xl/worksheets/sheet9.xml", b""))])
    assert len(found.vms) == 1
    assert [(each.what, each.sheet) for each in found.rejected] == [("sheet", "vSC_VMK")]


def test_malformed_files_by_the_hundred_never_a_traceback() -> None:
    source = random.Random(8)
    rows = estate(3)
    good: list[File] = [("export.xlsx", book(rows)), ("shop.ovf", OVF), ("shop.ova", ova(OVF)), *folder(rows)[:3]]
    good += SHIPPED
    good.append(("estate.json", dump(load(good[:1])).encode()))
    refused = 0
    for number in range(400):
        name, data = good[number % len(good)]
        broken = bytearray(data)
        for _ in range(source.choice((1, 1, 3, 20))):
            at = source.randrange(len(broken)) if broken else 0
            broken = broken or bytearray(b" ")
            kind = source.randrange(4)
            if kind == 0:
                broken[at] = source.randrange(256)
            elif kind == 1:
                del broken[at : at + source.randrange(1, 40)]
            elif kind == 2:
                broken[at:at] = source.choice((b'"', b"<", b"\0", b",,,", b"\xff\xfe", b"]]>", b"99999999999999999999"))
            else:
                broken = broken[: max(at, 1)]
        try:
            load([(name, bytes(broken))])
        except BasculeError as error:
            refused += 1
            assert error.message
    assert refused > 50


@given(st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_cells_of_any_text_are_read_or_refused(text: str) -> None:
    for read in (vlan, mac):
        try:
            read(text)
        except CellError as error:
            assert str(error)
    four, six, _ = addresses(text)
    assert all("." in each for each in four) and all(":" in each for each in six)


@given(st.lists(st.tuples(st.integers(1, 4094), st.integers(0, 50)), min_size=2, max_size=5))
def test_a_trunk_carries_what_is_written(spans: list[tuple[int, int]]) -> None:
    written = [(low, min(low + length, 4094)) for low, length in spans]
    found = vlan(",".join(f"{low}-{high}" for low, high in written))
    assert found.kind == "trunk" and found.ranges == tuple(sorted(written))


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_an_estate_or_one_error(data: bytes) -> None:
    for name in ("a.xlsx", "a.csv", "a.xml", "a.ova", "a.json", "RVTools_tabvInfo.csv"):
        try:
            load([(name, data)])
        except BasculeError as error:
            assert error.message
