"""The old side as a whole: up and down. Blocking."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from xml.etree.ElementTree import fromstring

from bascule_agent.netlink import list_netns
from bascule_lab import processes
from bascule_lab.config import VLANS, LabConfig
from bascule_lab.guests import disk
from bascule_lab.guests.template import Template
from bascule_lab.hypervisor import daemon, reach, virt, wires, xml
from bascule_lab.hypervisor.errors import OldSideError
from bascule_lab.hypervisor.estate import OldVm
from bascule_lab.hypervisor.places import Places
from bascule_lab.places import write_json

ANSWER_TIMEOUT_S = 120.0
_END_TIMEOUT_S = 5.0
_POLL_S = 0.1

Say = Callable[[str], None]


def up(config: LabConfig, template: Template, vms: Sequence[OldVm], say: Say) -> subprocess.Popen[bytes]:
    """Bring the old side up and wait until every VM that runs answers a ping; returns libvirtd, which outlives us.

    Raises BasculeError; nothing is left then.
    """
    places = Places.of(config)
    started = time.monotonic()
    try:
        say("old side: namespace and bridges")
        wires.build(config)
        daemon.write_files(places)
        for vm in vms:
            disk.make(places.disk(vm.file), vm.identity())
        say("old side: starting libvirtd")
        libvirtd = daemon.start(places, config.old)
        told = {"uri": places.uri, "namespace": config.old, "pid": libvirtd.pid, "vms": _rows(places, vms)}
        write_json(places.record, told)
        say(f"old side: {len(vms)} VMs")
        _define(places, vms, xml.Boot(template.vmlinux, template.initramfs))
        _wait(config, [vm for vm in vms if vm.runs])
    except BaseException:
        down(config)
        raise
    say(f"old side: up after {time.monotonic() - started:.1f} s, {places.uri}")
    return libvirtd


def _rows(places: Places, vms: Sequence[OldVm]) -> list[dict[str, Any]]:
    return [
        {
            "name": vm.name,
            "uuid": vm.uuid,
            "vlan": vm.vlan,
            "mac": vm.mac,
            "ip": vm.ip,
            "disk": str(places.disk(vm.file)),
            "serial": str(places.serial(vm.file)),
        }
        for vm in vms
    ]


def _define(places: Places, vms: Sequence[OldVm], boot: xml.Boot) -> None:
    """Networks, pool and domains, persistent; those that run are started side by side."""
    with virt.connection(places) as libvirt:
        for vlan in VLANS:
            libvirt.networkDefineXML(xml.network(vlan)).create()
        libvirt.storagePoolDefineXML(xml.pool(places)).create()
        domains = [(vm, libvirt.defineXML(xml.domain(vm, places, boot))) for vm in vms]
        with ThreadPoolExecutor(max(1, len(vms))) as pool:
            for start in [pool.submit(domain.create) for vm, domain in domains if vm.runs]:
                start.result()


def _wait(config: LabConfig, vms: Sequence[OldVm]) -> None:
    """Until every VM answers a ping, and its agent libvirt: a guest is up before its services are."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    answered = reach.wait_until_answering(config.old, {vm.ip for vm in vms}, ANSWER_TIMEOUT_S)
    silent = [f"{vm.name} ({vm.ip})" for vm in vms if vm.ip not in answered]
    with virt.connection(Places.of(config)) as libvirt:
        while not silent and (waiting := [vm.name for vm in vms if not _agent_connected(libvirt, vm)]):
            if time.monotonic() > deadline:
                silent = [f"{name}'s agent" for name in waiting]
            time.sleep(_POLL_S)
    if silent:
        raise OldSideError(
            f"no answer from {', '.join(silent)}", f"{ANSWER_TIMEOUT_S:.0f} s passed since it was started", "try again"
        )


def _agent_connected(libvirt: Any, vm: OldVm) -> bool:
    channel = fromstring(libvirt.lookupByUUIDString(vm.uuid).XMLDesc()).find("devices/channel/target")
    return channel is not None and channel.get("state") == "connected"


def down(config: LabConfig) -> None:
    """Take the old side away, also what a crash left of it; no error when there is none."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        processes.end(processes.of_old_side(config), number, _END_TIMEOUT_S)
    wires.remove(config)
    shutil.rmtree(Places.of(config).root, ignore_errors=True)


def exists(config: LabConfig) -> bool:
    """Whether there is an old side, or what a crash left of one."""
    return Places.of(config).root.exists() or config.old in list_netns(config.old)
