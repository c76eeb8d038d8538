"""Another owner's bridge on a kernel that filters VLANs: the three checks and their remedies, and what stays as it is.

The bridge is made, broken and looked at with iproute2 alone, as its owner would.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading

import pytest
from tests.agent.conftest import Witness, arp, frame, tag, until
from tests.agent.segments.conftest import OPERATORS_BRIDGE, Node, plug, put, shell

from bascule.hostplan.outcome import NetworkOutcome
from bascule_agent.netlink import delete_netns, in_netns

pytestmark = pytest.mark.root


def vlans(node: Node) -> dict[str, dict[int, tuple[str, ...]]]:
    told = json.loads(shell(node.netns, "bridge -j vlan show") or "[]")
    return {each["ifname"]: {vlan["vlan"]: tuple(vlan.get("flags", ())) for vlan in each["vlans"]} for each in told}


def bridge_settings(node: Node) -> dict[str, object]:
    """What `ip -d link` says br0 is set to, without its running timers and root."""
    (told,) = json.loads(shell(node.netns, "ip -j -d link show br0"))
    data = told["linkinfo"]["info_data"]
    return {
        key: data[key] for key in data if not key.endswith("timer") and "topology" not in key and key != "root_port"
    }


def outcome(node: Node, *vids: int) -> NetworkOutcome:
    (found,) = node.desired(*vids).outcomes
    return found


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        ("ip link add br0 address 02:00:00:00:00:77 type bridge", "vlan_filtering is 0"),
        ("ip link add br0 type bridge vlan_filtering 1", "addr_assign_type"),
        (
            "ip link add br0 address 02:00:00:00:00:77 type bridge vlan_filtering 1 vlan_protocol 802.1ad",
            "vlan_protocol is 802.1ad",
        ),
    ],
    ids=["filtering", "mac", "protocol"],
)
def test_a_refusal_names_the_command_that_mends_it_and_nothing_is_touched(node, broken, check):
    shell(node.netns, broken)
    before = shell(node.netns, "ip -d link; bridge vlan show")
    refused = outcome(node, 110)
    assert (refused.reason, refused.ok) == ("BridgeRefused", False)
    assert check in refused.message and "existingBridge br0" in refused.message
    node.apply(110)
    assert shell(node.netns, "ip -d link; bridge vlan show") == before
    command, *others = re.findall("`([^`]+)`", refused.message)
    assert bool(others) == (check == "vlan_filtering is 0")  # there the host's own VLAN comes first
    shell(node.netns, command)
    assert outcome(node, 110).ok
    node.apply(110)
    assert vlans(node)["trunk0"] == {110: ()}


def test_all_three_at_once_are_all_named(node):
    shell(node.netns, "ip link add br0 type bridge vlan_protocol 802.1ad")
    refused = outcome(node, 110)
    assert all(word in refused.message for word in ("vlan_filtering is 0", "addr_assign_type", "802.1ad"))
    for command in re.findall("`([^`]+)`", refused.message):
        if "<host" not in command:
            shell(node.netns, command)
    assert outcome(node, 110).ok


def test_the_missing_bridge_is_made_by_the_command_that_the_refusal_gives(node):
    refused = outcome(node, 110)
    assert refused.reason == "BridgeMissing"
    (command,) = re.findall("`([^`]+)`", refused.message)
    shell(node.netns, command)
    assert outcome(node, 110).ok


def test_the_hosts_own_vlan_and_default_pvid_stay_as_they_are(node):
    shell(node.netns, OPERATORS_BRIDGE)
    before = vlans(node)
    assert before == {"br0": {1: ("PVID", "Egress Untagged"), 99: ()}}
    settings = bridge_settings(node)
    node.apply(100, 110)
    assert vlans(node) == before | {"trunk0": {100: ("PVID", "Egress Untagged"), 110: ()}}
    assert bridge_settings(node) == settings
    node.apply()
    assert vlans(node) == before
    assert json.loads(shell(node.netns, "ip -j link show trunk0"))[0].get("master") is None


def test_from_a_trunk_that_was_there_only_our_vlans_go_again(node):
    shell(node.netns, OPERATORS_BRIDGE)
    mine = "ip link set trunk0 master br0; bridge vlan delete dev trunk0 vid 1"
    shell(node.netns, f"{mine}; bridge vlan add dev trunk0 vid 99; bridge vlan add dev trunk0 vid 110")
    before = vlans(node)
    node.apply(110, 120)
    assert vlans(node)["trunk0"] == {99: (), 110: (), 120: ()}
    assert [str(step) for step in node.plan()] == [
        "tc filter delete dev trunk0 ingress bpf watch_in",
        "bridge vlan delete dev trunk0 vid 120",
    ]
    node.apply()
    assert vlans(node) == before
    assert json.loads(shell(node.netns, "ip -j link show trunk0"))[0]["master"] == "br0"


def test_what_another_hand_takes_away_comes_back_and_what_it_set_otherwise_is_refused(node):
    shell(node.netns, OPERATORS_BRIDGE)
    node.apply(110)
    shell(node.netns, "bridge vlan delete dev trunk0 vid 110")
    node.apply(110)
    assert vlans(node)["trunk0"] == {110: ()}
    shell(node.netns, "bridge vlan add dev trunk0 vid 120 untagged")
    refused = outcome(node, 120)
    assert refused.reason == "VlanConflict" and "`bridge vlan add dev trunk0 vid 120`" in refused.message
    assert vlans(node)["trunk0"][120] == ("Egress Untagged",)


def test_no_untagged_frame_crosses_while_the_trunk_joins_a_bridge_with_a_default_pvid(node):
    shell(node.netns, f"{OPERATORS_BRIDGE}; ip link set br0 up; ip link set trunk0 up; ip link set far0 up")
    stop = threading.Event()
    with (
        contextlib.closing(Witness(node.netns, "br0")) as host,
        contextlib.closing(Witness(node.netns, "far0")) as wire,
    ):
        thread = threading.Thread(target=lambda: in_netns(node.netns, lambda: flood(stop)))
        thread.start()
        try:
            for _ in range(3):
                node.apply(110)
                node.apply()
            node.apply(110)
        finally:
            stop.set()
            thread.join()
        # the host's VLAN 1 sees the same frames as soon as the trunk is in it
        shell(node.netns, "bridge vlan add dev trunk0 vid 1 pvid untagged")
        assert host.seen() == [] and wire.seen() == []
        put(node.netns, "far0", FLOOD)
        assert until(lambda: host.seen())


FLOOD = tuple(
    frame("ff:ff:ff:ff:ff:ff", "52:54:00:00:99:99", each + arp("52:54:00:00:99:99", "10.0.0.1", "10.0.0.2"))
    for each in (b"", tag(1))
)


def flood(stop: threading.Event) -> None:
    """Untagged frames and frames of VLAN 1 into the trunk, as fast as one thread can."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("far0", 0))
        while not stop.is_set():
            with contextlib.suppress(OSError):  # no carrier while the trunk is down
                for data in FLOOD:
                    sock.send(data)


def test_a_port_joins_with_its_vlan_alone_and_only_down(node):
    shell(node.netns, OPERATORS_BRIDGE)
    node.apply(110)
    guest = plug("k1", node, 110, "52:54:00:00:6e:01", "10.110.0.11")
    try:
        node.netlink.set(guest.ifindex, up=True)
        node.segments.admit(guest.ifindex, node.bridge(110), 110)
        assert not node.netlink.link(guest.ifindex).up
        assert vlans(node)["hv-k1"] == {110: ("PVID", "Egress Untagged")}
        guest.bring_up()
        assert node.netlink.link(guest.ifindex).up
        assert vlans(node)["hv-k1"] == {110: ("PVID", "Egress Untagged")}
    finally:
        delete_netns(guest.netns)
