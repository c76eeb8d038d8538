"""The netlink facade against a real kernel; the witness is iproute2."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from bascule_agent.bpf import raw
from bascule_agent.netlink import (
    FdbEvent,
    LinkEvent,
    Monitor,
    Netlink,
    NetlinkError,
    create_netns,
    delete_netns,
    in_netns,
    list_netns,
    sysctl,
)

pytestmark = pytest.mark.root
MAC = "52:54:00:00:6e:01"
PASS = b"\xb7\x00\x00\x00\x00\x00\x00\x00\x95\x00\x00\x00\x00\x00\x00\x00"  # r0 = 0; exit


def ip(netns: str, *argv: str) -> list[dict]:
    out = in_netns(netns, lambda: subprocess.run(["ip", "-j", "-d", *argv], capture_output=True, text=True, check=True))
    return json.loads(out.stdout or "[]")


@pytest.fixture
def net(namespaces):
    with Netlink(namespaces("h4-net")) as made:
        yield made


def test_iproute2_sees_the_namespace_and_the_quiet_switches(namespaces):
    name = namespaces("h4-one")
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert name in listed and list_netns("h4-o") == [name]
    read = in_netns(name, lambda: Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").read_text())
    assert read.strip() == "1"
    with pytest.raises(NetlinkError, match="exists"):
        create_netns(name)
    assert delete_netns("h4-none") is False


def test_in_netns_works_by_path_and_passes_errors_on(namespaces):
    name = namespaces("h4-one")
    inside = in_netns(f"/run/netns/{name}", lambda: Path("/proc/thread-self/ns/net").readlink())
    assert inside != Path("/proc/self/ns/net").readlink()
    with pytest.raises(ZeroDivisionError):
        in_netns(name, lambda: 1 // 0)
    with pytest.raises(NetlinkError, match="no network namespace h4-none"):
        in_netns("h4-none", lambda: None)
    with pytest.raises(NetlinkError, match="net/no/such"):
        sysctl(name, {"net/no/such": 1})


def test_a_bridge_keeps_its_mac_and_its_settings(net):
    bridge = net.add_bridge("br0", "02:b5:00:00:00:01", alias="bascule:b:dc1/110", mtu=1450)
    port = net.add_veth("v0", "v1", mac="02:00:00:00:00:01")
    net.set(port.index, master=bridge.index, up=True)
    assert net.link("br0").mac == "02:b5:00:00:00:01"
    (seen,) = ip("h4-net", "link", "show", "br0")
    data = seen["linkinfo"]["info_data"]
    assert (data["stp_state"], data["mcast_snooping"], data["forward_delay"]) == (0, 0, 0)
    assert (seen["ifalias"], seen["mtu"], seen["address"]) == ("bascule:b:dc1/110", 1450, "02:b5:00:00:00:01")
    net.set(port.index, master=0)
    assert net.link(port.index).master == 0


def test_a_veth_across_namespaces_names_its_peer(net, namespaces):
    other = namespaces("h4-other")
    near = net.add_veth("hv", "eth0", peer_netns=other, peer_mac=MAC, mtu=1400)
    with Netlink(f"/run/netns/{other}") as inside:
        far = inside.link("eth0")
    assert (far.mac, far.mtu, far.peer_index) == (MAC, 1400, near.index)
    assert near.peer_index == far.index and near.peer_netnsid is not None
    local = net.add_veth("v0", "v1")
    assert net.link("v1").index == local.peer_index and local.peer_netnsid is None


def test_addresses_routes_and_neighbours(net):
    link = net.add_bridge("br0", "02:b5:00:00:00:01")
    net.set(link.index, up=True)
    net.add_address(link.index, "10.1.0.2/24")
    net.add_route("default", via="10.1.0.1")
    net.add_route("10.9.0.0/16", index=link.index)
    net.replace_neighbour(link.index, "10.1.0.1", MAC)
    assert [(a.address, a.prefixlen) for a in net.addresses()] == [("10.1.0.2", 24)]
    found = {(route.dst, route.via, route.index) for route in net.routes()}
    assert ("0.0.0.0/0", "10.1.0.1", link.index) in found and ("10.9.0.0/16", "", link.index) in found
    assert [(n.ip, n.mac, n.permanent) for n in net.neighbours()] == [("10.1.0.1", MAC, True)]
    net.delete_neighbour(link.index, "10.1.0.1")
    net.delete_neighbour(link.index, "10.1.0.1")
    assert net.neighbours() == []


def test_forwarding_entries_and_port_flags(net):
    bridge, port = net.add_bridge("br0", "02:b5:00:00:00:01"), net.add_veth("v0", "v1")
    assert net.brport(port.index) == {}
    net.set(port.index, master=bridge.index)
    net.set_brport(port.index, learning=0, locked=1, isolated=1)
    flags = net.brport(port.index)
    assert (flags["learning"], flags["locked"], flags["isolated"]) == (0, 1, 1)
    net.replace_fdb(port.index, MAC)
    net.replace_fdb(port.index, MAC)
    (entry,) = [e for e in net.fdb(bridge.index) if e.mac == MAC]
    assert (entry.index, entry.static, entry.sticky) == (port.index, True, False)
    shown = in_netns("h4-net", lambda: subprocess.run(["bridge", "fdb"], capture_output=True, text=True, check=True))
    assert f"{MAC} dev v0 master br0 static" in shown.stdout
    assert net.delete_fdb(port.index, MAC) is True
    assert net.delete_fdb(port.index, MAC) is False


def test_a_filter_is_replaced_in_place_read_back_and_taken_off(net):
    link = net.add_veth("v0", "v1")
    one, two = raw.prog_load(PASS, "one"), raw.prog_load(PASS[:8] + PASS, "two")
    first = net.attach_bpf(link.index, "ingress", one, "ours")
    assert (first.prog_id, first.tag) == (raw.prog_info(one).id, raw.prog_info(one).tag)
    second = net.attach_bpf(link.index, "ingress", two, "ours")
    assert second.prog_id == raw.prog_info(two).id
    assert net.filters(link.index, "ingress") == [second] and net.filters(link.index, "egress") == []
    with pytest.raises(NetlinkError, match="another owner's filter: ours"):
        net.attach_bpf(link.index, "ingress", one, "theirs")
    assert net.filters(link.index, "ingress") == [second]
    net.attach_bpf(link.index, "egress", one, "ours")
    net.detach_bpf(link.index, "ingress", "theirs")
    assert net.filters(link.index, "ingress") == [second]
    net.detach_bpf(link.index, "ingress", "ours")
    assert [f.name for f in net.filters(link.index, "egress")] == ["ours"]
    net.detach_bpf(link.index, "egress", "ours")
    net.detach_bpf(link.index, "egress", "ours")
    qdiscs = in_netns("h4-net", lambda: subprocess.run(["tc", "qdisc"], capture_output=True, text=True, check=True))
    assert "clsact" not in qdiscs.stdout


@pytest.mark.parametrize(
    "attempt",
    [
        lambda net: net.link("nope"),
        lambda net: net.delete(4242),
        lambda net: net.set(4242, up=True),
        lambda net: net.add_bridge("lo", MAC),
        lambda net: net.add_veth("v0", "v1", peer_netns="h4-none"),
        lambda net: Netlink("h4-none"),
        lambda net: net.add_route("10.0.0.0/8", via="192.0.2.1"),
    ],
)
def test_what_the_kernel_refuses_is_one_clear_error(net, attempt):
    with pytest.raises(NetlinkError) as caught:
        attempt(net)
    assert caught.value.code and "h4-n" in str(caught.value)


async def test_calls_work_where_asyncio_runs(net):
    assert [link.name for link in await asyncio.to_thread(net.links)] == ["lo"]
    assert net.link("lo").index == 1


async def test_the_monitor_tells_of_links_and_moved_entries(net):
    seen: list[object] = []
    monitor = Monitor("h4-net")
    monitor.start(asyncio.get_running_loop(), seen.append)
    bridge = net.add_bridge("br0", "02:b5:00:00:00:01")
    ports = [net.add_veth(f"v{n}", f"w{n}") for n in (0, 1)]
    for port in ports:
        net.set(port.index, master=bridge.index)
        net.replace_fdb(port.index, MAC)
    net.delete(bridge.index)
    async with asyncio.timeout(2):
        while not any(isinstance(e, LinkEvent) and e.gone and e.link.name == "br0" for e in seen):
            await asyncio.sleep(0.01)
    places = [e.entry.index for e in seen if isinstance(e, FdbEvent) and e.entry.mac == MAC and not e.gone]
    assert places == [port.index for port in ports]
    monitor.close()
