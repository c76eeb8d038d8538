"""Steps `stop` and `start`: the address leaves the old side and speaks again on the cluster, and never at both.

What keeps both ends from speaking at once stands in four places: the target starts only when the source is off and
nobody has answered (`_fence`), and is asked again when that proof has grown old; the source starts only when the
target's instance is gone and nobody has answered.
"""

from __future__ import annotations

import asyncio
import time

from bascule.migration.machine import CHECK, VERIFY
from bascule.migration.run import begun_ns, last_evidence
from bascule.migration.run_fence import SILENCE_S, Quiet, foreign
from bascule.migration.run_record import outage
from bascule.resources.kubevirt import VirtualMachine
from bascule.resources.read import dig, text
from bascule_console.services.collect.hypervisor import GONE, OFF, ON, VmGone
from bascule_console.services.run.act_create import instance, machine, source_is_off
from bascule_console.services.run.identity import identity
from bascule_console.services.run.moving import Evidence, Moving, StepFailed
from bascule_kube.kinds import VM

ASK_S, POLL_S, FRESH_S = 5.0, 0.05, 2.0


class StopAct:
    """The source lets go."""

    async def check(self, vm: Moving) -> Evidence:
        """It is there, and whoever answers for its addresses has its MAC; each place that will ask hears it now."""
        power = await vm.ends.source.power(vm.uuid)
        if power == GONE:
            raise VmGone(f"the source has no VM {vm.planned.name} any more", "", "plan build again, without it")
        watch = await vm.listen()
        begin = time.time_ns() - round(SILENCE_S * 1e9)
        deadline = time.monotonic() + ASK_S
        while True:
            heard = {nic.ip: watch.heard_since(begin, nic.ip) for nic in vm.nics}
            whole = all(heard.values()) and not any(watch.deaf(nic.ip) for nic in vm.nics)
            if power == OFF or whole or time.monotonic() > deadline:
                break
            await asyncio.sleep(POLL_S)
        for nic in vm.nics:
            others = foreign(nic.mac, heard[nic.ip])
            if others or (power == OFF and heard[nic.ip]):
                _somebody(nic.ip, nic.vlan, heard[nic.ip], others)
            if power == ON and not heard[nic.ip]:
                cause = f"nobody answered ARP in {ASK_S:g} s, though {vm.planned.name} is on"
                fix = f"is its address still {nic.ip}? bascule estate import again; bascule addresses check {nic.ip}"
                raise StepFailed(f"{nic.ip} does not answer on VLAN {nic.vlan}", cause, fix)
            if power == ON and (deaf := watch.deaf(nic.ip)):
                cause = f"{', '.join(deaf)} heard nobody in {ASK_S:g} s, others did: its silence would prove nothing"
                raise StepFailed(f"{nic.ip} is not heard everywhere on VLAN {nic.vlan}", cause, "bascule trunks prove")
        return {"power": power, "heard": heard, "autostart": await vm.ends.source.autostart(vm.uuid)}

    async def apply(self, vm: Moving) -> Evidence:
        """Shut it down, its guest is asked first; nor may a boot of its host start it beside the target."""
        await vm.ends.source.autostart(vm.uuid, False)
        return {"how": await vm.ends.source.shut_down(vm.uuid, vm.ends.limits.shut_down)}

    async def verify(self, vm: Moving) -> Evidence:
        """The hypervisor says off. That its address is silent is proven while the disks are copied, and is what the
        start waits for."""
        power = await vm.ends.source.power(vm.uuid)
        if power != OFF:
            raise StepFailed(f"{vm.planned.name} is not off", f"its power is {power}")
        watch = await vm.listen()
        return {"last_answer_ns": {nic.ip: watch.last_answer_ns(nic.ip) for nic in vm.nics}}

    async def revert(self, vm: Moving) -> Evidence:
        """Start it again, once the target cannot speak any more, and hear its address from its old MAC."""
        was = last_evidence(vm.deeds, "stop", CHECK)
        power = await vm.ends.source.power(vm.uuid)
        if power == GONE and was.get("power") != OFF:
            raise VmGone(f"the source has no VM {vm.planned.name} any more", "nothing can be given back",
                         "restore it on the old side, then roll back again")  # fmt: skip
        if was.get("autostart") and power != GONE:
            await vm.ends.source.autostart(vm.uuid, True)
        if was.get("power") == OFF:
            return {"note": "it was off before"}
        await _target_cannot_speak(vm)
        watch = await vm.listen()
        if power == OFF:
            if why := await watch.wait_silent(vm.ends.limits.silence):
                raise StepFailed(f"{vm.planned.name} is not started: its address is not silent", why,
                                 "find who answers: bascule addresses check")  # fmt: skip
            await vm.ends.source.start(vm.uuid)
        return {"answers": await _answers(vm, time.time_ns())}


class StartAct:
    """The target speaks."""

    async def check(self, vm: Moving) -> Evidence:
        """The source is off, and nobody has answered for SILENCE_S, asked from two places."""
        return {"fence": await _fence(vm)}

    async def apply(self, vm: Moving) -> Evidence:
        """Let KubeVirt run it."""
        there = await machine(vm)
        if there is None:
            raise StepFailed(f"VirtualMachine {vm.place} was deleted meanwhile", "", "the move begins anew")
        if VirtualMachine.of(there).run_strategy == "Halted":
            if time.monotonic() - vm.proven_at > FRESH_S:
                await _fence(vm)
            await _strategy(vm, there, "Always")
        return {}

    async def verify(self, vm: Moving) -> Evidence:
        """Its address answers, and the guest has the MAC, address and VLAN of the plan."""
        watch, started = await vm.listen(), begun_ns(vm.deeds, "start")
        await _answered(vm, started)
        who = await identity(vm)
        stopped = last_evidence(vm.deeds, "stop", VERIFY).get("last_answer_ns") or {}
        found: Evidence = {**who, "fence": last_evidence(vm.deeds, "start", CHECK).get("fence")}
        for nic in vm.nics:
            line = watch.main(nic.ip)
            seen = outage(line.log.points() if line else [], begun_ns(vm.deeds, "stop"), started)
            last = seen.last_ns or stopped.get(nic.ip)
            seen = type(seen)(last, seen.first_ns)
            if seen.ms is not None and seen.ms >= found.get("outage_ms", 0.0):
                found |= {"outage_ms": seen.ms, "last_answer_ns": last, "first_answer_ns": seen.first_ns,
                          "outage_from": f"{line.asked.kind} from {line.place}" if line else ""}  # fmt: skip
        return found

    async def revert(self, vm: Moving) -> Evidence:
        """Stop it, and prove its addresses silent."""
        there = await machine(vm)
        if there is not None and VirtualMachine.of(there).run_strategy != "Halted":
            await _strategy(vm, there, "Halted")
        await _gone(vm)
        if await vm.ends.source.power(vm.uuid) == ON:
            return {"note": "the source runs already"}
        watch = await vm.listen()
        if why := await watch.wait_silent(vm.ends.limits.silence):
            raise StepFailed(f"{vm.place} is stopped, but its address is not silent", why, "bascule addresses check")
        return {"silent": [_row(each) for each in watch.silence()]}


async def _fence(vm: Moving) -> list[Evidence]:
    """Who may speak now: nobody. Raises StepFailed, naming the MAC that answers."""
    await source_is_off(vm)
    watch = await vm.listen()
    if why := await watch.wait_silent(vm.ends.limits.silence):
        since = time.time_ns() - round(2 * SILENCE_S * 1e9)
        for nic in vm.nics:
            if heard := watch.heard_since(since, nic.ip):
                _somebody(nic.ip, nic.vlan, heard, sorted(heard))
        raise StepFailed(f"{vm.place} is not started: that nobody has its address is not proven", why,
                         "bascule nodes list: two places have to ask")  # fmt: skip
    await source_is_off(vm)
    vm.proven_at = time.monotonic()
    return [_row(each) for each in watch.silence()]


def _row(each: Quiet) -> Evidence:
    return {"from": each.place, "seconds": round(each.seconds, 3), "unanswered": each.unanswered}


def _somebody(ip: str, vlan: int, heard: dict[str, str], others: list[str]) -> None:
    mac = (others or sorted(heard))[0]
    cause = f"{mac} answers, heard at {heard.get(mac, 'a probe')}"
    fix = f"find {mac} on the switch and take {ip} away from it, then run again"
    raise StepFailed(f"{ip} on VLAN {vlan} is held by another: the target is not started", cause, fix)


async def _strategy(vm: Moving, before: Evidence, strategy: str) -> None:
    patch = {"spec": {"runStrategy": strategy}}
    after = await vm.ends.cluster.merge_patch(VM, vm.name, patch, namespace=vm.namespace)
    vm.ends.journal.append("plan run" if strategy == "Always" else "plan rollback", before, after)


async def _gone(vm: Moving) -> None:
    deadline = time.monotonic() + vm.ends.limits.gone
    while (there := await instance(vm)) is not None:
        if time.monotonic() > deadline:
            node = text(dig(there, "status", "nodeName")) or "its node"
            raise StepFailed(
                f"{vm.place} does not stop",
                f"its instance is still there after {vm.ends.limits.gone:.0f} s, on {node}",
                f"if {node} is lost, cut its power, then kubectl delete vmi -n {vm.namespace} {vm.name} --force",
            )
        await asyncio.sleep(POLL_S)


async def _target_cannot_speak(vm: Moving) -> None:
    there = await machine(vm)
    if there is not None and VirtualMachine.of(there).run_strategy != "Halted":
        await _strategy(vm, there, "Halted")
    await _gone(vm)


async def _answers(vm: Moving, since_ns: int) -> Evidence:
    """Who answers for each address since then: only the planned MAC may."""
    watch = await vm.listen()
    deadline = time.monotonic() + vm.ends.limits.answer
    while not all(watch.heard_since(since_ns, nic.ip) for nic in vm.nics):
        if time.monotonic() > deadline:
            words = f"{vm.planned.name} runs on the old side again, but {vm.who} does not answer"
            raise StepFailed(words, f"for {vm.ends.limits.answer:.0f} s", "look at its console, then roll back again")
        await asyncio.sleep(POLL_S)
    heard = {nic.ip: watch.heard_since(since_ns, nic.ip) for nic in vm.nics}
    for nic in vm.nics:
        if others := foreign(nic.mac, heard[nic.ip]):
            _somebody(nic.ip, nic.vlan, heard[nic.ip], others)
    return heard


async def _answered(vm: Moving, since_ns: int) -> None:
    """Until each address answers, or its instance has failed."""
    watch = await vm.listen()
    deadline = time.monotonic() + vm.ends.limits.running
    asked = 0.0
    while not all((watch.last_answer_ns(nic.ip) or 0) >= since_ns for nic in vm.nics):
        if time.monotonic() - asked > 1.0:
            asked = time.monotonic()
            there = await instance(vm)
            if text(dig(there, "status", "phase")) == "Failed":
                told = [text(dig(each, "message")) for each in dig(there, "status", "conditions") or []]
                raise StepFailed(f"{vm.place} failed", "; ".join(filter(None, told)) or "its instance says Failed")
        if time.monotonic() > deadline:
            phase = text(dig(await instance(vm), "status", "phase")) or "there is no instance"
            raise StepFailed(f"{vm.place} does not answer", f"{vm.who}: silent for {vm.ends.limits.running:.0f} s; "
                             f"instance: {phase}", f"bascule vms show {vm.name}")  # fmt: skip
        await asyncio.sleep(POLL_S)
