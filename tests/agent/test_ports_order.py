"""A port is never live unpoliced: the order of bring_up, its failures, adoption after a restart, taking down."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
import threading

import pytest
from tests.agent.conftest import Bed, Node

from bascule_agent.bpf import raw, tcx
from bascule_agent.bpf.layout import PortState
from bascule_agent.netlink import LinkEvent, Monitor, NetlinkError
from bascule_agent.ports import PortError
from bascule_agent.ports.hooks import PROGRAMS, Hooks

pytestmark = pytest.mark.root
MAC, IP = "52:54:00:00:6e:b0", "10.110.0.80"


@pytest.fixture
def plugged(bed: Bed):
    """A guest whose port is down, as CNI leaves it."""
    guest = bed.plug("ord", 0, 110, MAC, IP)
    yield guest
    bed.unplug("ord")


async def test_the_link_comes_up_last(plugged):
    monitor = Monitor(plugged.node.netns)
    plugged.node.ports.bring_up(plugged.spec(), plugged.node.bridge(110))
    await asyncio.sleep(0.02)
    mine = [e.link for e in monitor.read() if isinstance(e, LinkEvent) and e.link.index == plugged.ifindex]
    first_up = next(n for n, link in enumerate(mine) if link.up)
    assert mine[first_up].master == plugged.node.bridge(110) and not any(link.up for link in mine[:first_up])
    monitor.close()
    flags = plugged.node.netlink.brport(plugged.ifindex)
    assert (flags["learning"], flags["locked"]) == (0, 1)
    entries = [e for e in plugged.node.netlink.fdb(plugged.node.bridge(110)) if e.mac == MAC]
    assert [(e.index, e.static) for e in entries] == [(plugged.ifindex, True)]


def test_a_port_that_was_up_goes_down_before_it_is_policed(plugged):
    plugged.node.netlink.set(plugged.ifindex, up=True)
    port = plugged.node.ports.bring_up(plugged.spec(held=True), plugged.node.bridge(110))
    assert port.state is PortState.HELD and plugged.node.netlink.link(plugged.ifindex).up
    flags = plugged.node.netlink.brport(plugged.ifindex)
    assert (flags["learning"], flags["locked"]) == (1, 0)


RETURNS = b"\xb7\x00\x00\x00\x00\x00\x00\x00\x95\x00\x00\x00\x00\x00\x00\x00"


def test_on_failure_it_stays_down_and_says_why(plugged):
    fd = raw.prog_load(RETURNS, "theirs")
    plugged.node.netlink.attach_bpf(plugged.ifindex, "egress", fd, "theirs")
    with pytest.raises(PortError, match="hv-ord .* stays down; cause: .*another owner's filter: theirs"):
        plugged.node.ports.bring_up(plugged.spec(), plugged.node.bridge(110))
    link = plugged.node.netlink.link(plugged.ifindex)
    assert (link.up, link.master) == (False, 0)
    assert plugged.ifindex not in plugged.node.ports.state()
    plugged.node.netlink.detach_bpf(plugged.ifindex, "egress", "theirs")


def test_a_port_that_joins_no_bridge_is_blocked_and_down(plugged):
    with pytest.raises(PortError, match="stays down"):
        plugged.node.ports.bring_up(plugged.spec(), 4242)
    assert not plugged.node.netlink.link(plugged.ifindex).up
    assert plugged.node.ports.port(plugged.ifindex).state is PortState.BLOCKED


def test_a_port_of_anothers_bridge_is_not_touched(plugged):
    theirs = plugged.node.netlink.add_bridge("theirs", "02:00:00:00:00:01")
    plugged.node.netlink.set(plugged.ifindex, master=theirs.index, up=True)
    with pytest.raises(PortError, match="port of theirs already"):
        plugged.node.ports.bring_up(plugged.spec(), plugged.node.bridge(110))
    plugged.node.ports.take_down(plugged.ifindex)
    link = plugged.node.netlink.link(plugged.ifindex)
    assert (link.up, link.master) == (True, theirs.index)
    assert plugged.node.netlink.filters(plugged.ifindex, "ingress") == []
    plugged.node.netlink.delete(theirs.index)


@pytest.mark.parametrize("change", [{"mac": "52:54"}, {"mac": "zz:54:00:00:00:01"}, {"ip": "10.110.0"}, {"ip": "::1"}])
def test_a_bad_spec_is_refused_before_anything_is_touched(plugged, change):
    with pytest.raises(PortError, match="is not a"):
        plugged.node.ports.bring_up(dataclasses.replace(plugged.spec(), **change), plugged.node.bridge(110))
    assert plugged.node.netlink.filters(plugged.ifindex, "ingress") == []


def test_no_link_no_port(bed: Bed, plugged):
    with pytest.raises(NetlinkError, match="no link 4242"):
        plugged.node.ports.bring_up(dataclasses.replace(plugged.spec(), ifindex=4242), plugged.node.bridge(110))
    with pytest.raises(PortError, match="4242 is not a port"):
        plugged.node.ports.port(4242)


def test_taken_down_nothing_of_it_is_left(plugged):
    node = plugged.node
    node.ports.bring_up(plugged.spec(), node.bridge(110))
    node.ports.take_down(plugged.ifindex)
    node.ports.take_down(plugged.ifindex)
    link = node.netlink.link(plugged.ifindex)
    assert (link.up, link.master) == (False, 0)
    assert node.netlink.filters(plugged.ifindex, "ingress") == [] == node.netlink.filters(plugged.ifindex, "egress")
    assert plugged.ifindex not in node.ports.state() and plugged.ifindex not in node.objects.rows("macs")[1].tolist()
    assert [e for e in node.netlink.fdb(node.bridge(110)) if e.mac == MAC] == []


def test_a_port_whose_link_is_gone_is_forgotten(bed: Bed, plugged):
    gone = bed.guest("gone", 0, 110, "52:54:00:00:6e:b1", "10.110.0.81")
    gone.node.netlink.delete(gone.ifindex)
    assert [a.problems for a in gone.node.ports.adopt() if a.port.ifindex == gone.ifindex] == [("its link is gone",)]
    gone.node.ports.take_down(gone.ifindex)
    assert gone.ifindex not in gone.node.ports.state()
    bed.guests.pop("gone")


def test_another_owners_program_on_tcx_is_refused_and_stays(plugged):
    node, fd = plugged.node, raw.prog_load(RETURNS, "theirs")
    if not node.netlink.inside(tcx.there):
        pytest.skip("this kernel has no tcx")
    node.netlink.inside(lambda: tcx.put(plugged.ifindex, "egress", fd))
    with pytest.raises(PortError, match="stays down; cause: .*another owner's program: theirs"):
        node.ports.bring_up(plugged.spec(), node.bridge(110))
    node.ports.take_down(plugged.ifindex)
    assert Hooks(node.netlink).ids(plugged.ifindex, "egress") == [raw.prog_info(fd).id]
    assert Hooks(node.netlink).ids(plugged.ifindex, "ingress") == []


def test_what_an_agent_without_tcx_attached_is_taken_over(plugged):
    node, hooks = plugged.node, Hooks(plugged.node.netlink)
    for side, name in PROGRAMS.items():
        node.netlink.attach_bpf(plugged.ifindex, side, raw.prog_load(RETURNS, name), name)
    node.ports.bring_up(plugged.spec(), node.bridge(110))
    ours = {side: [node.objects.program_id(name)] for side, name in PROGRAMS.items()}
    assert {side: hooks.ids(plugged.ifindex, side) for side in PROGRAMS} == ours
    node.ports.bring_up(plugged.spec(), node.bridge(110))  # again: nothing is doubled
    assert {side: hooks.ids(plugged.ifindex, side) for side in PROGRAMS} == ours
    node.ports.take_down(plugged.ifindex)
    assert [hooks.ids(plugged.ifindex, side) for side in PROGRAMS] == [[], []]


def running(node: Node) -> dict[tuple[int, str], list[int]]:
    """The programs on both sides of every port."""
    hooks = Hooks(node.netlink)
    found = {(port, side): hooks.ids(port, side) for port in node.ports.state() for side in ("ingress", "egress")}
    assert all(len(ids) == 1 for ids in found.values())
    return found


def test_a_restarted_agent_adopts_ports_and_changes_nothing(bed: Bed, vms):
    """The second agent is another process; frames flow meanwhile, and no filter gets another program."""
    node, a1, a2 = bed.nodes[0], vms["a1"], vms["a2"]
    before = running(node)
    code = (
        "import sys; from pathlib import Path\n"
        "from bascule_agent.bpf import layout; from bascule_agent.bpf.objects import ensure\n"
        "from bascule_agent.netlink import Netlink; from bascule_agent.ports import PortManager\n"
        "objects = ensure(layout.SOURCE, Path(sys.argv[1]), layout.defines(), layout.LAYOUT)\n"
        "found = PortManager(Netlink(sys.argv[2]), objects).adopt()\n"
        "for a in sorted(found, key=lambda a: a.port.ifindex): print(a.port.ifindex, a.port.mac, list(a.problems))\n"
        "import os; sys.stdout.flush(); os._exit(0)"
    )
    argv = [sys.executable, "-c", code, str(node.objects.pin_dir.parent), node.netns]
    answered: list[int] = []
    pings = threading.Thread(target=lambda: answered.append(a1.ping(a2.ip, 50)))
    pings.start()
    out = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    pings.join()
    here = sorted((vm.ifindex, vm.mac) for vm in vms.values() if vm.node is node)
    assert out == [f"{ifindex} {mac} []" for ifindex, mac in here]
    assert running(node) == before and answered == [50]


def test_adoption_names_what_is_wrong(bed: Bed, plugged):
    node = plugged.node
    node.ports.bring_up(plugged.spec(), node.bridge(110))
    node.netlink.set(plugged.ifindex, up=False)
    Hooks(node.netlink).detach(plugged.ifindex, "egress")
    node.netlink.set_brport(plugged.ifindex, locked=0)
    (found,) = [a for a in node.ports.adopt() if a.port.ifindex == plugged.ifindex]
    assert found.problems == ("egress does not run port_out", "it is down", "it is not locked yet")
