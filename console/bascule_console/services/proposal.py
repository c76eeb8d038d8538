"""A change that was tried but not made: its diff, what speaks against it, and how to make it. The console's review
shows one, whatever the change is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bascule.lint import Finding
from bascule_console.services import apply, undo
from bascule_console.services.lookout import read_journal
from bascule_console.services.manifests import Document
from bascule_console.services.networks import require_unused
from bascule_console.services.session import Session
from bascule_console.store.documents import diff
from bascule_kube.kinds import NETWORK


@dataclass(frozen=True, slots=True)
class Note:
    """One line beside the diff: error, warning or info; `field` is a path in the document, "" for all of it."""

    severity: str
    field: str
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """`name` is what a typed confirmation wants; `ready` says that nothing speaks against `commit`."""

    title: str
    name: str
    diff: str
    notes: tuple[Note, ...]
    ready: bool
    done: str
    commit: Callable[[], Awaitable[None]]

    @property
    def idle(self) -> bool:
        """It would change nothing."""
        return self.ready and not self.diff


async def of_document(session: Session, document: Document) -> Proposal:
    """Applying one document: lint, server-side dry run, diff. Raises UnreachableError."""
    cluster = session.cluster
    plan = await apply.prepare(cluster, [document])

    async def commit() -> None:
        async for _ in apply.commit(cluster, plan, session.journal()):
            pass
        await _recorded(session)

    name = document.object["metadata"]["name"]
    return _planned(plan, f"Apply {document.label}", name, f"{document.label} applied", commit)


async def of_undo(session: Session, seq: int) -> Proposal:
    """Undoing record `seq` of the journal. Raises UndoRefused and the like."""
    cluster = session.cluster
    found = await undo.prepare(cluster, session.journal(), seq)

    async def commit() -> None:
        await undo.commit(cluster, found, session.journal())
        await _recorded(session)

    title, name, done = f"Undo record {seq}: {found.label}", found.label.rpartition("/")[2], f"record {seq} undone"
    if found.plan is not None:
        return _planned(found.plan, title, name, done, commit)
    return Proposal(title, name, found.diff, (), True, done, commit)


async def of_delete(session: Session, name: str) -> Proposal:
    """Deleting a Network that nobody uses. Raises NetworkInUse, NotFound."""
    from bascule_console.services.networks import delete

    cluster = session.cluster
    live = await cluster.get(NETWORK, name)
    await require_unused(cluster, name)

    async def commit() -> None:
        await delete(cluster, name, session.journal())
        await _recorded(session)

    shown = diff(live, None, f"Network/{name}")
    return Proposal(f"Delete Network/{name}", name, shown, (), True, f"Network/{name} deleted", commit)


async def _recorded(session: Session) -> None:
    """Show the new record at once: who opens the journal now means this one, not the one before."""
    session.store.keep_journal(await asyncio.to_thread(read_journal, session.journal().path))


def note_of(finding: Finding) -> Note:
    """A lint finding as a note."""
    return Note(finding.severity, finding.field, finding.message, finding.fix)


def notes_of(plan: apply.Plan) -> list[Note]:
    """What lint and the server say about a plan."""
    notes = [note_of(located.finding) for located in plan.findings]
    for refusal in plan.refusals:
        error = refusal.error
        causes = [Note("error", field, message) for _, field, message in refusal.fields]
        notes += causes or [Note("error", "", f"the server refuses it: {error.message}", error.fix)]
    notes += [
        Note("warning", "", f"the server warns: {warning}") for change in plan.changes for warning in change.warnings
    ]
    return notes


def _planned(plan: apply.Plan, title: str, name: str, done: str, commit: Callable[[], Awaitable[None]]) -> Proposal:
    shown = "\n".join(change.diff for change in plan.changes)
    return Proposal(title, name, shown, tuple(notes_of(plan)), plan.ready, done, commit)
