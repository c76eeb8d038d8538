"""The hand-over's course: pulled twice, and what is told and admitted when the source says nothing."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from bascule.errors import UnreachableError
from bascule.flows.record import EGRESS, INGRESS, RECORD
from bascule.policy.layout import RuleName
from bascule.protocol.gen import agent_pb2 as pb
from bascule.resources.pod import PodNic
from bascule_agent.moves.handover import FOREVER, LATER_SECONDS, Handovers, Target
from bascule_agent.policy.hits import HitCount

NIC = PodNic(
    *("p2", "vms", "web-1", "net-0", "pod1", "dc1", 110, "52:54:00:00:6e:01", "10.110.0.11", "", "u1", "vms/vlan-110")
)


def vmim(phase: str) -> dict:
    state = {"sourceNode": "node1", "targetNode": "node2"}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstanceMigration",
        "metadata": {"name": "m", "namespace": "vms", "uid": "u1"},
        "spec": {"vmiName": "web-1"},
        "status": {"phase": phase, "migrationState": state},
    }


class Far:
    """The source's agent and this node's policy; `answers` is taken from the front, an error is raised."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[bool] = []
        self.read = 0
        self.taken: list[tuple[int, str, bytes, bool]] = []
        self.admitted: list[int] = []
        self.notes: list[tuple[str, dict, str]] = []
        self.slept: list[tuple[float, int]] = []
        self.selected = True

    def judges(self, ifindex: int) -> bool:
        return self.selected

    async def sleep(self, seconds: float) -> None:
        self.slept.append((seconds, len(self.asked)))

    async def pull(self, target: str, request: pb.HandoverRequest, seconds: float) -> pb.HandoverReply:
        assert (target, request.mac, request.vlan) == ("unix:/x", NIC.mac, NIC.vlan)
        self.asked.append(request.last)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return pb.HandoverReply(json="{}", connections=b"x" * int(str(answer)))

    async def take_over(self, ifindex: int, told: str, handed: bytes, last: bool) -> int:
        self.taken.append((ifindex, told, handed, last))
        return len(handed)

    async def admit_streams(self, ifindex: int, until_ns: int) -> None:
        self.admitted.append(until_ns)


async def run(far: Far) -> Handovers:
    async def node(name: str) -> dict:
        far.read += 1
        return {"metadata": {"name": name, "annotations": {"bascule.dev/agent": '{"target":"unix:/x"}'}}}

    def note(*told: Any) -> None:
        far.notes.append(told)

    found = Handovers("node2", far.pull, far, lambda uid: [Target(NIC, 7)], node, note, far.sleep)
    for phase in ("Scheduling", "TargetReady", "Running"):
        found.vmim_changed(vmim(phase))
        await asyncio.sleep(0.01)
    found.opened("u1")
    found.opened("u2")
    await asyncio.sleep(0.01)
    await found.close()
    return found


async def test_it_is_pulled_when_the_target_is_ready_and_again_at_the_first_frame():
    far = Far(3, 1)
    await run(far)
    assert far.asked == [False, True]
    assert far.read == 1, "nobody asks the API at the cut-over"
    assert [(ifindex, len(handed), last) for ifindex, _, handed, last in far.taken] == [(7, 3, False), (7, 1, True)]
    uid, told, problem = far.notes[-1]
    assert (uid, problem, told["admitted_s"]) == ("u1", "", 0)
    assert (told["at_ready"]["connections"], told["at_first_frame"]["connections"]) == (3, 1)


@pytest.mark.parametrize(
    ("selected", "ready", "slept"),
    [(False, 3, [(LATER_SECONDS, 1)]), (True, 3, []), (False, UnreachableError("x"), [])],
)
async def test_a_nic_without_a_policy_waits_with_the_second_pull(selected: bool, ready: object, slept: list):
    far = Far(ready, 1)
    far.selected = selected
    await run(far)
    assert (far.asked, far.slept) == ([False, True], slept)


async def test_a_silent_source_is_told_and_open_sessions_are_admitted_for_thirty_seconds():
    far = Far(UnreachableError("node1: gone"), UnreachableError("node1: gone"))
    await run(far)
    held, opened = far.admitted
    assert held == FOREVER  # while the port is held nothing passes it
    assert 29e9 < opened - time.monotonic_ns() < 30e9
    _, told, problem = far.notes[-1]
    assert "node1: gone" in problem and told["admitted_s"] == 30 and told["at_ready"] is None


async def test_a_source_that_answers_the_second_time_is_enough():
    far = Far(UnreachableError("node1: busy"), 2)
    await run(far)
    assert far.admitted == [FOREVER, 0]
    assert far.read == 2, "an agent that did not answer may be another one by now"
    assert far.notes[-1][1]["admitted_s"] == 0 and far.notes[-1][2] == ""


def test_a_hit_is_a_packet_of_the_rules_direction():
    names = {1: RuleName("NetworkPolicy", "vms", "in", "default", "Ingress", "Allow", 0)}
    key = ("vms", "p1", "net")
    hits = HitCount({7: key}.get, names.get, {}, 5)
    records = np.zeros(4, RECORD)
    records["ifindex"], records["rule"], records["packets"] = 7, (1, 1, 0, 9), (3, 4, 5, 6)
    records["direction"], records["last"] = (INGRESS, EGRESS, INGRESS, INGRESS), 11
    hits.add(records)
    hits.add(records)
    assert {rule: (each.packets, each.last_ns) for rule, each in hits.of(key).items()} == {1: (6, 11)}
    again = HitCount({7: key}.get, names.get, hits.document(), 99)
    assert again.since_ns == 5 and again.of(key) == hits.of(key)
