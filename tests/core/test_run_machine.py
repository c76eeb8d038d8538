"""The run's journal: every prefix resumes, a crash hides nothing from a rollback, and no order of crashes, rollbacks
and retries lets old and new side speak for one address at once."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.migration.machine import APPLY, BACK, BLOCKED, CHECK, DONE, REVERT, ROLLBACK, STUCK, VERIFY
from bascule.migration.run import (
    ACCEPT,
    ATTEMPT,
    INTENT,
    STEPS,
    Deed,
    by_vm,
    command,
    events,
    next_of,
    row,
)


def deed(step: str, action: str, ok: bool = True, **evidence: Any) -> Deed:
    return Deed("p", "/k", "vms", "web-1", 1, step, action, ok, evidence, "2026-11-23T12:00:00.000Z")


def forward(count: int = 3 * len(STEPS)) -> list[Deed]:
    """The first actions of a run in which all goes well, intents among them."""
    found = []
    for step in STEPS:
        found += [deed(step, CHECK), deed(step, INTENT), deed(step, APPLY), deed(step, VERIFY)]
    return found[:count]


def test_a_deed_is_read_back_as_it_was_written() -> None:
    one = deed("disks", APPLY, disks=[{"bytes": 5}])
    assert Deed.of(one.document()) == one
    assert one.document()["metadata"] == {"name": "web-1", "namespace": "vms"}
    assert Deed.of({"kind": "VirtualMachine"}) is None and Deed.of(None) is None


@pytest.mark.parametrize("count", range(4 * len(STEPS) + 1))
def test_every_prefix_goes_on_where_it_stopped(count: int) -> None:
    done = forward(count)
    found = next_of(done)
    if count == 4 * len(STEPS):
        assert found.state == DONE
        return
    step, action = STEPS[count // 4], (CHECK, APPLY, APPLY, VERIFY)[count % 4]
    assert (found.step, found.action) == (step, action)


@pytest.mark.parametrize("count", range(1, 4 * len(STEPS) + 1))
def test_a_rollback_after_any_prefix_reverts_all_that_may_have_been_begun(count: int) -> None:
    done = [*forward(count), deed("", ROLLBACK)]
    begun = {each.step for each in done if each.action == INTENT}
    reverted = []
    while (found := next_of(done)).step:
        assert found.action == REVERT
        reverted.append(found.step)
        done.append(deed(found.step, REVERT))
    assert found.state == BACK
    assert reverted == [step for step in reversed(STEPS) if step in begun]


def test_a_new_attempt_forgets_the_one_before() -> None:
    done = [*forward(3), deed("network", APPLY, False), deed("network", REVERT)]
    assert next_of(done).state == BACK
    again = by_vm([*done, deed("", ATTEMPT)])["vms/web-1"]
    assert next_of(again) == next_of([])


def test_rows_say_where_it_stands_and_what_leads_on() -> None:
    vm = {"name": "Web 1", "target": "web-1", "wave": 1, "held": []}
    assert row(vm, "vms", []).state == "waiting"
    assert row({**vm, "wave": 0, "held": ["ip-known: none"]}, "vms", []).state == "held"
    moved = [*forward(4 * len(STEPS) - 1), deed("start", VERIFY, outage_ms=4321.5)]
    found = row(vm, "vms", moved)
    assert (found.state, found.outage_ms) == ("moved", 4321.5)
    assert row(vm, "vms", [*moved, deed(ACCEPT, APPLY), deed(ACCEPT, VERIFY)]).state == "accepted"
    assert row(vm, "vms", [*moved, deed(ACCEPT, APPLY)]).state == "moved"
    blocked = row(vm, "vms", [deed("network", CHECK, False, why="VLAN 110 fails")])
    assert (blocked.state, blocked.why) == (BLOCKED, "VLAN 110 fails")
    back = [*forward(4), deed("", ROLLBACK), deed("network", REVERT, False, why="away")]
    assert row(vm, "vms", back).state == STUCK
    assert row(vm, "vms", back[:-1]).state == "going back"
    for state in ("blocked", "stuck", "moving", "going back", "rolled back", "moved"):
        assert "web-1" in command(state, "web-1")


class Crash(BaseException):
    """The runner is killed."""


@dataclass
class World:
    """Two ends of one address, and a runner that can be killed before and after every effect on it."""

    chance: random.Random
    kill: float
    fail: float
    source: bool = True
    target: bool = False
    copied: bool = False
    deeds: list[Deed] = field(default_factory=list)

    def effect(self, name: str, value: bool) -> None:
        self.crash()
        setattr(self, name, value)
        assert not (self.source and self.target), "both ends speak"
        self.crash()
        if self.chance.random() < self.fail:
            raise RuntimeError(name)

    def crash(self) -> None:
        if self.chance.random() < self.kill:
            raise Crash

    def put(self, *args: Any) -> None:
        self.crash()
        self.deeds.append(deed(*args))
        self.crash()

    def act(self, step: str, action: str) -> bool:
        """The rules of console/services/run/act_cutover.py, without their waits."""
        if (step, action) == ("stop", APPLY):
            self.effect("source", False)
        elif (step, action) == ("disks", APPLY):
            self.effect("copied", True)
        elif (step, action) in (("disks", CHECK), ("start", CHECK)):
            return not self.source and not self.target
        elif (step, action) == ("start", APPLY):
            if not self.target:
                if self.source or not self.copied:
                    return False
                self.effect("target", True)
        elif (step, action) == ("start", REVERT):
            self.effect("target", False)
        elif (step, action) == ("stop", REVERT):
            if self.target:
                self.effect("target", False)
            self.effect("source", True)
        elif (step, action) == ("disks", REVERT):
            self.effect("copied", False)
        return self.chance.random() >= self.fail

    def drive(self) -> None:
        """console/services/run/drive.py, as it is."""
        begun = len(self.deeds)
        while (found := next_of(self.deeds)).step:
            if found.state in (BLOCKED, STUCK) and len(self.deeds) > begun:
                return
            if found.action == APPLY:
                self.put(found.step, INTENT)
            try:
                ok = self.act(found.step, found.action)
            except RuntimeError:
                ok = False
            self.put(found.step, found.action, ok)


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32), kill=st.sampled_from((0.0, 0.05, 0.3)), fail=st.sampled_from((0.0, 0.05, 0.3)))
def test_no_order_of_crashes_failures_and_rollbacks_lets_both_ends_speak(seed: int, kill: float, fail: float) -> None:
    world = World(random.Random(seed), kill, fail)
    wish = random.Random(seed + 1)
    for _ in range(12):
        state = next_of(world.deeds).state
        try:
            if state == BACK:
                world.put("", ATTEMPT)
                world.deeds = by_vm(world.deeds).get("vms/web-1", [])
            elif world.deeds and wish.random() < 0.3:
                world.put("", ROLLBACK)
            world.drive()
        except Crash:
            continue
    world.kill = world.fail = 0.0
    for _ in range(3):
        world.drive()
    found = next_of(world.deeds)
    assert found.state in (DONE, BACK, BLOCKED), found
    if found.state == DONE:
        assert (world.source, world.target, world.copied) == (False, True, True)
    elif found.state == BACK:
        assert (world.source, world.target, world.copied) == (True, False, False)


def test_without_intents_a_crash_in_start_would_let_both_speak() -> None:
    """The witness that the model can fail: the same order without the word INTENT."""
    done = [*forward(4 * STEPS.index("start")), deed("start", CHECK), deed("start", INTENT), deed("", ROLLBACK)]
    assert next_of(done).step == "start"
    blind = [each for each in done if each.action != INTENT]
    assert next_of(blind).step == "disks"
    assert [each.step for each in events(blind)][-1] == ""
    assert replace(done[0], ok=False) != done[0]
