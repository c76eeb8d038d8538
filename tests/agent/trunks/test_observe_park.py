"""Mode observe beside a data plane of another owner: nothing of it changes, its drift is told and not mended."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import struct
import subprocess

import pytest

from bascule.protocol.gen import agent_pb2 as pb
from bascule_agent.bpf import raw
from bascule_agent.netlink import Netlink, in_netns

pytestmark = pytest.mark.root
TCX_INGRESS, TCX_EGRESS = 46, 47
_PROG_QUERY, _LINK_CREATE = 16, 28
PASS = struct.pack("<BBhi", 0xB7, 0, 0, -1) + struct.pack("<BBhi", 0x95, 0, 0, 0)  # return TCX_NEXT / TC_ACT_UNSPEC


def bpf(command: int, data: bytes) -> tuple[int, bytes]:
    attr = ctypes.create_string_buffer(data.ljust(64, b"\0"), 64)
    return raw._bpf(command, attr), attr.raw


def attach_tcx(index: int, program: int) -> int:
    """BPF_LINK_CREATE (union bpf_attr.link_create: prog_fd, target_ifindex, attach_type, flags)."""
    fd, _ = bpf(_LINK_CREATE, struct.pack("<IIII", program, index, TCX_INGRESS, 0))
    return fd


def tcx(index: int) -> list[int]:
    """BPF_PROG_QUERY: the ids of the tcx programs of a link, both sides (union bpf_attr.query)."""
    found = []
    for side in (TCX_INGRESS, TCX_EGRESS):
        ids = (ctypes.c_uint32 * 16)()
        head = struct.pack("<IIIIQI", index, side, 0, 0, ctypes.addressof(ids), 16)
        _, after = bpf(_PROG_QUERY, head)
        (count,) = struct.unpack_from("<I", after, 24)
        found += list(ids[:count])
    return found


def shell(park, *words: str) -> None:
    subprocess.run([words[0], "-n", park.ns("node1"), *words[1:]], check=True)


def picture(park, index: int) -> dict:
    """Everything of the foreign data plane, by iproute2 and bpf(2)."""
    links = park.iproute("ip", "-j", "link")
    return {
        "links": [{k: v for k, v in link.items() if k != "operstate"} for link in json.loads(links)],
        "bridge": park.iproute("bridge", "-d", "-j", "link"),
        "fdb": sorted(park.iproute("bridge", "fdb", "show").splitlines()),
        "tc": [park.iproute("tc", "-j", "filter", "show", "dev", d, s) for d in DEVS for s in ("ingress", "egress")],
        "qdisc": park.iproute("tc", "-j", "qdisc", "show"),
        "tcx": in_netns(park.ns("node1"), lambda: tcx(index)),
        "addresses": park.iproute("ip", "-j", "address"),
    }


DEVS = ("trunk0", "calb-dc1", "cali1")


async def test_nothing_of_the_foreign_data_plane_changes_and_its_drift_is_told(park, kit):
    shell(park, "ip", "link", "add", "calb-dc1", "address", "02:00:00:00:00:77", "type", "bridge")
    shell(park, "ip", "link", "add", "cali1", "type", "veth", "peer", "cali1p")
    for link in ("cali1", "cali1p", "trunk0"):
        shell(park, "ip", "link", "set", link, *(() if link == "cali1p" else ("master", "calb-dc1")), "up")
    shell(park, "ip", "link", "set", "calb-dc1", "up")
    program = raw.prog_load(PASS, "foreign")
    index = int(next(link["ifindex"] for link in json.loads(park.iproute("ip", "-j", "link", "show", "cali1"))))
    held = in_netns(park.ns("node1"), lambda: attach_tcx(index, program))
    try:
        with Netlink(park.ns("node1")) as owner:
            owner.attach_bpf(index, "ingress", program, "foreign")
            owner.attach_bpf(owner.link("trunk0").index, "egress", program, "foreign")
        await asyncio.sleep(1.0)
        before = picture(park, index)
        assert before["tcx"] == [raw.prog_info(program).id]
        park.start(mode="observe")
        await kit.until(park.report)
        cells = await park.proof()
        assert {cell["verdict"] for cell in cells} == {"proven"}, "trunks are proven whoever owns them"
        candidates = lambda stub, md: stub.Candidates(pb.CandidatesRequest(listen_seconds=0.1), metadata=md)  # noqa: E731
        await park.call(candidates)
        await asyncio.sleep(1.0)
        after = picture(park, index)
        for what, was in before.items():
            if what != "fdb":  # the bridge learns the probe's own answers as it learns every frame
                assert after[what] == was, what
        assert not [line for line in after["fdb"] if line not in before["fdb"] and "permanent" in line]
        assert not (await park.report())["findings"]

        shell(park, "ip", "link", "set", "trunk0", "mtu", "1400")

        async def told():
            found = (await park.report())["findings"]
            return found if any("MTU of trunk0 is 1400, was 1500" in f["message"] for f in found) else None

        await kit.until(told)

        async def bad():
            return (await park.condition()).get("reason") == "Drift"

        await kit.until(bad)
        assert json.loads(park.iproute("ip", "-j", "link", "show", "trunk0"))[0]["mtu"] == 1400, "told, not mended"
        shell(park, "ip", "link", "set", "trunk0", "mtu", "1500")

        async def clear():
            return not (await park.report())["findings"]

        await kit.until(clear)
    finally:
        os.close(held)
        os.close(program)
