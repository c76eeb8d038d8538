"""Manifests on their way into a cluster: lint, server-side dry run of every one, diff; only then apply, and journal.

Nothing is applied while any document has a lint error or fails its dry run. No printing here; the CLI and the console
show what `prepare` found and what `commit` does.
"""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from bascule.errors import BasculeError
from bascule.lint import Finding, lint
from bascule_console.services.cluster import list_if_served
from bascule_console.services.journal import Journal, JournalError
from bascule_console.services.manifests import Document, portable
from bascule_kube import Cluster
from bascule_kube.errors import ApiError, NotFound, NotServed
from bascule_kube.kinds import IPPOOL, NAD, NETWORK, NODE, VM

Obj = dict[str, Any]
CONTEXT_KINDS = (NETWORK, IPPOOL, NAD, NODE, VM)
_ORDER = (
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "Network",
    "IPPool",
    "NetworkAttachmentDefinition",
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


@dataclass(frozen=True, slots=True)
class Change:
    """One document and what applying it does. `after` is the dry run's answer, None when its namespace or kind is only
    made by another of the documents, so that the server cannot try it yet. `diff` is unified, by YAML lines."""

    document: Document
    before: Obj | None
    after: Obj | None
    warnings: list[str]
    diff: str

    @property
    def action(self) -> str:
        """create, update or unchanged."""
        if self.before is None:
            return "create"
        return "update" if self.diff else "unchanged"


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
    for document in sorted(documents, key=_rank):
        try:
            plan.changes.append(await _dry_run(cluster, document, documents))
        except ApiError as error:
            fields = [(document.at(cause.field), cause.field, cause.message) for cause in error.causes]
            plan.refusals.append(Refusal(document, error, fields))
    return plan


async def commit(cluster: Cluster, plan: Plan, journal: Journal) -> AsyncIterator[Change]:
    """Apply what changes, in order, each journalled before the next; yields each change once it is done.

    Raises JournalError before anything is applied when nothing could be recorded, ApplyError when the server refuses.
    """
    assert plan.ready, "commit of a plan with errors"
    journal.ready()
    done: list[str] = []
    for change in plan.changes:
        if change.action != "unchanged":
            try:
                after, _ = await cluster.apply(change.document.object)
            except BasculeError as error:
                cause = f"{error.message}; applied before it: {', '.join(done) or 'nothing'}; after it: nothing"
                raise ApplyError(f"{change.document.label} was not applied", cause, error.fix) from error
            try:
                journal.append("apply", change.before, after)
            except JournalError as error:
                error.cause = f"{change.document.label} was applied without a record: {error.cause}"
                raise
            done.append(change.document.label)
        yield change


def diff(before: Obj | None, after: Obj, label: str) -> str:
    """Unified diff of the two as YAML, without status and what the server fills in; "" when they are equal."""
    old, new = (_yaml_lines(obj) for obj in (before, after))
    name = label.replace(" ", "/")
    return "\n".join(difflib.unified_diff(old, new, f"live/{name}", f"new/{name}", lineterm="", n=3))


async def _dry_run(cluster: Cluster, document: Document, documents: list[Document]) -> Change:
    obj = document.object
    try:
        kind = await cluster.kind_of(obj)
        name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace") or cluster.namespace
        before = await _get(cluster.get(kind, name, namespace if kind.namespaced else None))
        after, warnings = await cluster.apply(obj, dry_run=True)
    except (NotFound, NotServed):
        if not _made_by(document, documents):
            raise
        return Change(document, None, None, [], diff(None, obj, document.label))
    return Change(document, before, after, warnings, diff(before, after, document.label))


async def _get(request: Any) -> Obj | None:
    try:
        found: Obj = await request
        return found
    except NotFound:
        return None


def _made_by(document: Document, documents: list[Document]) -> bool:
    """Is the document's namespace, or its kind, made by another of the documents?"""
    namespace = document.object["metadata"].get("namespace")
    for other in (entry.object for entry in documents):
        if other["kind"] == "Namespace" and other["metadata"]["name"] == namespace:
            return True
        names = (other.get("spec") or {}).get("names") if other["kind"] == "CustomResourceDefinition" else None
        if isinstance(names, dict) and names.get("kind") == document.object["kind"]:
            return True
    return False


def _rank(document: Document) -> int:
    kind = document.object["kind"]
    return _ORDER.index(kind if kind in _ORDER else "*")


def _yaml_lines(obj: Obj | None) -> list[str]:
    return [] if obj is None else yaml.safe_dump(portable(obj), sort_keys=True, default_flow_style=False).splitlines()
