"""Manifests on their way into a cluster: lint, server-side dry run of every one, diff; only then apply, and journal.

Nothing is applied while any document has a lint error or fails its dry run. No printing here; the CLI and the console
show what `prepare` found and what `commit` does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from bascule.errors import BasculeError
from bascule.lint import Finding, lint
from bascule_console.services.cluster import list_if_served
from bascule_console.services.journal import Journal, JournalError
from bascule_console.services.manifests import Document
from bascule_console.services.rehearsal import Change, Rehearsal
from bascule_kube import Cluster
from bascule_kube.errors import ApiError
from bascule_kube.kinds import GLOBALNETWORKSET, IPPOOL, NAD, NETWORK, NETWORKSET, NODE, TIER, VM

Obj = dict[str, Any]
CONTEXT_KINDS = (NETWORK, IPPOOL, NAD, NODE, VM, TIER, NETWORKSET, GLOBALNETWORKSET)
_ORDER = (
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "Network",
    "IPPool",
    "NetworkAttachmentDefinition",
    "Tier",
    "NetworkSet",
    "GlobalNetworkSet",
    "*",
    "VirtualMachine",
    "VirtualMachineInstance",
    "VirtualMachineInstanceMigration",
)


@dataclass(frozen=True, slots=True)
class Located:
    """A lint finding with the `file:line` it is about; empty for an object that stands in no file."""

    where: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Refusal:
    """A dry run that the server refused; `fields` are (file:line, field, message) of the Status's causes."""

    document: Document
    error: BasculeError
    fields: list[tuple[str, str, str]]


@dataclass(slots=True)
class Plan:
    """What `prepare` found; `changes` are in the order in which they will be applied."""

    changes: list[Change] = field(default_factory=list)
    findings: list[Located] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def lint_failed(self) -> bool:
        """Any finding of severity error."""
        return any(located.finding.severity == "error" for located in self.findings)

    @property
    def ready(self) -> bool:
        """May `commit` be called?"""
        return not self.lint_failed and not self.refusals


class ApplyError(BasculeError):
    """An apply that the server refused after its dry run had passed; says what had been applied before."""


async def lint_context(cluster: Cluster) -> list[Obj]:
    """What the cluster has of the kinds that lint looks at; a kind not served or not allowed is left out."""
    return [obj for kind in CONTEXT_KINDS for obj in await list_if_served(cluster, kind)]


def check(documents: list[Document], context: list[Obj]) -> list[Located]:
    """Lint the documents against each other and the context, each finding with its place in the file."""
    by_label = {document.label: document for document in documents}
    found = []
    for finding in lint([document.object for document in documents], context):
        document = by_label.get(finding.object)
        found.append(Located(document.at(finding.field) if document else "", finding))
    return found


async def prepare(cluster: Cluster, documents: list[Document]) -> Plan:
    """Lint and dry-run every document; changes nothing. Raises Unreachable; a refused document is in the plan."""
    plan = Plan(findings=check(documents, await lint_context(cluster)))
    rehearsal = Rehearsal(cluster, documents)
    for document in sorted(documents, key=_rank):
        try:
            plan.changes.append(await rehearsal.of(document))
        except ApiError as error:
            fields = [(document.at(cause.field), cause.field, cause.message) for cause in error.causes]
            plan.refusals.append(Refusal(document, error, fields))
    return plan


async def commit(cluster: Cluster, plan: Plan, journal: Journal, what: str = "apply") -> AsyncIterator[Change]:
    """Apply what changes, in order, each journalled as `what` before the next; yields each change once it is done.

    Raises JournalError before anything is applied when nothing could be recorded, ApplyError when the server refuses.
    """
    assert plan.ready, "commit of a plan with errors"
    journal.ready()
    done: list[str] = []
    for change in plan.changes:
        if change.action != "unchanged":
            try:
                after, _ = await cluster.apply(change.document.object, force=change.document.take_over)
            except BasculeError as error:
                cause = f"{error.message}; applied before it: {', '.join(done) or 'nothing'}; after it: nothing"
                raise ApplyError(f"{change.document.label} was not applied", cause, error.fix) from error
            try:
                journal.append(what, change.before, after)
            except JournalError as error:
                error.cause = f"{change.document.label} was applied without a record: {error.cause}"
                raise
            done.append(change.document.label)
        yield change


def _rank(document: Document) -> int:
    kind = document.object["kind"]
    return _ORDER.index(kind if kind in _ORDER else "*")
