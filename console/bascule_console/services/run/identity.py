"""Is the guest that runs the one of the plan? By KubeVirt's word, the node's agent's, and the wire's."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any

from bascule.errors import BasculeError
from bascule.resources.kubevirt import Instance
from bascule_console.services.run.act_create import instance
from bascule_console.services.run.ends import Asked
from bascule_console.services.run.moving import Evidence, Moving, StepFailed
from bascule_console.store.nodes import agent_target
from bascule_kube.kinds import NODE

SETTLE_S, ASK_S, ASK_MS = 15.0, 0.3, 50.0


async def identity(vm: Moving) -> Evidence:
    """{node, nics[]{nic vlan ip mac by}, missing}. Raises StepFailed when MAC, address or VLAN are not the plan's."""
    there = await _running(vm)
    missing: Evidence = {}
    ports = await _ports(vm, there.node, missing)
    found = []
    for nic in vm.planned.nics:
        status = next((each for each in there.interfaces if each.name == nic.name), None)
        port = next((each for each in ports if each.get("nic") == nic.name), None)
        said: dict[str, tuple[Any, Any, Any]]
        said = {"VirtualMachineInstance": (status.mac, status.ip, nic.vlan)} if status else {}
        if port is not None:
            said[f"the agent of {there.node}"] = (port.get("mac"), port.get("ip"), port.get("vlan"))
        for who, (mac, ip, vlan) in said.items():
            wanted = (nic.mac or mac, nic.ip or ip, nic.vlan)
            if nic.connected and (mac, ip, vlan) != wanted:
                cause = f"{who} says {mac}, {ip}, VLAN {vlan}; planned are {wanted[0]}, {wanted[1]}, VLAN {wanted[2]}"
                raise StepFailed(f"{vm.place} runs with another identity on {nic.name}", cause)
        mac, ip = (status.mac, status.ip) if status else (nic.mac, nic.ip)
        found.append({"nic": nic.name, "vlan": nic.vlan, "ip": ip, "mac": mac, "by": sorted(said)})
    await _wire(vm, there.node, missing)
    return {"node": there.node, "nics": found, "missing": missing}


async def _running(vm: Moving) -> Instance:
    deadline = time.monotonic() + SETTLE_S
    while True:
        document = await instance(vm)
        there = Instance.of(document or {})
        if there.phase == "Running":
            return there
        if time.monotonic() > deadline:
            phase = there.phase or "there is no instance"
            raise StepFailed(f"{vm.who} answers, but {vm.place} does not run", f"instance: {phase}",
                             "somebody else answers: bascule addresses check")  # fmt: skip
        await asyncio.sleep(0.1)


async def _ports(vm: Moving, node: str, missing: Evidence) -> list[Evidence]:
    """The VM's ports at its node, by that node's agent; none where no agent answers, which `missing` says."""
    try:
        agent = agent_target(await vm.ends.cluster.get(NODE, node))
        if agent is None:
            missing["agent"] = f"node {node} has no agent"
            return []
        report = await vm.ends.agents.node_report(agent)
    except BasculeError as error:
        missing["agent"] = str(error)
        return []
    return [port for port in report.get("ports") or [] if port.get("vm") == vm.name and port.get("nic")]


async def _wire(vm: Moving, node: str, missing: Evidence) -> None:
    """From another node's trunk the address answers with the planned MAC, and with no other."""
    places = await vm.ends.wire.places(avoid=node)
    if not places:
        missing["wire"] = "no place that asks"
        return
    for nic in vm.nics:
        asked = Asked("arp", nic.ip, nic.network, nic.vlan, ASK_MS)
        macs, deadline = set[str](), time.monotonic() + SETTLE_S
        while not macs and time.monotonic() < deadline:
            async with aclosing(vm.ends.wire.probe(places[-1], asked, ASK_S)) as batches:
                async for seen in batches:
                    macs.update(seen.answered_by)
        if macs != {nic.mac or next(iter(macs), "")}:
            cause = f"{', '.join(sorted(macs)) or 'nobody'} answered at {places[-1]}; planned is {nic.mac}"
            raise StepFailed(f"{nic.ip} does not answer as planned on VLAN {nic.vlan}", cause, "bascule trunks prove")
