"""Acceptance of VMs or a wave: which it is about, compared by what was recorded, signed, kept and journaled."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bascule.errors import RefusedError, UsageError
from bascule.migration.acceptance import USUAL, Thresholds, VmAcceptance, compare
from bascule.migration.acceptance_document import Signature
from bascule.migration.acceptance_document import document as signed
from bascule.migration.acceptance_flows import narrowed
from bascule.migration.machine import APPLY, VERIFY
from bascule.migration.run import ACCEPT, ACCEPTED, INTENT, MOVED, Deed, has, row
from bascule_console.services import acceptancewindows as windows
from bascule_console.services.credentials import Access
from bascule_console.services.estate import write_whole
from bascule_console.services.journal import Journal
from bascule_console.services.run.ledger import now, read_deeds, write_deed
from bascule_console.services.run.loaded import Loaded

EVERYTHING = 1
"""A moment before every history."""
DIRECTORY = "acceptance"


def chosen(loaded: Loaded, journal: Journal, names: Sequence[str] = (), wave: int = 0) -> list[dict[str, Any]]:
    """The VMs of a plan that are meant: those named, else those of a wave that were moved; with `stopped` and `started`
    (ns, on the old side and on the cluster) and `state`. Raises UsageError, RefusedError for one that was not moved."""
    deeds = read_deeds(journal)
    asked = [loaded.find(name) for name in names] or [vm for vm in loaded.vms if vm["wave"] == wave and wave]
    if not asked:
        cause = f"no VM is named, and the plan has no wave {wave}" if wave else "neither a VM nor a wave is named"
        raise UsageError("accept what?", cause, "bascule plan accept VM…, or --wave N")
    found = []
    for vm in asked:
        own = deeds.get(f"{loaded.namespace}/{vm['target']}", [])
        state = row(vm, loaded.namespace, own).state
        if state in (MOVED, ACCEPTED):
            found.append({**vm, "stopped": begun_ns(own, "stop"), "started": begun_ns(own, "start"), "state": state})
        elif names:
            raise RefusedError(
                f"{vm['name']} was not moved: it is {state}", "", f"bascule plan run --vm {vm['target']}"
            )
    if not found:
        raise RefusedError(f"no VM of wave {wave} was moved yet", "", f"bascule plan run --wave {wave}")
    return found


def unsigned(vms: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of them that nobody has accepted yet. Raises RefusedError when there is none."""
    found = [vm for vm in vms if vm["state"] != ACCEPTED]
    if not found:
        raise RefusedError("all of them were accepted already", "", "bascule plan status")
    return found


def begun_ns(deeds: Sequence[Deed], step: str) -> int:
    """When a step was begun, by the deeds of a VM's last attempt; 0 when it was not."""
    for deed in reversed(deeds):
        if deed.step == step and deed.action in (INTENT, APPLY) and deed.at:
            return int(datetime.fromisoformat(deed.at).timestamp() * 1e9)
    return 0


async def compared(
    loaded: Loaded,
    vms: Sequence[Mapping[str, Any]],
    access: Access | None,
    before: Sequence[str] = (),
    after: Sequence[str] = (),
    thresholds: Thresholds = USUAL,
) -> list[VmAcceptance]:
    """Compare `chosen` VMs: files where they are named, else the agents' histories (`access`). Raises BasculeError."""
    who = windows.identities(vms)
    starts = {vm["key"]: int(vm["started"]) for vm in vms}
    stops = {vm["key"]: int(vm["stopped"]) or int(vm["started"]) for vm in vms}
    earlier = later = None
    if before:
        earlier = windows.from_files(before, who)
    if after:
        later = windows.from_files(after, who)
    if access is None and (earlier is None or later is None):
        which = "before" if earlier is None else "after"
        raise UsageError(
            f"no recording of {which}", "neither a file nor a cluster is named", f"--{which} FILE, or --context"
        )
    if access is not None and earlier is None:
        earlier = await windows.from_agents(access, who, EVERYTHING)
    if access is not None and later is None:
        later = await windows.from_agents(access, who, max(EVERYTHING, min(starts.values())))
    assert earlier is not None and later is not None
    was, now_ = narrowed(earlier, who), narrowed(later, who)
    for key, at in starts.items():
        if at:
            was[key], now_[key] = windows.until(was[key], stops[key]), windows.since(now_[key], at)
    return compare(was, now_, who, windows.peer_names(loaded.document), thresholds)


def sign(
    loaded: Loaded,
    found: Sequence[VmAcceptance],
    journal: Journal,
    note: str = "",
    missing: Sequence[str] = (),
    reason: str = "",
    thresholds: Thresholds = USUAL,
    to: Path | None = None,
) -> dict[str, Any]:
    """Sign what was compared: the document (`bascule-acceptance/1`, kept in its `file`) and a deed for each VM.

    Raises RefusedError while something stopped that has no word, or a VM was accepted already; JournalError.
    """
    deeds = read_deeds(journal)
    for each in found:
        if has(deeds.get(f"{loaded.namespace}/{each.vm.target}", []), ACCEPT, VERIFY):
            raise RefusedError(f"{each.vm.name} was accepted already", "", "bascule plan status")
    signature = Signature(_who(), now(), note, tuple(missing), reason)
    document = signed(found, signature, loaded.id, thresholds)
    journal.ready()
    waves = {each.vm.wave for each in found}
    scope = found[0].vm.target if len(found) == 1 else f"wave-{waves.pop()}" if len(waves) == 1 else "vms"
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    place = to or journal.path.parent / DIRECTORY / f"{scope}-{stamp}.json"
    document["file"] = str(write_whole(place, json.dumps(document, indent=1) + "\n"))
    for each in found:
        deed = _deed(loaded, each, document)
        write_deed(_of_run(journal, deed.key), deed)
    return document


def _of_run(journal: Journal, key: str) -> Journal:
    """The journal as the run wrote it: a deed counts on the cluster that its VM was moved to."""
    if journal.server:
        return journal
    for record in reversed([*journal.records()]):
        deed = Deed.of(record.content.get("after"))
        if deed is not None and deed.key == key:
            who = record.content["who"]
            return replace(journal, context=who["context"], server=who["server"])
    return journal


def _deed(loaded: Loaded, each: VmAcceptance, document: Mapping[str, Any]) -> Deed:
    own = next(vm for vm in document["vms"] if vm["key"] == each.vm.key)
    missing = [name for name in document["accepted_missing"] if name.startswith(f"{each.vm.name}/")]
    evidence = {name: document[name] for name in ("by", "note", "reason", "file")}
    evidence |= {"counts": own["counts"], "accepted_missing": missing}
    vm = each.vm
    who = (loaded.id, vm.key, loaded.namespace, vm.target, vm.wave)
    return Deed(*who, ACCEPT, VERIFY, True, evidence, document["at"])


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
