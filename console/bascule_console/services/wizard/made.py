"""What the answers make: estate, world, assessment, policies, plan, each made again only when what it is made from
changed. A fault of one input is kept with the field that mends it, and the rest is made without that input."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bascule.errors import BasculeError
from bascule.estate.model import Estate, Rejected
from bascule.migration.answers import Answers
from bascule.migration.moved import without_moved
from bascule.migration.plan import Plan, PolicyStep, build
from bascule.migration.readiness import Assessment, assess
from bascule.migration.wizard import State
from bascule.migration.wizard_answers import ADDRESS, addressed, inline, merged, options
from bascule.migration.wizard_values import several
from bascule.migration.world import World
from bascule_console.services import estate as estates
from bascule_console.services import plan as plans
from bascule_console.services.credentials import Access, context_name
from bascule_console.services.readiness import Inputs, gather

if TYPE_CHECKING:
    from bascule_console.services.policyimport import Imported

T = TypeVar("T")
LIVE, FILES = "live", "files"


@dataclass(frozen=True, slots=True)
class Fault:
    """An input that cannot be used: the step and the field that mend it."""

    step: str
    field: str
    error: BasculeError


@dataclass(frozen=True)
class Made:
    """None where something before it is missing. `cluster` is the cluster in words, "" when none is asked.
    `unread` are hypervisors that were not read, with why."""

    state: State
    access: Access | None
    cluster: str = ""
    estate: Estate | None = None
    world: World | None = None
    rejected: tuple[Rejected, ...] = ()
    found: Assessment | None = None
    imported: Imported | None = None
    policy: PolicyStep | None = None
    policy_directory: str = ""
    plan: Plan | None = None
    faults: tuple[Fault, ...] = ()
    unread: Mapping[str, BasculeError | None] = field(default_factory=dict)

    def fault(self, name: str) -> BasculeError | None:
        """What is wrong with a field's value."""
        return next((each.error for each in self.faults if each.field == name), None)


def live_path(uri: str) -> Path:
    """Where what a hypervisor told is kept, so that a walk can be resumed without asking it again."""
    name = f"wizard-live-{hashlib.sha256(uri.encode()).hexdigest()[:12]}.json"
    return estates.estate_path().with_name(name)


def source_paths(answers: Mapping[str, str]) -> list[str]:
    """Files and kept live sources in the order in which they count; without an answer the imported estate."""
    live = [str(live_path(uri)) for uri in several(answers.get("source.live", ""))]
    files = several(answers.get("source.files", ""))
    kept = estates.estate_path()
    if not files and not live and kept.exists():
        files = [str(kept)]
    return [*files, *(path for path in live if Path(path).exists())]


def cluster_words(access: Access) -> str:
    """A cluster as people know it: its context, and where that is from."""
    name = context_name(access) or "the cluster"
    return f"{name} (from {access.source})" if access.source else name


class Maker:
    """Makes from a state; keeps the last of each. Safe to call from several threads: one at a time makes."""

    def __init__(self, access: Access | None) -> None:
        self._access = access
        self._kept: dict[str, tuple[Any, Any]] = {}
        self._lock = threading.Lock()
        self._look = 0

    def look_again(self) -> None:
        """The next making reads the cluster anew."""
        self._look += 1

    def made(self, state: State) -> Made:
        """Everything that the answers of a state make."""
        with self._lock:
            return _Making(state, self._access, self._stage, self._look).all()

    def _stage(self, name: str, key: Any, body: Callable[[], Any]) -> Any:
        """The value that `body` makes, or made from the same key before. Its BasculeError is kept and raised too."""
        kept = self._kept.get(name)
        if kept is None or kept[0] != key:
            try:
                kept = key, body()
            except BasculeError as error:
                kept = key, error
            self._kept[name] = kept
        if isinstance(kept[1], BasculeError):
            raise kept[1]
        return kept[1]


class _Making:
    """One making, in the order of the steps."""

    def __init__(self, state: State, access: Access | None, stage: Callable[..., Any], look: int) -> None:
        self._answers = state.answers
        self._stage = stage
        self._look = look
        self._faults: list[Fault] = []
        chosen = state.answers.get("assess.cluster", "current" if access else "none")
        self._access = access if chosen == "current" else None
        self._made = Made(state, access, cluster_words(self._access) if self._access else "")

    def all(self) -> Made:
        """Stage after stage."""
        estate = self._tried("source", "source.files", self._estate)
        made = replace(self._made, estate=estate)
        if estate is not None:
            world, rejected = self._world(estate)
            key = (id(estate), *self._world_key())
            found = self._stage("assess", key, lambda: assess(world, _now()))
            carried = self._policies()
            policy = carried.step if carried else None
            chosen = self._tried("waves", "waves.vms", lambda: options(self._answers))
            made = replace(made, world=world, rejected=rejected, found=found, policy=policy or PolicyStep())
            if carried is not None:
                made = replace(made, imported=carried.imported, policy_directory=carried.directory)
            if chosen is not None:
                plan_key = (key, chosen, policy and policy.files, repr(policy and policy.labels))
                plan = self._tried(
                    "networks",
                    "networks.network",
                    lambda: self._stage("plan", plan_key, lambda: build(world, found, chosen, policy)),
                )
                made = replace(made, plan=plan)
        return replace(made, faults=tuple(self._faults))

    def _tried(self, step: str, field: str, body: Callable[[], T]) -> T | None:
        try:
            return body()
        except BasculeError as error:
            self._faults.append(Fault(step, field, error))
            return None

    def _estate(self) -> Estate | None:
        paths = source_paths(self._answers)
        if not paths:
            return None
        read: Estate = self._stage("estate", signed(paths), lambda: estates.read(paths))
        given = {key: value for key, value in self._answers.items() if key.startswith(ADDRESS)}
        found: Estate = self._stage("addressed", (id(read), given), lambda: addressed(read, given))
        return found

    def _world(self, estate: Estate) -> tuple[World, tuple[Rejected, ...]]:
        answers = self._answers
        namespace = answers.get("networks.namespace", "vms")
        empty = Estate()
        manifests = several(answers.get("assess.manifests", ""))
        flows = several(answers.get("assess.flows", ""))
        target = self._input("assess.cluster" if self._access else "assess.manifests", signed(manifests),
                             lambda: gather(empty, Inputs(cluster=manifests), self._access))  # fmt: skip
        proofs = self._file("proofs")
        seen = self._file("seen")
        said = self._file("answers")
        talks = self._input("assess.flows", signed(flows), lambda: gather(empty, Inputs(flows=flows), None))
        mine = self._tried("networks", "networks.subnet", lambda: inline(answers)) or Answers()
        world = World(
            estate,
            without_moved(target.world.target, estate) if target else World(empty).target,
            merged(said.world.answers if said else Answers(), mine),
            proofs.world.proofs if proofs else None,
            talks.world.talks if talks else None,
            seen.world.seen if seen else None,
            namespace,
        )
        return world, talks.rejected if talks else ()

    def _file(self, name: str) -> Any:
        path = self._answers.get(f"assess.{name}", "")
        return self._input(f"assess.{name}", signed([path] if path else []),
                           lambda: gather(Estate(), Inputs(**{name: path}), None))  # fmt: skip

    def _input(self, field: str, key: Any, body: Callable[[], Any]) -> Any:
        """One input of the world; None and a fault when it cannot be used."""
        if field == "assess.cluster":
            key = (key, self._look, self._access)
        elif not key:
            return None
        return self._tried("assess", field, lambda: self._stage(field, key, body))

    def _world_key(self) -> tuple[Any, ...]:
        """All that the world is made from, but for the estate."""
        answers = self._answers
        steps = {key: value for key, value in answers.items() if key.startswith(("assess.", "networks."))}
        files = [path for name in ("manifests", "flows") for path in several(answers.get(f"assess.{name}", ""))]
        files += [answers[f"assess.{name}"] for name in ("proofs", "seen", "answers") if f"assess.{name}" in answers]
        return tuple(sorted(steps.items())), signed(files), self._look, self._access

    def _policies(self) -> Carried | None:
        how = self._answers.get("policies.how", "none")
        if how == "directory" and (place := self._answers.get("policies.directory", "")):
            return self._tried("policies", "policies.directory", lambda: Carried(plans.policy_step(place), place))
        files = several(self._answers.get("policies.files", ""))
        if how != "files" or not files:
            return None
        key = (signed(files), self._answers.get("policies.kind", ""), options(self._answers).namespace)
        body = partial(_carried, files, key)
        return self._tried("policies", "policies.files", lambda: self._stage("policies", key, body))


@dataclass(frozen=True, slots=True)
class Carried:
    """The old rules as policies, the directory that they are in, and what translating them showed when that was done
    here."""

    step: PolicyStep
    directory: str
    imported: Imported | None = None


def _carried(files: list[str], key: tuple[Any, str, str]) -> Carried:
    """The old rules translated, proven and written beside the state, under a name that tells what they were made of."""
    from bascule_console.services import policyimport  # numpy, for the proof: not for everybody

    imported = policyimport.run(files, key[1], {}, key[2], True)
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:12]
    place = estates.estate_path().with_name(f"wizard-policies-{digest}")
    if not place.exists():
        policyimport.write(imported, place)
    return Carried(plans.policy_step(str(place)), str(place), imported)


def signed(paths: list[str]) -> tuple[tuple[str, int, int], ...]:
    """Paths with size and time of change, folders with those of what is in them: equal while nothing changed."""
    found = []
    for path in paths:
        place = Path(path)
        try:
            inside = sorted(place.iterdir()) if place.is_dir() else [place]
            for each in inside:
                told = each.stat()
                found.append((str(each), told.st_size, told.st_mtime_ns))
        except (OSError, ValueError):
            found.append((path, -1, 0))
    return tuple(found)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
