"""Live sources over libvirt's own test driver: the real library, no daemon; errors, credentials, power, documents."""

from __future__ import annotations

import os
import pty
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests_keyring import Memory

from bascule.errors import RefusedError, UnreachableError, UsageError
from bascule.estate.load import load
from bascule_console.cli.main import main
from bascule_console.services.collect import libvirt as live
from bascule_console.services.collect.hypervisor import (
    ALREADY_OFF,
    GONE,
    OFF,
    ON,
    POWERED_OFF,
    SHUT_DOWN,
    Hypervisor,
    SourceDisk,
    SourceFault,
    SourceRefused,
    SourceUnreachable,
    VmGone,
    connect,
)
from bascule_console.services.collect.login import on_terminal

libvirt = pytest.importorskip("libvirt", reason="python3-libvirt is not installed")

WEB, DB = "bbbbbbbb-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
NODE = """<node>{auth}
 <cpu><mhz>1</mhz><model>x</model><active>4</active><nodes>1</nodes><sockets>1</sockets><cores>4</cores>
  <threads>1</threads></cpu><memory>8192000</memory>
 <network><name>lan</name><uuid>aaaaaaaa-0000-4000-8000-000000000001</uuid><forward mode="bridge"/>
  <bridge name="br110"/><portgroup name="web"><vlan><tag id="110"/></vlan></portgroup></network>
 <network><name>default</name><uuid>aaaaaaaa-0000-4000-8000-000000000002</uuid><bridge name="virbr0"/>
  <ip address="192.168.122.1" netmask="255.255.255.0"><dhcp>
  <range start="192.168.122.10" end="192.168.122.200"/></dhcp></ip></network>
 <interface type="bridge" name="br120"><bridge><interface type="vlan" name="eth0.120"><vlan tag="120">
  <interface name="eth0"/></vlan></interface></bridge></interface>
 <domain type="test"><name>web-1</name><uuid>{web}</uuid><memory>262144</memory><vcpu>2</vcpu>
  <os><type>hvm</type></os><devices>
  <disk type="file" device="disk"><driver name="qemu" type="qcow2"/><source file="/pool/web-1.qcow2"/>
   <target dev="vda" bus="virtio"/></disk>
  <disk type="file" device="cdrom"><target dev="hda" bus="ide"/></disk>
  <interface type="network"><mac address="52:54:00:00:6e:01"/><source network="default"/><model type="virtio"/>
  </interface><graphics type="vnc" port="-1" passwd="hunter2"/></devices></domain>
 <domain type="test" xmlns:test="http://libvirt.org/schemas/domain/test/1.0"><test:runstate>5</test:runstate>
  <name>db-1</name><uuid>{db}</uuid><memory>131072</memory><vcpu>1</vcpu><os><type>hvm</type></os><devices>
  <interface type="bridge"><mac address="52:54:00:00:6e:03"/><source bridge="br120"/></interface>
  <interface type="network"><mac address="52:54:00:00:6e:04"/><source network="lan" portgroup="web"/></interface>
  </devices></domain>
 <pool type="dir"><name>pool</name><uuid>cccccccc-0000-4000-8000-000000000001</uuid>
  <target><path>/pool</path></target><volume type="file"><name>web-1.qcow2</name><key>k</key>
  <capacity unit="bytes">3145729</capacity><allocation unit="bytes">50000</allocation>
  <target><path>/pool/web-1.qcow2</path><format type="qcow2"/></target></volume></pool>
</node>"""
AUTH = '<auth><user password="right">anna</user></auth>'
Out = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def uri_of(directory: Path, auth: str = "") -> str:
    path = directory / "node.xml"
    path.write_text(NODE.format(auth=auth, web=WEB, db=DB))
    return f"test://{path}"


def raw(source: Hypervisor) -> Any:
    """libvirt's own handle of a connection: the test driver's world lives in it."""
    assert isinstance(source, live.LibvirtHypervisor)
    return source._connection


async def test_a_host_becomes_an_estate_without_its_secrets(tmp_path: Path, capfd: Out) -> None:
    uri = uri_of(tmp_path)
    source = await connect(uri)
    files = await source.files()
    await source.close()
    await source.close()
    assert [name for name, _ in files] == [uri] and b"hunter2" not in files[0][1]
    found = load(files)
    assert [each.name for each in found.sources] == [uri] and not found.rejected
    web = next(vm for vm in found.vms if vm.name == "web-1")
    db = next(vm for vm in found.vms if vm.name == "db-1")
    assert (web.power, db.power, web.uuid, web.key) == ("on", "off", WEB, f"/{WEB}")
    assert web.nics[0].ips and web.nics[0].ips[0].startswith("192.168.122."), "the driver makes an address up"
    assert [disk.path for disk in web.disks] == ["/pool/web-1.qcow2"] and web.disks[0].mib > 0
    assert [host.name for host in found.hosts] == [web.host] == [db.host] and web.host
    groups = {group.key: group for group in found.port_groups}
    assert [groups[nic.port_group].vlan.text for nic in db.nics] == ["120", "110"]
    assert capfd.readouterr().err == ""


async def test_power_is_told_and_changed(tmp_path: Path) -> None:
    source = await connect(uri_of(tmp_path), write=True)
    try:
        assert [await source.power(uuid) for uuid in (WEB, DB, WEB.replace("b", "c"))] == [ON, OFF, GONE]
        assert await source.shut_down(DB, 5.0) == ALREADY_OFF
        assert await source.shut_down(WEB, 5.0) == SHUT_DOWN
        assert await source.power(WEB) == OFF
        await source.start(WEB)
        await source.start(WEB)
        assert await source.shut_down(WEB, 0.0) == POWERED_OFF
        await source.start(WEB)
        raw(source).lookupByUUIDString(WEB).suspend()
        assert await source.power(WEB) == ON, "a paused VM still has its address"
        await source.start(WEB)
        domain = raw(source).lookupByUUIDString(WEB)
        assert domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING
        for on in (True, False):
            assert await source.autostart(WEB, on) is on and bool(domain.autostart()) is on
            assert await source.autostart(WEB) is on
    finally:
        await source.close()


async def test_a_vm_that_was_deleted_is_gone(tmp_path: Path) -> None:
    source = await connect(uri_of(tmp_path), write=True)
    try:
        raw(source).lookupByUUIDString(DB).undefine()
        assert await source.power(DB) == GONE
        disk = SourceDisk("vda", "/x", "raw", 1, 1)
        for call in (source.shut_down(DB, 1.0), source.start(DB), source.disks(DB), anext(source.read(DB, disk))):
            with pytest.raises(VmGone):
                await call
    finally:
        await source.close()


async def test_a_transient_vm_keeps_its_power(tmp_path: Path) -> None:
    source = await connect(uri_of(tmp_path), write=True)
    try:
        domain = raw(source).lookupByUUIDString(WEB)
        domain.undefine()
        with pytest.raises(SourceFault, match="transient"):
            await source.shut_down(WEB, 1.0)
        assert await source.power(WEB) == ON
    finally:
        await source.close()


async def test_disks_are_listed_and_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    source = await connect(uri_of(tmp_path), write=True)
    try:
        disks = await source.disks(WEB)
        assert [(disk.name, disk.path, disk.format) for disk in disks] == [("vda", "/pool/web-1.qcow2", "qcow2")]
        with pytest.raises(SourceFault, match="/pool/web-1.qcow2") as running:
            await anext(source.read(WEB, disks[0]))
        assert "runs" in running.value.cause
        await source.shut_down(WEB, 0.0)
        with pytest.raises(SourceFault) as unable:
            await anext(source.read(WEB, disks[0]))
        assert "not supported" in unable.value.cause, "libvirt's test driver has no streams"
    finally:
        await source.close()


async def test_to_read_only_changes_nothing(tmp_path: Path) -> None:
    source = await connect(uri_of(tmp_path))
    try:
        with pytest.raises(SourceRefused):
            await source.shut_down(WEB, 0.0)
        with pytest.raises(SourceRefused):
            await source.start(DB)
        assert [await source.power(uuid) for uuid in (WEB, DB)] == [ON, OFF]
    finally:
        await source.close()
    with pytest.raises(SourceUnreachable, match="was closed"):
        await source.power(WEB)


async def test_credentials_are_asked_and_only_right_ones_are_kept(tmp_path: Path, memory: Memory) -> None:
    uri = uri_of(tmp_path, AUTH)
    asked: list[tuple[str, bool]] = []

    def answer(password: str) -> Any:
        def ask(question: str, echo: bool) -> str:
            asked.append((question, echo))
            return "anna" if echo else password

        return ask

    with pytest.raises(SourceRefused, match="does not accept") as wrong:
        await connect(uri, ask=answer("wrong-one"))
    assert "wrong-one" not in str(wrong.value) and memory.held == {}
    assert [echo for _, echo in asked] == [True, False]
    await (await connect(uri, ask=answer("right"))).close()
    assert memory.held == {("bascule", f"user {uri}"): "anna", ("bascule", f"password {uri}"): "right"}
    asked.clear()
    await (await connect(uri, ask=answer("never asked"))).close()
    assert asked == []
    memory.held["bascule", f"password {uri}"] = "changed since"
    with pytest.raises(SourceRefused) as stale:
        await connect(uri)
    assert "keyring" in stale.value.fix and "changed since" not in str(stale.value)


async def test_without_anybody_to_ask_nothing_opens(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match="wants credentials"):
        await connect(uri_of(tmp_path, AUTH))
    with pytest.raises(SourceRefused, match="wants credentials"):
        await connect(uri_of(tmp_path, AUTH), ask=lambda question, echo: "")


async def test_the_time_of_a_question_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "OPEN_S", 0.2)
    monkeypatch.setattr(live, "LOOK_S", 0.05)

    def ask(question: str, echo: bool) -> str:
        time.sleep(0.6)
        return "anna" if echo else "right"

    await (await connect(uri_of(tmp_path, AUTH), ask=ask)).close()


async def test_a_host_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "OPEN_S", 0.3)
    monkeypatch.setattr(live, "LOOK_S", 0.05)
    listening = socket.create_server(("127.0.0.1", 0))  # the kernel takes the connection, and nobody answers
    with listening, pytest.raises(SourceUnreachable, match="does not answer"):
        await connect(f"qemu+tcp://127.0.0.1:{listening.getsockname()[1]}/system")


async def test_ssh_asks_nobody_where_an_app_has_the_terminal(tmp_path: Path, capfd: Out) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\necho "Permission denied (publickey)." >&2\nexit 255\n')
    ssh.chmod(0o755)
    uri = f"qemu+ssh://root@host/system?command={ssh}"
    for ask, quiet in ((None, True), (lambda question, echo: "", True), (on_terminal, False)):
        with pytest.raises(SourceUnreachable, match="cannot be reached") as denied:
            await connect(uri, ask=ask)
        assert "Permission denied" in denied.value.cause and "key" in denied.value.fix
        assert ("BatchMode=yes" in (tmp_path / "words").read_text()) is quiet
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("uri", "kind", "says"),
    [
        ("test:///no/such/node.xml", UsageError, "no file"),
        ("qemu+unix:///system?socket=/no/such/socket", UnreachableError, "No such file"),
        ("qemu+tcp://127.0.0.1:1/system", UnreachableError, "refused"),
        ("qemu+tcp://no.such.host.invalid/system", UnreachableError, "resolve"),
        ("foo://host/system", UsageError, "none of"),
        ("qemu+carrier-pigeon://host/system", UsageError, "none of"),
        ("qemu+ssh://root:secret@host/system", UsageError, "password"),
        ("qemu+tcp://[::1/system", UsageError, "URI"),
    ],
)
async def test_what_does_not_open_is_one_error(uri: str, kind: type[Exception], says: str, capfd: Out) -> None:
    with pytest.raises(kind) as error:
        await connect(uri)
    told = str(error.value)
    assert says in told and error.value.fix and "secret" not in told  # type: ignore[attr-defined]
    assert capfd.readouterr() == ("", "")


async def test_a_node_that_is_no_xml_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "node.xml"
    path.write_text("no xml")
    with pytest.raises(UsageError, match="cannot be opened"):
        await connect(f"test://{path}")


def test_without_the_library_files_still_work() -> None:
    code = (
        "import sys; sys.modules['libvirt'] = None\n"
        "from bascule_console.cli.main import main\n"
        "sys.exit(main(['estate', 'import', 'test:///default']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "python3-libvirt" in done.stderr and "Traceback" not in done.stderr


def test_the_password_is_asked_on_the_terminal_without_echo(tmp_path: Path) -> None:
    code = "import sys; from bascule_console.cli.main import main; sys.exit(main(['estate', 'import', sys.argv[1]]))"
    uri = uri_of(tmp_path, AUTH)
    pid, terminal = pty.fork()
    if not pid:
        os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
        os.execv(sys.executable, [sys.executable, "-c", code, uri])
    shown = b""
    try:
        for question, answer in ((b"username for localhost: ", b"anna\n"), (b"password for localhost: ", b"right\n")):
            shown += until(terminal, question)
            time.sleep(0.1)  # the echo goes off just after the question is there
            os.write(terminal, answer)
        shown += until(terminal, b"next: ")
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    assert b"anna" in shown and b"right" not in shown and b"kept in" in shown


def until(terminal: int, word: bytes) -> bytes:
    """What the terminal shows up to a word."""
    shown = b""
    while word not in shown:
        assert select.select([terminal], [], [], 60.0)[0], shown
        shown += os.read(terminal, 4096)
    return shown


def test_live_and_files_are_one_estate(tmp_path: Path, capsys: Out) -> None:
    uri, more = uri_of(tmp_path), tmp_path / "more.csv"
    more.write_text("vm,mac,ip\nweb-1,52:54:00:00:6e:01,10.9.9.9\ndb-1,52:54:00:00:6e:03,10.120.0.5\n")
    assert main(["estate", "import", str(more), uri]) == 0
    err = capsys.readouterr().err
    assert "2 vms" in err and f"read {uri} (libvirt)" in err and "1 conflicts" in err
    assert main(["estate", "show"]) == 0
    out = capsys.readouterr().out
    assert "10.120.0.5" in out and "10.9.9.9" in out
    assert main(["estate", "import", "qemu+unix:///system?socket=/no/such"]) == 3
    assert main(["estate", "import", uri_of(tmp_path, AUTH)]) == 4
    assert issubclass(SourceRefused, RefusedError)
