"""`bascule networks list|show|lint|diff|delete`."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from bascule.errors import UnreachableError
from bascule_console.cli.options import Subparsers, access, add_confirm_name, refuse_unless_confirmed
from bascule_console.cli.output import Column, narrate, write_document, write_rows
from bascule_console.store.networks import ranges

FAILED = 1
LINTED = ("Network", "IPPool", "NetworkAttachmentDefinition")
LIST = (
    Column("name", "name"),
    Column("vlans", lambda row: ranges(row["vlans"])),
    Column("ready", "ready"),
    Column("nads", lambda row: len(row["nads"])),
    Column("attached", lambda row: len(row["attached"])),
    Column("bridges", "bridges", wide=True),
    Column("trunks", "trunks", wide=True),
)
NODES = (
    Column("node", "node"),
    Column("ready", lambda row: "yes" if row["ready"] else "no"),
    Column("reason", "reason"),
    Column("message", "message"),
)
FINDINGS = (
    Column("severity", "severity"),
    Column("id", "id"),
    Column("object", "object"),
    Column("field", "field"),
    Column("message", "message"),
    Column("fix", "fix"),
    Column("evidence", "evidence", wide=True),
    Column("where", "where", wide=True),
)

DIFF = (Column("object", "object"), Column("action", "action"), Column("diff", "diff"))


def add_parser(sub: Subparsers) -> None:
    """Declare the verbs."""
    parser = sub.add_parser("networks", help="list, show, lint, diff or delete bridge Networks")
    verbs = parser.add_subparsers(dest="networks_verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="every Network")
    verbs.add_parser("show", help="one Network, with what each node says").add_argument("name")
    lint = verbs.add_parser("lint", help="findings; exit 1 with an error")
    lint.add_argument("-f", "--filename", action="append", metavar="FILE", help="manifests instead of what is live")
    diff = verbs.add_parser("diff", help="what applying the manifests would change; exit 1 with a difference")
    diff.add_argument("-f", "--filename", action="append", required=True, metavar="FILE", help="- is stdin")
    delete = verbs.add_parser("delete", help="delete a Network that nothing is attached to")
    delete.add_argument("name")
    add_confirm_name(delete)


def run(args: argparse.Namespace) -> int:
    """Run one of the verbs."""
    if args.networks_verb == "delete":
        refuse_unless_confirmed(args, f"delete Network {args.name}", args.name)
    verb = {"list": _list, "show": _show, "lint": _lint, "diff": _diff, "delete": _delete}[args.networks_verb]
    return asyncio.run(verb(args))


async def _list(args: argparse.Namespace) -> int:
    from bascule_console.services.cluster import connect
    from bascule_console.services.networks import rows

    async with connect(access(args)) as cluster:
        found = await rows(cluster)
    write_rows(found, LIST, args.output)
    return 0


async def _show(args: argparse.Namespace) -> int:
    from bascule_console.services.cluster import connect
    from bascule_console.services.networks import rows

    async with connect(access(args)) as cluster:
        found = (await rows(cluster, args.name))[0]
    if args.output not in ("table", "wide", "csv"):
        write_document(found, args.output)
        return 0
    write_rows([found], LIST, "wide" if args.output == "table" else args.output)
    for word in ("nads", "attached"):
        narrate(f"{word}: {', '.join(found[word]) or 'none'}")
    if found["nodes"]:
        write_rows(found["nodes"], NODES, args.output)
    return 0


async def _lint(args: argparse.Namespace) -> int:
    from bascule.lint import lint
    from bascule_console.services.apply import check
    from bascule_console.services.manifests import load

    if args.filename:
        documents = load(args.filename)
        found = [
            {**each.finding.as_dict(), "where": each.where} for each in check(documents, await _context(args, True))
        ]
    else:
        context = await _context(args, False)
        found = [finding.as_dict() for finding in lint([obj for obj in context if obj["kind"] in LINTED], context)]
    write_rows(found, FINDINGS, args.output)
    return FAILED if any(finding["severity"] == "error" for finding in found) else 0


async def _context(args: argparse.Namespace, optional: bool) -> list[dict[str, Any]]:
    """What the cluster has; `optional` makes manifests lintable where there is no cluster."""
    from bascule_console.services.apply import lint_context
    from bascule_console.services.cluster import connect

    try:
        async with connect(access(args)) as cluster:
            return await lint_context(cluster)
    except UnreachableError as error:
        if not optional:
            raise
        narrate(f"linted without a cluster's objects: {error.message}")
        return []


async def _diff(args: argparse.Namespace) -> int:
    from bascule_console.cli.apply import exit_code, show_diff, tell
    from bascule_console.services import apply
    from bascule_console.services.cluster import connect
    from bascule_console.services.manifests import load

    documents = load(args.filename)
    async with connect(access(args)) as cluster:
        plan = await apply.prepare(cluster, documents)
    tell(plan)
    if args.output in ("table", "wide"):
        show_diff(plan, args.output)
    else:
        rows = [
            {"object": change.document.label, "action": change.action, "diff": change.diff} for change in plan.changes
        ]
        write_rows(rows, (Column("object", "object"), Column("action", "action"), Column("diff", "diff")), args.output)
    if not plan.ready:
        return exit_code(plan)
    return FAILED if any(change.action != "unchanged" for change in plan.changes) else 0


async def _delete(args: argparse.Namespace) -> int:
    from bascule_console.services.cluster import connect
    from bascule_console.services.journal import Journal, journal_path
    from bascule_console.services.networks import delete

    async with connect(access(args)) as cluster:
        await delete(cluster, args.name, Journal(journal_path(), cluster.context, cluster.server))
    narrate(f"deleted Network {args.name}")
    return 0
