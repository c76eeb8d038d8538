"""Undoing one record of the journal: take back what it changed, and nothing that was changed since.

The inverse is not the earlier object put back whole: that would also take away what others changed later. The paths
that the record changed get their earlier values back in the object as it is now; where one of them is no longer as the
record left it, undo refuses and names it. Then it goes the way of every change: lint, dry run, diff, apply, journal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bascule.errors import RefusedError
from bascule.journal import Record
from bascule_console.services import apply
from bascule_console.services.journal import Journal
from bascule_console.services.manifests import Document
from bascule_console.services.networks import require_unused
from bascule_console.store.documents import diff, portable
from bascule_console.store.journal import undo_word, undone_by
from bascule_kube import Cluster, Kind
from bascule_kube.errors import NotFound
from bascule_kube.kinds import NETWORK

Obj = dict[str, Any]
Path = tuple[str, ...]
_ABSENT, _NEW = object(), object()


class UndoRefused(RefusedError):
    """A record that cannot be taken back: no inverse is known, another cluster, or changed since."""


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """How record `seq` would be undone. `verb` is apply, create or delete; `plan` is None for delete, whose object is
    `live`; `diff` is unified, by lines of YAML."""

    seq: int
    verb: str
    label: str
    plan: apply.Plan | None
    live: Obj | None
    diff: str


def find(records: list[Record], seq: int) -> Record:
    """The record of that number. Raises UndoRefused when there is none."""
    if not 0 < seq <= len(records):
        raise UndoRefused(f"the journal has no record {seq}", f"it has {len(records)}", "bascule journal list")
    return records[seq - 1]


async def prepare(cluster: Cluster, journal: Journal, seq: int) -> UndoPlan:
    """How to undo record `seq`; changes nothing. Raises UndoRefused, NetworkInUse, and what the server refuses."""
    records = list(journal.records())
    record = find(records, seq)
    _check(record, cluster, undone_by(records).get(seq))
    content = record.content
    verb, after = content["undo"]["verb"], content["after"] or content["before"]
    kind = await cluster.kind_of(after)
    live = await _live(cluster, kind, after)
    label = "/".join(content["target"][key] for key in ("kind", "namespace", "name") if content["target"][key])
    if verb == "create":
        if live is not None:
            raise UndoRefused(f"{label} is there again", "somebody made it since", "bascule apply changes it")
        return await _planned(cluster, seq, verb, label, content["undo"]["object"])
    if live is None:
        raise UndoRefused(f"{label} is gone", "somebody deleted it since", "undo that deletion first")
    if verb == "delete":
        _refuse_drift(label, drift(None, portable(after), portable(live)))
        if kind == NETWORK:
            await require_unused(cluster, live["metadata"]["name"])
        return UndoPlan(seq, verb, label, None, live, diff(live, None, label))
    before, after, now = portable(content["before"]), portable(after), portable(live)
    _refuse_drift(label, drift(before, after, now))
    wanted = restored(before, after, now)
    plan = await _planned(cluster, seq, verb, label, wanted)
    tried = plan.plan.changes[0].after if plan.plan and plan.plan.changes else None
    _refuse_kept(label, drift(after, wanted, portable(tried)) if tried else [])
    return plan


async def commit(cluster: Cluster, undo: UndoPlan, journal: Journal) -> None:
    """Do it, and journal it as the undoing of its record. Raises as `services.apply.commit` does."""
    if undo.plan is not None:
        async for _ in apply.commit(cluster, undo.plan, journal, undo_word(undo.seq)):
            pass
        return
    assert undo.live is not None
    journal.ready()
    meta = undo.live["metadata"]
    await cluster.delete(await cluster.kind_of(undo.live), meta["name"], meta.get("namespace"))
    journal.append(undo_word(undo.seq), undo.live, None)


def restored(before: Any, after: Any, now: Any) -> Any:
    """`now` with every path that differs between `before` and `after` as it was in `before`; lists are one value."""
    if not (isinstance(before, dict) and isinstance(after, dict) and isinstance(now, dict)):
        return now if before == after else before
    found = {}
    for key in dict.fromkeys((*now, *before)):
        value = restored(before.get(key, _ABSENT), after.get(key, _ABSENT), now.get(key, _ABSENT))
        if value is not _ABSENT:
            found[key] = value
    return found


def drift(before: Any, after: Any, now: Any, path: Path = ()) -> list[Path]:
    """Paths that differ between `before` and `after` and are no longer as in `after`; lists are one value."""
    if before == after or now == after:
        return []
    if isinstance(after, dict) and isinstance(now, dict):
        if isinstance(before, dict):
            olds = {key: before.get(key, _ABSENT) for key in (*after, *before)}
        else:  # it was new as a whole and would go as a whole: whatever else is in it now counts
            olds = dict.fromkeys((*after, *now), _NEW)
        inner = ((old, after.get(key, _ABSENT), now.get(key, _ABSENT), (*path, key)) for key, old in olds.items())
        return [found for each in inner for found in drift(*each)]
    return [path]


def _refuse_drift(label: str, paths: list[Path]) -> None:
    if paths:
        raise UndoRefused(
            f"{label} was changed again since",
            f"no longer as the record left it: {', '.join('.'.join(path) for path in paths)}",
            "undo the later changes first, or write the earlier values back: bascule journal show",
        )


def _refuse_kept(label: str, paths: list[Path]) -> None:
    """An apply takes away what it set itself; what was set in another way would stay, and undo would be a word."""
    if paths:
        raise UndoRefused(
            f"{label} would keep {', '.join('.'.join(path) for path in paths)}",
            "another field manager holds it, so that apply cannot take it away",
            "change it with the verb that set it (nodes uncordon), or with kubectl patch",
        )


def _check(record: Record, cluster: Cluster, undone: int | None) -> None:
    who, seq = record.content["who"], record.seq
    if undone is not None:
        raise UndoRefused(f"record {seq} is undone already", f"by record {undone}", f"bascule journal undo {undone}")
    if not record.content["undo"]:
        raise UndoRefused(f"record {seq} has no known inverse", "what it replaced was not kept", "")
    if who.get("server") != cluster.server:
        raise UndoRefused(
            f"record {seq} is about another cluster",
            f"it changed {who.get('server')} (context {who.get('context')}), this is {cluster.server}",
            "choose that cluster with --kubeconfig or --context",
        )


async def _live(cluster: Cluster, kind: Kind, obj: Obj) -> Obj | None:
    meta = obj["metadata"]
    try:
        return await cluster.get(kind, meta["name"], meta.get("namespace"))
    except NotFound:
        return None


def _told(located: apply.Located) -> apply.Located:
    finding = located.finding
    return replace(located, finding=replace(finding, severity="warning")) if finding.severity == "error" else located


async def _planned(cluster: Cluster, seq: int, verb: str, label: str, obj: Obj) -> UndoPlan:
    plan = await apply.prepare(cluster, [Document(obj, f"journal record {seq}", {})])
    # What stood there before may have had its errors: they are told, but it must be possible to go back to it.
    plan.findings = [_told(located) for located in plan.findings]
    shown = "\n".join(change.diff for change in plan.changes)
    return UndoPlan(seq, verb, label, plan, None, shown)
