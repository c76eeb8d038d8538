"""The run of a plan as its journal tells it: what was done to every VM, what is next, and where each stands.

One record is a deed: an action of `machine.py` that ended, with its evidence. Two words are added to the machine's.
INTENT is written before a change is begun, because a crash between change and record must not hide the change from a
rollback: the step counts as begun, and is reverted. ATTEMPT begins anew after everything was taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bascule.migration.machine import (
    APPLY,
    BACK,
    BLOCKED,
    CHECK,
    DONE,
    REVERT,
    ROLLBACK,
    STUCK,
    VERIFY,
    Event,
    Next,
    following,
)
from bascule.resources.read import dig, integer, mapping, text

Doc = dict[str, Any]
API_VERSION, KIND = "bascule.dev/v1", "MigrationStep"
INTENT, ATTEMPT = "intent", "attempt"
STEPS = ("network", "policy", "create", "stop", "disks", "start")
"""What a run does; the last step of the plan, `accept`, is the operator's word."""
ACCEPT = "accept"
WAITING, MOVING, MOVED, ACCEPTED, GOING_BACK, HELD = "waiting", "moving", "moved", "accepted", "going back", "held"
_MACHINE = (CHECK, APPLY, VERIFY, REVERT, ROLLBACK)


@dataclass(frozen=True, slots=True)
class Deed:
    """One record: `vm` is the key in the plan, `at` ISO 8601 UTC, `evidence` what JSON can hold."""

    plan: str
    vm: str
    namespace: str
    target: str
    wave: int
    step: str
    action: str
    ok: bool
    evidence: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""

    @property
    def key(self) -> str:
        """`namespace/target`: whom it is about, whatever plan it was done by."""
        return f"{self.namespace}/{self.target}"

    def document(self) -> Doc:
        """As the journal holds it (contracts.md section 9)."""
        names = ("plan", "vm", "wave", "step", "action", "ok", "at")
        spec = {**{name: getattr(self, name) for name in names}, "evidence": dict(self.evidence)}
        meta = {"name": self.target, "namespace": self.namespace}
        return {"apiVersion": API_VERSION, "kind": KIND, "metadata": meta, "spec": spec}

    @classmethod
    def of(cls, document: Any) -> Deed | None:
        """The deed in a journal record's `after`; None when it is another object's."""
        if dig(document, "kind") != KIND or dig(document, "apiVersion") != API_VERSION:
            return None
        spec = mapping(dig(document, "spec"))
        return cls(
            text(spec.get("plan")),
            text(spec.get("vm")),
            text(dig(document, "metadata", "namespace")),
            text(dig(document, "metadata", "name")),
            integer(spec.get("wave")) or 0,
            text(spec.get("step")),
            text(spec.get("action")),
            spec.get("ok") is True,
            mapping(spec.get("evidence")),
            text(spec.get("at")),
        )


def by_vm(deeds: Iterable[Deed]) -> dict[str, list[Deed]]:
    """The deeds of each VM's last attempt, in their order, by `namespace/target`."""
    found: dict[str, list[Deed]] = {}
    for deed in deeds:
        if deed.action == ATTEMPT:
            found[deed.key] = []
        else:
            found.setdefault(deed.key, []).append(deed)
    return found


def events(deeds: Sequence[Deed]) -> list[Event]:
    """The machine's events: a change that was intended counts as begun once the way is back."""
    found: list[Event] = []
    open_step = ""
    for deed in deeds:
        if deed.step not in ("", *STEPS):
            continue
        if deed.action == INTENT:
            open_step = deed.step
        elif deed.action in _MACHINE:
            if deed.action == ROLLBACK and open_step:
                found.append(Event(open_step, APPLY, True))
            open_step = ""
            found.append(Event(deed.step, deed.action, deed.ok))
    return found


def next_of(deeds: Sequence[Deed]) -> Next:
    """What is to be done with a VM after the deeds of its last attempt."""
    return following(STEPS, events(deeds))


def has(deeds: Iterable[Deed], step: str, action: str) -> bool:
    """Did this action of this step succeed?"""
    return any(deed.step == step and deed.action == action and deed.ok for deed in deeds)


def last_evidence(deeds: Sequence[Deed], step: str, action: str) -> Mapping[str, Any]:
    """What the last successful such deed found; empty when there is none."""
    for deed in reversed(deeds):
        if (deed.step, deed.action) == (step, action) and deed.ok:
            return deed.evidence
    return {}


@dataclass(frozen=True, slots=True)
class RunRow:
    """Where one VM stands. `outage_ms` is None until it was measured; `next` is the command that leads on, "" for
    none; `since` is when the last deed was recorded."""

    vm: str
    target: str
    namespace: str
    wave: int
    state: str
    step: str = ""
    action: str = ""
    since: str = ""
    outage_ms: float | None = None
    why: str = ""
    next: str = ""


def row(vm: Mapping[str, Any], namespace: str, deeds: Sequence[Deed]) -> RunRow:
    """The row of one VM of a plan's document, by the deeds of its last attempt."""
    name, target, wave = text(vm.get("name")), text(vm.get("target")), integer(vm.get("wave")) or 0
    if not deeds:
        why = "; ".join(map(str, vm.get("held") or ()))
        first = f"bascule plan run --vm {target}" if wave else "bascule plan show --list vms"
        return RunRow(name, target, namespace, wave, WAITING if wave else HELD, why=why, next=first)
    found, last = next_of(deeds), deeds[-1]
    state = _state(found, deeds)
    outage = last_evidence(deeds, "start", VERIFY).get("outage_ms")
    bad = [deed for deed in deeds if not deed.ok]
    why = text(bad[-1].evidence.get("why")) if bad and state not in (MOVED, ACCEPTED) else ""
    return RunRow(
        name, target, namespace, wave, state, found.step, found.action, last.at,
        float(outage) if isinstance(outage, int | float) else None, why, command(state, target),
    )  # fmt: skip


def _state(found: Next, deeds: Sequence[Deed]) -> str:
    if found.state == DONE:
        return ACCEPTED if has(deeds, ACCEPT, VERIFY) else MOVED
    if found.state in (BACK, BLOCKED, STUCK):
        return found.state
    return GOING_BACK if found.action == REVERT else MOVING


def command(state: str, target: str) -> str:
    """The command that leads on from a state; run and rollback take the source's URI with --source."""
    return {
        MOVED: f"bascule plan accept {target}",
        BLOCKED: f"mend it, then bascule plan run --vm {target}, or bascule plan rollback {target}",
        STUCK: f"mend it, then bascule plan rollback {target}",
        BACK: f"bascule plan run --vm {target} tries again",
        MOVING: f"bascule plan run --vm {target} goes on, bascule plan rollback {target} goes back",
        GOING_BACK: f"bascule plan rollback {target} goes on",
    }.get(state, "")


def begun_ns(deeds: Sequence[Deed], step: str) -> int:
    """When a step's change was first begun in this attempt (CLOCK_REALTIME); 0 when it was not."""
    for deed in deeds:
        if (deed.step, deed.action) == (step, INTENT):
            return integer(deed.evidence.get("at_ns")) or 0
    return 0
