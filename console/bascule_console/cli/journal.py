"""`bascule journal list`: what was changed, by whom, when; says so when the chain is broken."""

from __future__ import annotations

import argparse
from typing import Any

from bascule.errors import BasculeError
from bascule.journal import Record
from bascule_console.cli.options import Subparsers
from bascule_console.cli.output import Column, report, write_rows
from bascule_console.services.journal import Journal, journal_path

COLUMNS = (
    Column("seq", "seq"),
    Column("time", "time"),
    Column("who", lambda row: f"{row['who'].get('user', '')}@{row['who'].get('host', '')}"),
    Column("context", lambda row: row["who"].get("context", "")),
    Column("what", "what"),
    Column("kind", "kind"),
    Column("namespace", "namespace"),
    Column("name", "name"),
    Column("undo", "undo"),
    Column("hash", "hash", wide=True),
)


def add_parser(sub: Subparsers) -> None:
    """Declare the verb."""
    parser = sub.add_parser("journal", help="what was changed, by whom, when")
    verbs = parser.add_subparsers(dest="journal_verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="every record, oldest first")


def run(args: argparse.Namespace) -> int:
    """List the records; exit 1 after the intact ones when the chain is broken."""
    rows: list[dict[str, Any]] = []
    code = 0
    try:
        rows.extend(_row(record) for record in Journal(journal_path()).records())
    except BasculeError as error:
        report(error)
        code = error.exit_code
    write_rows(rows, COLUMNS, args.output)
    return code


def _row(record: Record) -> dict[str, Any]:
    content = record.content
    undo = content["undo"]
    return {
        "seq": record.seq,
        "time": content["time"],
        "who": content["who"],
        "what": content["what"],
        **content["target"],
        "undo": undo["verb"] if undo else "",
        "hash": record.hash,
    }
