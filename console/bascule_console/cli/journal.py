"""`bascule journal list|show|verify|undo`: what was changed, by whom, when; and taking it back."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from bascule.errors import BasculeError
from bascule.journal import Record
from bascule_console.cli.options import (
    Subparsers,
    access,
    add_confirm_name,
    refuse_if_read_only,
    refuse_unless_confirmed,
)
from bascule_console.cli.output import Column, narrate, report, write_document, write_lines, write_rows
from bascule_console.services.journal import Journal, journal_path

CHECK_FAILED = 1
COLUMNS = (
    Column("seq", "seq"),
    Column("time", "time"),
    Column("who", lambda row: f"{row['who'].get('user', '')}@{row['who'].get('host', '')}"),
    Column("context", lambda row: row["who"].get("context", "")),
    Column("what", "what"),
    Column("kind", "kind"),
    Column("namespace", "namespace"),
    Column("name", "name"),
    Column("undo", lambda row: f"undone by {row['undone_by']}" if row["undone_by"] else row["undo"]),
    Column("hash", "hash", wide=True),
)
VERDICT = (
    Column("journal", "path"),
    Column("intact", "intact"),
    Column("whole", lambda row: "yes" if row["whole"] else "no"),
    Column("problem", "problem"),
    Column("torn", "torn"),
    Column("head", "head"),
)
UNDONE = (
    Column("seq", "seq"),
    Column("verb", "verb"),
    Column("object", "object"),
    Column("done", lambda row: "yes" if row["done"] else "no"),
)


def add_parser(sub: Subparsers) -> None:
    """Declare the verbs."""
    parser = sub.add_parser("journal", help="what was changed, by whom, when")
    verbs = parser.add_subparsers(dest="journal_verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="every record, oldest first")
    verbs.add_parser("show", help="one record with its diff").add_argument("seq", type=int, metavar="NUMBER")
    verbs.add_parser("verify", help="check the whole chain; exit 1 when it is broken")
    undo = verbs.add_parser("undo", help="take back what one record changed, and nothing that was changed since")
    undo.add_argument("seq", type=int, metavar="NUMBER")
    undo.add_argument("--dry-run", action="store_true", help="stop before anything is changed")
    add_confirm_name(undo)


def run(args: argparse.Namespace) -> int:
    """Run one of the verbs."""
    if args.journal_verb == "undo":
        if not args.dry_run:
            _refuse_undo(args)
        return asyncio.run(_undo(args))
    verbs = {"list": _list, "show": _show, "verify": _verify}
    return verbs[args.journal_verb](args)


def _refuse_undo(args: argparse.Namespace) -> None:
    """What is undone is named by what the record changed."""
    from bascule_console.services.undo import find

    what = f"undo record {args.seq}"
    refuse_if_read_only(args, what)
    record = find(list(Journal(journal_path()).records()), args.seq)
    refuse_unless_confirmed(args, what, record.content["target"]["name"])


def _list(args: argparse.Namespace) -> int:
    """Exit 1 after the intact records when the chain is broken."""
    from bascule_console.store.journal import undone_by

    records: list[Record] = []
    code = 0
    try:
        for record in Journal(journal_path()).records():
            records.append(record)
    except BasculeError as error:
        report(error)
        code = error.exit_code
    undone = undone_by(records)
    write_rows([_row(record, undone.get(record.seq)) for record in records], COLUMNS, args.output)
    return code


def _show(args: argparse.Namespace) -> int:
    from bascule_console.services.undo import find
    from bascule_console.store.journal import document, undone_by

    records = list(Journal(journal_path()).records())
    record = find(records, args.seq)
    undone = undone_by(records).get(args.seq)
    if args.output in ("table", "wide"):
        write_rows([_row(record, undone)], COLUMNS, args.output)
        write_lines(document(record, undone)["diff"])
    else:
        write_document(document(record, undone), args.output)
    return 0


def _verify(args: argparse.Namespace) -> int:
    journal = Journal(journal_path())
    verdict = journal.verify()
    fault = verdict.fault
    row = {
        "path": str(journal.path),
        "whole": fault is None,
        "intact": verdict.intact,
        "problem": f"record {fault.line}: {fault.problem}" if fault else "",
        "torn": verdict.torn,
        "head": verdict.head,
    }
    if args.output in ("json", "yaml"):
        write_document(row, args.output)
    else:
        write_rows([row], VERDICT, args.output)
    if verdict.torn:
        narrate(f"{verdict.torn} bytes of an append that was cut short follow; the next record replaces them")
    return CHECK_FAILED if fault else 0


async def _undo(args: argparse.Namespace) -> int:
    from bascule_console.cli.apply import exit_code, tell
    from bascule_console.services import undo
    from bascule_console.services.cluster import connect

    async with connect(access(args)) as cluster:
        journal = Journal(journal_path(), cluster.context, cluster.server)
        plan = await undo.prepare(cluster, journal, args.seq)
        for line in plan.diff.splitlines():
            narrate(line)
        if plan.plan is not None:
            tell(plan.plan)
            if not plan.plan.ready:
                narrate("nothing was undone")
                return exit_code(plan.plan)
        if not args.dry_run:
            await undo.commit(cluster, plan, journal)
    row = {"seq": plan.seq, "verb": plan.verb, "object": plan.label, "done": not args.dry_run}
    write_rows([row], UNDONE, args.output)
    return 0


def _row(record: Record, undone: int | None) -> dict[str, Any]:
    content = record.content
    undo = content["undo"]
    return {
        "seq": record.seq,
        "time": content["time"],
        "who": content["who"],
        "what": content["what"],
        **content["target"],
        "undo": undo["verb"] if undo else "",
        "undone_by": undone,
        "hash": record.hash,
    }
