"""The objects of a plan as the Review shows, writes, tries and applies them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bascule.errors import BasculeError
from bascule.migration.plan import Plan
from bascule.migration.plan_document import documents
from bascule.migration.wizard_page import Apply
from bascule.migration.world import World
from bascule_console.services.apply import Plan as Rehearsed
from bascule_console.services.manifests import Document, load
from bascule_console.store.documents import diff

Doc = dict[str, Any]
APPLIED = ("networks.yaml", "pools.yaml", "nads.yaml")
"""The files of a plan that Review applies; VMs are made by the run, wave by wave."""
LABELS, VMS = "labels.yaml", "vms.yaml"
MOST_VMS = 40
VERBS = {"create": "create", "update": "change", "unchanged": "unchanged"}


@dataclass(frozen=True)
class Objects:
    """`files` is file name → objects of the plan; `network` and `policies` are what Review applies."""

    files: dict[str, list[Doc]] = field(default_factory=dict)
    network: tuple[Document, ...] = ()
    policies: tuple[Document, ...] = ()

    @property
    def applied(self) -> list[Document]:
        """All that Review applies."""
        return [*self.network, *self.policies]


def objects(plan: Plan, world: World, policy_directory: str) -> Objects:
    """Everything that a plan makes. Raises UsageError when the policies cannot be read."""
    files = documents(plan, {vm.key: vm for vm in world.vms})
    network = tuple(
        # a Network that is there was read whole and is only added to, whoever wrote it first
        Document(each, name, {}, take_over=_there(each, world) is not None)
        for name in APPLIED
        for each in files.get(name, ())
    )
    return Objects(files, network, tuple(_policies(policy_directory)))


def _policies(directory: str) -> Iterable[Document]:
    """The policies' objects without labels.yaml: the labels are on the plan's VMs already."""
    paths = sorted(Path(directory).glob("*.yaml")) if directory else []
    for path in paths:
        if path.name != LABELS:
            yield from load([str(path)])


def applies(found: Objects, world: World, rehearsed: Rehearsed | None) -> tuple[Apply, ...]:
    """What each object changes: as the server's dry run said, else against what is known of the cluster."""
    if rehearsed is not None:
        listed = [Apply(each.document.label, VERBS[each.action], each.diff) for each in rehearsed.changes]
    else:
        listed = [_apply(each, world) for each in found.applied]
    machines = [Document(each, VMS, {}) for each in found.files.get(VMS, ())[:MOST_VMS]]
    return (*listed, *(_apply(each, world) for each in machines))


def _apply(document: Document, world: World) -> Apply:
    before = _there(document.object, world)
    change = diff(before, document.object, document.label, ("now", "planned"))
    verb = "create" if before is None else "change" if change else "unchanged"
    return Apply(document.label, verb, change)


def _there(wanted: Doc, world: World) -> Doc | None:
    meta = wanted["metadata"]
    for each in world.target.documents.get(wanted["kind"], ()):
        there = each["metadata"]
        if (there.get("name"), there.get("namespace")) == (meta["name"], meta.get("namespace")):
            return dict(each)
    return None


class RehearsalError(BasculeError):
    """The server refused what was tried, or lint found an error: nothing was applied."""


def refused(found: Rehearsed) -> RehearsalError | None:
    """Why what was tried may not be applied, None when it may."""
    if found.ready:
        return None
    told = [f"{each.document.label}: {each.error.message}" for each in found.refusals]
    told += [
        f"{each.finding.object}: {each.finding.message}" for each in found.findings if each.finding.severity == "error"
    ]
    more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
    return RehearsalError(f"nothing was applied: {told[0]}{more}", "", "each stands among the problems of Review")
