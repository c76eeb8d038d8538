"""Changes of policies as the review shows them: tried, with what they would do to recorded traffic beside the diff."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bascule.errors import BasculeError
from bascule.resources.policy import Policy
from bascule_console.screens.networks.changes import session_of
from bascule_console.screens.policies.words import MISFITS_MOST, changes, summary, window_words
from bascule_console.services import apply, policychange, proposal
from bascule_console.services.lookout import read_journal
from bascule_console.services.manifests import Document
from bascule_console.services.policychange import TOO_BIG, Change
from bascule_console.services.policyflows import Window, window
from bascule_console.services.policyimpact import impact
from bascule_console.services.proposal import Note, Proposal

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp
    from bascule_console.services.session import Session
    from bascule_console.store.policyworld import World

WINDOW_S = 300.0


async def of_document(app: BasculeApp, document: Mapping[str, Any], source: Document | None = None) -> Proposal:
    """Applying one policy: lint, dry run, diff, what-if. Raises UnreachableError and ChangeRefused."""
    session = session_of(app)
    wanted = replace(source or Document(dict(document), "form", {}), take_over=True)
    plan = await apply.prepare(session.cluster, [wanted])
    policychange.require_kept(plan)
    name = wanted.object["metadata"]["name"]
    change = Change(f"Apply {wanted.label}", name, f"{wanted.label} applied", "apply", plan)
    return await _with_effect(app, _of(session, change), document)


async def of_promotion(app: BasculeApp, world: World, policy: Policy) -> Proposal:
    """Promoting a staged policy."""
    session = session_of(app)
    change = await policychange.promotion(session.cluster, world, policy)
    return await _with_effect(app, _of(session, change), world.raw[policy.identity])


async def of_reversal(app: BasculeApp, policy: Policy) -> Proposal:
    """Taking back a policy's last change."""
    session = session_of(app)
    return _of(session, await policychange.reversal(session.cluster, session.journal(), policychange.twins(policy)))


async def of_deletion(app: BasculeApp, world: World, policy: Policy) -> Proposal:
    """Discarding a staged policy, or staging the deletion of an enforced one."""
    if policy.staged:
        return _of(session_of(app), policychange.deletion(world, policy))
    return await of_document(app, policychange.staged_twin(world.raw[policy.identity], "Delete"))


def _of(session: Session, change: Change) -> Proposal:
    async def commit() -> None:
        await policychange.commit(session.cluster, change, session.journal())
        session.store.keep_journal(await asyncio.to_thread(read_journal, session.journal().path))

    notes: list[Note] = []
    for plan in change.plans:
        notes += proposal.notes_of(plan)
    return Proposal(change.title, change.name, change.diff, tuple(notes), change.ready, change.done, commit)


async def _with_effect(app: BasculeApp, found: Proposal, document: Mapping[str, Any]) -> Proposal:
    """The proposal with what it would do beside it; what the NICs could not hold must not be applied."""
    notes = await _effect(app, document)
    ready = found.ready and not any(note.severity == "error" for note in notes)
    return replace(found, notes=(*found.notes, *notes), ready=ready)


async def _effect(app: BasculeApp, document: Mapping[str, Any]) -> list[Note]:
    """What it would do, as notes; without agents the review says so and goes on."""
    world = app.store.policy.world
    if world is None:
        return []
    try:
        flows = await window(app.session, app.store, WINDOW_S)
    except BasculeError as error:
        flows = Window(None, WINDOW_S, why=error.message)
    found = await asyncio.to_thread(impact, world, document, flows.records)
    notes = [
        Note("error", "spec", f"{nic}: {why}", TOO_BIG) for nic, why in sorted(found.misfits.items())[:MISFITS_MOST]
    ]
    if found.forecast is None:
        return [*notes, Note("info", "", f"no what-if: {flows.why}")] if flows.why else notes
    words = summary(found.forecast, window_words(found.forecast.judged, WINDOW_S, flows.silent))
    severity = "warning" if changes(found.forecast.counts, "deny") else "info"
    return [*notes, Note(severity, "", f"what-if: {words}")]
