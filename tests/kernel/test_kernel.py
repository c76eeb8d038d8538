"""This kernel: that it takes our programs, and what the netlink facade says of VLANs on it. Witness: iproute2."""

from __future__ import annotations

import platform
import re
import struct

import pytest
from tests.agent.segments.conftest import shell

from bascule_agent.bpf import layout, raw
from bascule_agent.bpf.source import expand
from bascule_agent.netlink import PortVlan, in_netns
from bascule_agent.netlink.request import Requests, u32

pytestmark = pytest.mark.root
AF_BRIDGE_COMPRESSED = struct.pack("=BxHiII", 7, 0, 0, 0, 0) + u32(29, 4)


def test_the_verifier_of_this_kernel_takes_every_program(node):
    assert platform.release().startswith("6.1.")
    source = expand(layout.SOURCE)
    programs = set(re.findall(r"^int (\w+)\(struct __sk_buff", source, re.M))
    assert programs == set(node.objects.programs) >= {"port_in", "port_out", "demux_in", "mux_out"}
    assert all(raw.prog_info(fd).id for fd in node.objects.programs.values())


def test_memberships_are_read_as_iproute2_sets_them(node):
    shell(node.netns, "ip link add br0 type bridge vlan_filtering 1 vlan_default_pvid 7; ip link set trunk0 master br0")
    shell(node.netns, "bridge vlan add dev trunk0 vid 20-24; bridge vlan add dev trunk0 vid 30 untagged")
    bridge, trunk = node.netlink.link("br0"), node.netlink.link("trunk0").index
    settings = bridge.bridge
    assert settings is not None
    assert (settings.vlan_filtering, settings.vlan_protocol, settings.default_pvid) == (True, "802.1Q", 7)
    expected = [PortVlan(trunk, 7, True, True), *(PortVlan(trunk, vid, False, False) for vid in range(20, 25))]
    assert node.netlink.vlans(trunk) == [*expected, PortVlan(trunk, 30, False, True)]
    assert PortVlan(bridge.index, 7, True, True) in node.netlink.vlans()
    node.netlink.add_vlan(trunk, 40, pvid=True, untagged=True)
    node.netlink.delete_vlan(trunk, 20)
    node.netlink.delete_vlan(trunk, 20)
    shown = shell(node.netns, "bridge vlan show dev trunk0")
    assert re.search(r"40 PVID Egress Untagged", shown) and not re.search(r"\b20\b", shown)


def test_whether_a_mac_was_set_is_told_in_the_namespace_of_the_link(node):
    shell(node.netns, "ip link add br0 type bridge; ip link add br1 address 02:00:00:00:00:01 type bridge")
    assert [node.netlink.mac_is_set(name) for name in ("br0", "br1", "none")] == [False, True, None]
    shell(node.netns, "ip link set br0 address 02:00:00:00:00:02")
    assert node.netlink.mac_is_set("br0") is True


def test_four_thousand_vlans_are_read_as_one_range(node):
    shell(node.netns, "ip link add br0 type bridge vlan_filtering 1 vlan_default_pvid 0; ip link set trunk0 master br0")
    shell(node.netns, "bridge vlan add dev trunk0 vid 1-4094")
    trunk = node.netlink.link("trunk0").index
    assert sum(entry.index == trunk for entry in node.netlink.vlans()) == 4094
    requests = in_netns(node.netns, Requests)
    try:
        told = requests.dump(18, AF_BRIDGE_COMPRESSED, 16, "read VLANs")
    finally:
        requests.close()
    assert sum(map(len, told)) < 4096  # one by one they are 32 KiB
