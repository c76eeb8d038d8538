"""`bascule apply -f FILE`: lint, dry run, diff, apply, journal; all documents or none."""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from bascule_console.cli.options import (
    Subparsers,
    access,
    add_confirm_name,
    refuse_if_read_only,
    refuse_unless_confirmed,
)
from bascule_console.cli.output import Column, narrate, write_lines, write_rows

if TYPE_CHECKING:
    from bascule_console.services.apply import Plan
    from bascule_console.services.manifests import Document
    from bascule_console.services.rehearsal import Change

CHECK_FAILED = 1
COLUMNS = (
    Column("kind", "kind"),
    Column("namespace", "namespace"),
    Column("name", "name"),
    Column("action", "action"),
    Column("file", "file", wide=True),
)


def add_parser(sub: Subparsers) -> None:
    """Declare the verb."""
    parser = sub.add_parser("apply", help="apply manifests: lint, dry run, diff, apply, journal")
    parser.add_argument("-f", "--filename", action="append", required=True, metavar="FILE", help="- is stdin")
    parser.add_argument("--dry-run", action="store_true", help="stop before anything is applied")
    add_confirm_name(parser)
    parser.add_argument("--diff", action="store_true", help="show what changes")


def run(args: argparse.Namespace) -> int:
    """Apply; see DESIGN section 5 for the exit code."""
    from bascule_console.services.manifests import load

    if args.read_only and not args.dry_run:
        refuse_if_read_only(args, "apply")
    documents = load(args.filename)  # a file that cannot be read is said before a cluster is looked for
    if not args.dry_run:
        refuse_unless_confirmed(args, "apply")
    return asyncio.run(_apply(args, documents))


async def _apply(args: argparse.Namespace, documents: list[Document]) -> int:
    from bascule_console.services import apply
    from bascule_console.services.cluster import connect
    from bascule_console.services.journal import Journal, journal_path

    async with connect(access(args)) as cluster:
        plan = await apply.prepare(cluster, documents)
        tell(plan)
        if not plan.ready:
            narrate("nothing was applied")
            return exit_code(plan)
        if args.diff:
            show_diff(plan, args.output)
        if args.dry_run:
            rows = [_row(change) for change in plan.changes]
        else:
            journal = Journal(journal_path(), cluster.context, cluster.server)
            rows = [_row(change) async for change in apply.commit(cluster, plan, journal)]
    write_rows(rows, COLUMNS, args.output)
    return 0


def tell(plan: Plan) -> None:
    """Narrate findings, warnings and refusals of a services.apply.Plan, each with file and line."""
    for located in plan.findings:
        finding = located.finding
        where = f"{located.where}: " if located.where else ""
        named = f"{finding.object} {finding.field}".strip()
        narrate(f"{where}{finding.severity}: {named}: {finding.message} [{finding.id}]")
        for word, text in (("evidence", finding.evidence), ("fix", finding.fix)):
            if text:
                narrate(f"  {word}: {text}")
    warned = Counter(warning for change in plan.changes for warning in change.warnings)
    for warning, times in warned.items():
        narrate(f"warning from the server, for {times} of {len(plan.changes)} objects: {warning}")
    untried = [change.document for change in plan.changes if change.after is None]
    if untried:
        narrate(f"{untried[0].at()}: {len(untried)} objects from here on cannot be tried before the others are applied")
    for refusal in plan.refusals:
        place = f"{refusal.document.at()}: the server refuses {refusal.document.label}"
        narrate(place if refusal.fields else f"{place}: {refusal.error.message}")
        for where, field, message in refusal.fields:
            narrate(f"  {where}: {field}: {message}")
    for fix in dict.fromkeys(refusal.error.fix for refusal in plan.refusals if refusal.error.fix):
        narrate(f"  fix: {fix}")


def exit_code(plan: Plan) -> int:
    """1 for a lint error, else the highest of the refusals': 4 for a missing right, 2 for a bad document."""
    return CHECK_FAILED if plan.lint_failed else max(refusal.error.exit_code for refusal in plan.refusals)


def show_diff(plan: Plan, fmt: str) -> None:
    """Write every diff to stdout, or to stderr when stdout is for a script."""
    for change in plan.changes:
        if fmt in ("table", "wide"):
            write_lines(change.diff)
        else:
            for line in change.diff.splitlines():
                narrate(line)


def _row(change: Change) -> dict[str, Any]:
    obj = change.document.object
    return {
        "kind": obj["kind"],
        "namespace": obj["metadata"].get("namespace", ""),
        "name": obj["metadata"]["name"],
        "action": change.action,
        "file": change.document.at(),
        "warnings": change.warnings,
    }
