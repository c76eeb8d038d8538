"""Changes of policies beyond a plain apply: promote what is staged, delete, revert from the journal, move in order.

Each is tried first and shown; `commit` makes it through `services.apply` and the journal. A promotion is two records
under one name (`promote …`), and a revert takes both back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bascule.errors import BasculeError, RefusedError, UsageError
from bascule.journal import Record
from bascule.resources.policy import POLICY_KINDS, STAGES, Policy, policy_kind
from bascule_console.services import apply, undo
from bascule_console.services.journal import Journal
from bascule_console.services.manifests import Document
from bascule_console.services.policyimpact import impact, in_force
from bascule_console.store.documents import diff, portable
from bascule_console.store.journal import undone_by
from bascule_console.store.policyworld import World
from bascule_kube import Cluster
from bascule_kube.errors import NotFound

Obj = dict[str, Any]
PROMOTE = "promote "
TOO_BIG = "name fewer ports and nets, or put nets into a network set that rules share"
_UNDO = "undo #"
STAGED_OF = {enforced: staged for staged, enforced in STAGES.items()}


class ChangeRefused(RefusedError):
    """A change of a policy that cannot be made as asked."""


@dataclass(slots=True)
class Change:
    """A change that was tried: what is applied (`plan`), then what is deleted, then what is undone, in this order."""

    title: str
    name: str
    done: str
    what: str
    plan: apply.Plan | None = None
    deletes: list[Obj] = field(default_factory=list)
    undos: list[undo.UndoPlan] = field(default_factory=list)

    @property
    def plans(self) -> list[apply.Plan]:
        """Everything that lint and the server had a say in."""
        return [plan for plan in (self.plan, *(each.plan for each in self.undos)) if plan is not None]

    @property
    def ready(self) -> bool:
        """May `commit` be called?"""
        return all(plan.ready for plan in self.plans)

    @property
    def diff(self) -> str:
        """Everything that changes, as unified diffs."""
        parts = [change.diff for change in self.plan.changes] if self.plan else []
        parts += [diff(obj, None, label(obj)) for obj in self.deletes]
        return "\n".join(part for part in (*parts, *(each.diff for each in self.undos)) if part)


def label(obj: Mapping[str, Any]) -> str:
    """`Kind/namespace/name`, or `Kind/name`."""
    return Document(dict(obj), "", {}).label


def find(world: World, wanted: str, *, staged: bool | None = None) -> Policy:
    """The policy called `NAME`, `NAMESPACE/NAME` or `KIND/[NAMESPACE/]NAME`; `staged` limits to one sort, otherwise an
    enforced one goes before its staged twin. Raises UsageError when there is none, or several."""
    every = [*world.every.values()]
    if staged is not None:
        every = [policy for policy in every if bool(policy.staged) is staged]
    found = [policy for policy in every if wanted in _names(policy)]
    if staged is None and any(not policy.staged for policy in found):
        found = [policy for policy in found if not policy.staged]
    if len(found) == 1:
        return found[0]
    what = "staged policy" if staged else "policy"
    if not found:
        raise UsageError(f"there is no {what} {wanted!r}", fix="bascule policies list")
    names = ", ".join(sorted(policy.ref for policy in found))
    raise UsageError(f"{wanted!r} is ambiguous", f"it may be {names}", "write KIND/NAMESPACE/NAME")


def _names(policy: Policy) -> tuple[str, ...]:
    spaced = f"{policy.namespace}/{policy.name}" if policy.namespace else policy.name
    return policy.name, spaced, policy.ref


def staged_twin(document: Mapping[str, Any], action: str = "Set") -> Obj:
    """The staged document that stands for an enforced one; a staged one stays as it is. Raises ChangeRefused."""
    kind = policy_kind(document)
    if kind in STAGES:
        return portable(document)
    metadata = portable(document)["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace", "labels") if metadata.get(key)}
    spec = dict(document.get("spec") or {}) if action == "Set" else _place(document)
    group = "projectcalico.org/v3"
    return {"apiVersion": group, "kind": STAGED_OF[kind], "metadata": kept, "spec": {"stagedAction": action, **spec}}


def _place(document: Mapping[str, Any]) -> Obj:
    tier = (document.get("spec") or {}).get("tier")
    return {"tier": tier} if tier else {}


async def promotion(cluster: Cluster, world: World, policy: Policy) -> Change:
    """Put a staged policy in force: its enforced twin is applied (or deleted), the staged one goes."""
    staged = world.raw[policy.identity]
    what = f"{PROMOTE}{policy.ref}"
    change = Change(f"Promote {policy.ref}", policy.name, f"{policy.ref} promoted", what, deletes=[staged])
    if policy.staged == "Set":
        wanted = in_force(staged)
        assert wanted is not None
        change.plan = await apply.prepare(cluster, [Document(wanted, what, {}, take_over=True)])
        require_kept(change.plan)
        misfits = (await asyncio.to_thread(impact, world, staged, None)).misfits
        for nic, why in sorted(misfits.items()):
            raise ChangeRefused(f"{policy.ref} does not fit on {nic}", f"spec: {why}", TOO_BIG)
    elif policy.staged == "Delete":
        twin = world.raw.get((STAGES[policy.kind], policy.namespace, policy.name))
        if twin is not None:
            change.deletes = [twin, staged]
    else:
        raise ChangeRefused(
            f"{policy.ref} cannot be promoted",
            f"its stagedAction is {policy.staged}",
            "set stagedAction to Set or Delete",
        )
    return change


def deletion(world: World, policy: Policy) -> Change:
    """Delete one document, staged or enforced."""
    return Change(
        f"Delete {policy.ref}", policy.name, f"{policy.ref} deleted", "delete", deletes=[world.raw[policy.identity]]
    )


def require_kept(plan: apply.Plan) -> None:
    """Raise ChangeRefused when the server would keep something that the document does not say: server-side apply leaves
    fields alone that another manager owns and the document lacks."""
    for change in plan.changes:
        if change.after is None or not policy_kind(change.after):
            continue
        wanted, got = Policy.of(change.document.object), Policy.of(change.after)
        for name in ("order", "tier", "types", "selector", "ingress", "egress"):
            if getattr(wanted, name) != getattr(got, name):
                raise ChangeRefused(
                    f"{change.document.label} would keep another spec.{name}",
                    "another field manager set it, and the new document does not say it",
                    f"write spec.{name} as it should be, or delete the policy first",
                )


async def reversal(cluster: Cluster, journal: Journal, policy_names: Iterable[tuple[str, str, str]]) -> Change:
    """Take back the newest change of a policy that is not taken back yet; both halves of a promotion.

    `policy_names` are (kind, namespace, name) of the policy and its twin. Raises UndoRefused and ChangeRefused.
    """
    names = set(policy_names)
    if not names:
        raise ChangeRefused("there is no such policy, and the journal knows none", fix="bascule journal list")
    _, namespace, name = sorted(names)[0]
    records = [*journal.records()]
    undone = undone_by(records)
    mine = [each for each in records if _target(each) in names and each.content["who"].get("server") == cluster.server]
    open_ = [each for each in mine if each.seq not in undone and not str(each.content["what"]).startswith(_UNDO)]
    if not open_:
        spaced = f"{namespace}/{name}" if namespace else name
        raise ChangeRefused(
            f"the journal has no change of {spaced} to take back",
            f"of {len(mine)} records none is open",
            "bascule journal list",
        )
    group = _together(open_)
    what = str(group[0].content["what"])
    undos = [await undo.prepare(cluster, journal, each.seq) for each in group]
    numbers = ", ".join(f"#{each.seq}" for each in reversed(group))
    title = f"Take back {what} ({numbers}) of {name}"
    return Change(title, name, f"{what} taken back ({numbers})", "undo", undos=undos)


def _together(records: list[Record]) -> list[Record]:
    """The newest record, and of a promotion its other half, newest first."""
    last = records[-1]
    found = [last]
    if str(last.content["what"]).startswith(PROMOTE):
        for each in reversed(records[:-1]):
            same = each.content["what"] == last.content["what"]
            if not same or _target(each) in {_target(one) for one in found}:
                break
            found.append(each)
    return found


def _target(record: Record) -> tuple[str, str, str]:
    target = record.content["target"]
    return str(target["kind"]), str(target["namespace"] or ""), str(target["name"])


def twins(policy: Policy) -> list[tuple[str, str, str]]:
    """(kind, namespace, name) of a policy and of what stages it or is staged by it, as the API names kinds."""
    kind, namespace, name = policy.identity
    kinds = {kind, STAGES.get(kind, kind), STAGED_OF.get(kind, kind)}
    api = {"NetworkPolicy" if each == "KubernetesNetworkPolicy" else each for each in kinds}
    return [(each, namespace, name.removeprefix("knp.default.")) for each in api]


def journalled(journal: Journal, wanted: str) -> set[tuple[str, str, str]]:
    """As `twins`, of a policy that may be gone from the cluster: what the journal calls so. Raises UsageError."""
    found = set()
    for target in map(_target, journal.records()):
        kind, namespace, name = target
        spaced = f"{namespace}/{name}" if namespace else name
        if kind in POLICY_KINDS and wanted in (name, spaced, f"{kind}/{spaced}"):
            found.add(target)
    if len({each[1:] for each in found}) > 1:
        refs = ", ".join(sorted("/".join(filter(None, each)) for each in found))
        raise UsageError(f"{wanted!r} is ambiguous", f"it may be {refs}", "write NAMESPACE/NAME")
    return found


async def commit(cluster: Cluster, change: Change, journal: Journal) -> None:
    """Make it. Raises as `services.apply.commit` does."""
    journal.ready()
    made: list[str] = []
    try:
        if change.plan is not None:
            async for each in apply.commit(cluster, change.plan, journal, change.what):
                made.append(each.document.label)
        for obj in change.deletes:
            await _delete(cluster, obj, journal, change.what)
            made.append(f"{label(obj)} deleted")
        for taken in change.undos:
            await undo.commit(cluster, taken, journal)
            made.append(taken.label)
    except BasculeError as error:
        if made:
            error.cause = f"{error.cause}; done before it: {', '.join(made)}".removeprefix("; ")
        raise


async def _delete(cluster: Cluster, obj: Obj, journal: Journal, what: str) -> None:
    kind, meta = await cluster.kind_of(obj), obj["metadata"]
    try:
        live = await cluster.get(kind, meta["name"], meta.get("namespace"))
    except NotFound:
        return  # somebody was faster, and it is as it should be
    await cluster.delete(kind, meta["name"], meta.get("namespace"))
    journal.append(what, live, None)
