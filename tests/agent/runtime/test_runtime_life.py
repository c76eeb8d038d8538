"""A port's life under the real agent: up, killed under, adopted, held and moved, taken down."""

import asyncio
import json
import signal
import subprocess
import time

import pytest

from bascule.protocol.gen import agent_pb2 as pb
from bascule_kube.kinds import POD, VMIM

pytestmark = pytest.mark.root


async def test_a_pod_becomes_a_port_survives_kill_and_goes(rig, kit):
    rig.start()
    assert (await kit.until(lambda: kit.condition(rig)))["status"] == "True"  # Ready without any kit.VLAN needed here
    assert not [link for link in kit.ip_json("link") if link.get("linkinfo", {}).get("info_kind") == "bridge"]
    await rig.cluster.create(kit.pod("virt-launcher-web-1-a"))
    report = await rig.port_is("live")
    (port,), (bridge,) = report["ports"], report["bridges"]
    assert (port["vm"], port["nic"], port["vlan"], port["mac"], port["ip"]) == (
        "web-1",
        "net-0",
        kit.VLAN,
        kit.MAC,
        kit.IP,
    )
    assert (report["trunk"]["name"], report["trunk"]["vlans"]) == ("trunk0", [kit.VLAN])
    link = kit.host_link()
    assert link["master"] == bridge["name"] and "UP" in link["flags"] and link["ifindex"] == port["ifindex"]
    assert link["linkinfo"]["info_slave_data"]["locked"] and not link["linkinfo"]["info_slave_data"]["learning"]
    attached = kit.programs("h6host0") + kit.programs("trunk0")
    assert len(attached) == 3

    with kit.Wire(kit.POD_NS, kit.INTERFACE) as guest, kit.Wire(kit.FABRIC, "fab0") as fabric:
        guest.send(*[kit.udp()] * 7, *[kit.udp(src=kit.OTHER_MAC)] * 3, *[kit.tagged(kit.udp(), 120)] * 2)
        records, batches = await kit.frames_counted(rig, 12)
        assert fabric.received(kit.MAC) == {kit.VLAN: 7} and fabric.received(kit.OTHER_MAC) == {}
        by_verdict = sorted(zip(records["verdict"].tolist(), records["packets"].tolist(), strict=True))
        assert by_verdict == [(1, 7), (3, 2), (3, 3)]
        assert [p.vm for p in batches[-1].ports] == ["web-1"]
        assert abs(int(records["last"].max()) - time.time_ns()) < 10**10
        assert rig.rss_mib() < 115  # 108 measured with policy; 27 of them are the import of kubernetes.aio

        rig.end()
        guest.send(kit.udp())
        await asyncio.sleep(0.1)
        assert fabric.received(kit.MAC) == {kit.VLAN: 1}, "a dead agent must not stop the data plane"
    rig.start()
    report = await rig.port_is("live")
    assert report["agent"]["adopted"] == 1 and report["agent"]["changes"] == 0
    assert "adopted 1 ports, 0 changes" in rig.log.read_text()
    assert kit.programs("h6host0") + kit.programs("trunk0") == attached
    await kit.frames_counted(rig, 1)  # what came while no agent ran is drained by the next

    await rig.cluster.delete(POD, "virt-launcher-web-1-a", "vms")

    async def gone():
        report = await rig.report()
        return report and not report["ports"] and not report["bridges"]

    await kit.until(gone)
    assert not kit.programs("h6host0")
    assert "master" not in kit.host_link() and "UP" not in kit.host_link()["flags"]
    assert rig.end(signal.SIGTERM) == 0


async def test_a_target_is_held_until_the_first_frame_and_a_source_lets_go(rig, kit):
    rig.start()
    uid = await kit.migration(rig, "move-1")
    await rig.cluster.create(kit.pod("virt-launcher-web-1-b", uid))
    await rig.port_is("held")
    with kit.Wire(kit.POD_NS, kit.INTERFACE) as guest, kit.Wire(kit.FABRIC, "fab0") as fabric:
        fabric.send(kit.tagged(kit.udp(kit.PEER_MAC, "10.110.0.1", kit.MAC, kit.IP)))
        await asyncio.sleep(0.2)
        assert guest.received(kit.PEER_MAC) == {}, "a held port let a frame to the guest"
        sent_at = time.time_ns()
        guest.send(kit.rarp())
        await rig.port_is("live")
        assert fabric.received(kit.MAC) == {kit.VLAN: 1}
        assert kit.host_link()["linkinfo"]["info_slave_data"]["locked"]
        fabric.send(kit.tagged(kit.udp(kit.PEER_MAC, "10.110.0.1", kit.MAC, kit.IP)))
        await asyncio.sleep(0.05)
        assert guest.received(kit.PEER_MAC) == {0: 1}

        async def record():
            call = lambda stub, metadata: anext(aiter(stub.Moves(pb.MovesRequest(), metadata=metadata)))  # noqa: E731
            found = json.loads((await rig.call(call)).json)
            return found if found["announcements"] and found.get("held_frames", 1) else None

        found = await kit.until(record)
        (announced,) = found["announcements"]
        assert (found["migration_uid"], announced["kind"], announced["port"]) == (uid, "rarp", "h6host0")
        assert 0 <= announced["at"] - sent_at < 50_000_000

        await rig.cluster.merge_patch(VMIM, "move-1", {"status": {"phase": "Succeeded"}}, "vms", subresource="status")
        back = await kit.migration(rig, "move-2")
        fabric.send(kit.tagged(kit.rarp()))  # the VM speaks from elsewhere
        await rig.port_is("moved")
        fabric.send(*[kit.tagged(kit.udp(kit.PEER_MAC, "10.110.0.1", kit.MAC, kit.IP))] * 4)

        async def half():
            call = lambda stub, md: stub.SourceHalf(pb.SourceHalfRequest(migration_uid=back), metadata=md)  # noqa: E731
            found = json.loads((await rig.call(call)).json)
            return found if found["dropped_after"] else None

        found = await kit.until(half)
        assert guest.received(kit.PEER_MAC) == {}
    assert found["dropped_after"].get("moved", 0) >= 4
    (nic,) = found["nics"]
    assert nic["mac"] == kit.MAC and any(kit.MAC in entry for entry in nic["entries_removed"])
    static = subprocess.check_output(["bridge", "-n", kit.NODE_NS, "fdb", "show"], text=True)
    assert not [line for line in static.splitlines() if kit.MAC in line and "static" in line]
