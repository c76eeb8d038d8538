"""VLANs hold: same VLAN reaches, other VLAN never, tags on the wire and none in the guest. Witnesses: captures."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from tests_frames import Capture, mac, settle
from tests_lab import PREFIX, Lab, until

pytestmark = [pytest.mark.root, pytest.mark.qemu]


def test_same_vlan_reaches_across_nodes_and_the_gateway(lab: Lab) -> None:
    first, second = lab.pair_on_two_nodes("web")
    peer = f"10.110.0.1{second[-1]}"
    assert " 0% packet loss" in lab.guest(first, f"ping -c 3 -W 2 {peer}")
    assert " 0% packet loss" in lab.guest(first, "ping -c 3 -W 2 10.110.0.1")
    assert " 0% packet loss" in lab.guest(first, "ping -c 3 -W 2 198.51.100.10")


def test_the_wire_is_tagged_and_the_guest_is_not(lab: Lab) -> None:
    first, second = lab.pair_on_two_nodes("web")
    entry = {g["name"]: g for g in lab.status()["guests"]}
    source = f"52:54:00:00:6e:0{first[-1]}"
    tap = entry[first]["interface"].replace("pod", "tap")

    def ours(data: bytes) -> bool:
        return data[6:12] == mac(source)

    with Capture(f"{PREFIX}-{entry[first]['node']}", "trunk0") as wire, Capture(entry[first]["netns"], tap) as inside:
        lab.guest(first, f"ping -c 3 -W 2 10.110.0.1{second[-1]}")
        tagged = wire.frames(ours)
        plain = inside.frames(ours)
    assert tagged
    assert {frame.vid for frame in tagged} == {110}
    assert plain
    assert {frame.vid for frame in plain} == {None}


def test_the_native_vlan_is_untagged_on_the_wire(lab: Lab) -> None:
    entry = {g["name"]: g for g in lab.status()["guests"]}
    with Capture(f"{PREFIX}-{entry['legacy-1']['node']}", "trunk0") as wire:
        lab.guest("legacy-1", "ping -c 2 -W 2 10.100.0.1")
        frames = wire.frames(lambda data: data[6:12] == mac("52:54:00:00:64:01"))
    assert frames
    assert {frame.vid for frame in frames} == {None}


@pytest.mark.parametrize("kind", ["broadcast", "unicast", "unknown unicast"])
def test_vlan_110_never_reaches_120(lab: Lab, kind: str) -> None:
    source = mac("52:54:00:00:6e:01")
    guests = [g for g in lab.status()["guests"] if g["state"] == "running"]
    own = next(g for g in guests if g["name"] == "web-1")
    with ExitStack() as stack:
        others = [
            stack.enter_context(Capture(g["netns"], g["interface"])) for g in guests if not g["name"].startswith("web-")
        ]
        sent = stack.enter_context(Capture(own["netns"], own["interface"]))
        lab.guest("web-1", "ip route add 10.120.0.0/24 dev eth0")
        if kind != "broadcast":
            known = "52:54:00:00:78:01" if kind == "unicast" else "52:54:00:99:99:99"
            lab.guest("web-1", f"arp -i eth0 -s 10.120.0.11 {known}")
        lab.guest("web-1", "ping -c 2 -W 1 10.120.0.11", check=1)
        settle()
        lab.guest("web-1", "arp -d 10.120.0.11; ip route del 10.120.0.0/24 dev eth0", check=None)
        left = sent.frames(lambda data: data[6:12] == source and bytes([10, 120, 0, 11]) in data[:42])
        arrived = [frame for capture in others for frame in capture.frames(lambda data: data[6:12] == source)]
    assert left, "the guest sent nothing, so nothing is proven"
    assert arrived == []


TWIN = """
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {{name: twin-{vlan}, namespace: vms}}
spec:
  runStrategy: Once
  template:
    metadata:
      annotations: {{cni.projectcalico.org/net-0.ipAddrs: '["10.{vlan}.0.77"]'}}
    spec:
      domain:
        devices: {{interfaces: [{{name: net-0, bridge: {{}}, macAddress: "52:54:00:00:77:77"}}]}}
      networks: [{{name: net-0, multus: {{networkName: vms/vlan-{vlan}}}}}]
      volumes: [{{name: root, containerDisk: {{image: registry/bascule/lab-guest}}}}]
"""


def test_one_mac_on_two_vlans_works_in_both(lab: Lab, tmp_path: Path) -> None:
    for vlan in (110, 120):
        file = tmp_path / f"twin-{vlan}.yaml"
        file.write_text(TWIN.format(vlan=vlan))
        lab.cli("apply", "-f", str(file))
    try:
        until("both twins run", lambda: sum(g["name"].startswith("twin-") for g in lab.status()["guests"]) == 2, 40)
        for vlan in (110, 120):
            out = lab.lab("exec", "gateway", "--", "ping", "-i", "0.05", "-c", "40", "-W", "2", f"10.{vlan}.0.77").out
            assert " 0% packet loss" in out
    finally:
        for vlan in (110, 120):
            lab.delete_vm(f"twin-{vlan}")
