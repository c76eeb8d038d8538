"""The real agent finds 200 pods of one Network, each in a VLAN of its own: first step until the last port is live.

With everything around it that the bare figure (trunks.py) leaves out: commit-confirm with its dead-man process, the
looks before and after, ports policed and brought up one by one, logs. Times are the agent's own log's.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.agent.trunks import conftest as kit
from tests.perf.trunks import spec

from bascule.resources.kubevirt import pod_interface_name
from bascule_lab.nodes import netns

VLANS, FIRST = 200, 1000
LINE = re.compile(r"^(\d\d:\d\d:\d\d\.\d{3}) INFO (?:step: |port \S+ of \S+ is live)", re.M)


def plug(park: kit.Rig, number: int) -> tuple[str, str, str]:
    """A pod's namespace with its link, the host side down; namespace, MAC, address."""
    name, mac = f"{kit.PREFIX}-p-{number}", f"52:54:00:01:{number >> 8:02x}:{number & 255:02x}"
    netns.make(name)
    netns.link_in(park.ns("node1")).add_veth(f"hv-{number}", pod_interface_name("net-0"), peer_netns=name, peer_mac=mac)
    return name, mac, f"10.200.{number >> 8}.{number & 255}"


async def measure() -> float:
    """Seconds between the first step and the last port."""
    with tempfile.TemporaryDirectory(prefix="bp-agent-") as state:
        park = kit.Rig(Path(state), 1)
        try:
            await park.build()
            document = kit.NETWORK.of("dc1")
            await park.cluster.apply(document | {"spec": spec(FIRST, FIRST + VLANS - 1)})
            for number in range(VLANS):
                name, mac, ip = await netns.net(plug, park, number)
                await park.cluster.create(kit.pod(f"vm-{number}", "node1", FIRST + number, mac, ip, name))
            park.start()

            async def all_live() -> bool:
                states = [port["state"] for port in (await park.report()).get("ports", [])]
                return states == ["live"] * VLANS

            await kit.until(all_live, 120.0, 0.5)
            times = [datetime.strptime(at, "%H:%M:%S.%f") for at in LINE.findall(park.log("node1").read_text())]
            return (max(times) - min(times)).total_seconds()
        finally:
            await park.close()


def rows() -> list[dict[str, Any]]:
    """The figure."""
    seconds = asyncio.run(measure())
    name = f"trunks: agent, {VLANS} pods in {VLANS} VLANs, first step to last port live"
    row = {"name": name, "value": round(seconds, 3), "unit": "s", "baseline": None, "ratio": None}
    return [row | {"goal": "≤ 2 s", "met": None}]
