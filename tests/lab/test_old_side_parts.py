"""The old side's disks and XML, without a hypervisor; and that an assessment finds the three planted problems."""

from __future__ import annotations

import subprocess
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.estate.libvirt import read_xml
from bascule.migration.readiness import assess
from bascule.migration.world import World
from bascule_lab.guests import disk
from bascule_lab.guests.disk import Identity
from bascule_lab.guests.errors import GuestError
from bascule_lab.hypervisor import xml
from bascule_lab.hypervisor.estate import NETWORKS, VMS, OldVm, estate
from bascule_lab.hypervisor.places import Places

PLACES = Places(Path("/run/lab <&> 'x'/old"))
BOOT = xml.Boot(Path("/k"), Path("/i"))
addresses = st.ip_addresses(v=4).map(str)
identities = st.builds(
    Identity,
    ip=addresses,
    prefix=st.integers(1, 32),
    gateway=st.just("") | addresses,
    peers=st.lists(addresses | addresses.map(lambda ip: f"{ip}:7"), max_size=8).map(tuple),
    talk_every_s=st.sampled_from((0.5, 1.5, 2.0, 30.0)),
    boots=st.integers(0, 10**6),
    text=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n\0"), max_size=100),
)


@given(identities)
def test_what_a_disk_says_is_read_back(identity: Identity) -> None:
    data = disk.blocks(identity)
    assert len(data) == 3 * disk.BLOCK
    assert disk.parse(data + b"more") == identity


@given(st.binary(max_size=2000))
def test_any_other_disk_is_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(GuestError, match="no guest's identity"):
        disk.parse(data)


@pytest.mark.parametrize("text", ["x" * 512, "two\nlines", "nul\0"])
def test_what_does_not_fit_a_block_is_refused(text: str) -> None:
    with pytest.raises(GuestError, match="block 2"):
        disk.blocks(Identity("10.0.0.1", text=text))


@pytest.mark.parametrize("qcow2", [True, False])
def test_a_disk_file_is_what_qemu_img_says_it_is(tmp_path: Path, qcow2: bool) -> None:
    path, wanted = tmp_path / "d", Identity("10.110.0.31", peers=("10.110.0.32:7",), boots=3, text="héllo")
    disk.make(path, wanted, qcow2=qcow2)
    assert disk.read(path) == wanted
    assert list(tmp_path.iterdir()) == [path]
    raw = tmp_path / "raw"
    kind = "qcow2" if qcow2 else "raw"
    subprocess.run(["qemu-img", "convert", "-f", kind, "-O", "raw", str(path), str(raw)], check=True)
    assert raw.stat().st_size == disk.SIZE
    assert raw.read_bytes().startswith(b"CONF 10.110.0.31 24 - - 10.110.0.32:7 1.5\n")


def test_a_broken_qcow2_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_bytes(b"QFI\xfb" + bytes(600))
    with pytest.raises(GuestError, match="qemu-img dd failed"):
        disk.read(path)


CHARACTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp"), exclude_characters="/")


@given(st.text(CHARACTERS, min_size=1))
def test_a_domain_says_what_its_vm_is_whatever_its_name(name: str) -> None:
    vm = OldVm(name, 120, 31, (), name, model="vmxnet3")
    top = fromstring(xml.domain(vm, PLACES, BOOT))
    assert (top.findtext("name"), top.findtext("uuid")) == (name, vm.uuid)
    nic = top.find("devices/interface")
    assert nic is not None and top.find("devices/interface/driver") is None
    told = [(part.tag, dict(part.attrib)) for part in nic][:3]
    assert told == [("mac", {"address": vm.mac}), ("source", {"network": "ledgers"}), ("model", {"type": "vmxnet3"})]
    source = top.find("devices/disk/source")
    assert source is not None and source.get("file") == f"{PLACES.images}/{name}.qcow2"


def test_every_vm_is_apart_from_the_others_and_from_the_cluster() -> None:
    for of in (lambda vm: vm.ip, lambda vm: vm.mac, lambda vm: vm.uuid, lambda vm: vm.name):
        assert len({of(vm) for vm in VMS}) == len(VMS)
    example = (Path(__file__).parents[2] / "examples" / "dc1.yaml").read_text()
    assert not [vm.name for vm in VMS if vm.mac in example or f'"{vm.ip}"' in example]
    assert [sum(vm.vlan == vlan for vm in VMS) for vlan in (110, 120, 100)] == [3, 2, 1]


def found(planted: bool) -> dict[str, list[str]]:
    """Check → what an assessment of libvirt's own XML says against the VMs."""
    vms = estate(6, planted)
    parts = [*(xml.network(vlan) for vlan in NETWORKS), *(xml.domain(vm, PLACES, BOOT) for vm in vms)]
    _, read = read_xml("old.xml", f"<all>{''.join(parts)}</all>".encode())
    assert len(read.vms) == len(vms) and not read.rejected
    judged = assess(World(read), "2026-11-23T00:00:00Z").judged
    shown = {each.check.id: [f"{r.object}: {r.evidence}" for r in each.results if r.vm] for each in judged}
    return {check: lines for check, lines in shown.items() if lines}


def test_the_planted_problems_are_found_and_nothing_is_planted_by_default() -> None:
    clean, planted = found(False), found(True)
    assert not {"mac-unique-estate", "name-dns-safe", "nic-model", "nic-rename"} & set(clean)
    assert any("shop-1" in line for line in planted["mac-unique-estate"])
    assert "Archive 1 (2019): it will be called archive-1-2019" in planted["name-dns-safe"][0]
    assert planted["nic-model"] == ["ledger-1 NIC 0: vmxnet3 becomes virtio"]
    assert "named anew" in planted["nic-rename"][0]
