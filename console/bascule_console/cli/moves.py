"""`bascule moves list|show|abort|export`: what moves were, what their networks felt, and taking one back."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bascule.errors import UsageError
from bascule_console.cli.options import Subparsers, access, add_confirm_name, refuse_unless_confirmed
from bascule_console.cli.output import Column, Row, narrate, write_document, write_json_line, write_rows
from bascule_console.cli.vms import seconds, write_record


def _loss(row: Row) -> str:
    return "" if row["sent"] is None else f"{row['lost']}/{row['sent']}"


def _gap(row: Row) -> str:
    return "" if row["longest_gap_ms"] is None else f"{row['longest_gap_ms']:.0f} ms"


LIST = (
    Column("vm", "vm"),
    Column("namespace", "namespace", wide=True),
    Column("source", "source"),
    Column("target", "target"),
    Column("started", "started"),
    Column("ended", "ended", wide=True),
    Column("phase", "phase"),
    Column("lost", _loss),
    Column("longest gap", _gap),
    Column("verdict", lambda row: row["verdict"] or "no record"),
    Column("missing", "missing", wide=True),
    Column("failure", "failure", wide=True),
    Column("migration", "migration"),
)

ABORTED = (
    Column("vm", "name"),
    Column("namespace", "namespace"),
    Column("migration", "migration"),
    Column("stays on", "node"),
)


def add_parser(sub: Subparsers) -> None:
    """Declare the verbs."""
    parser = sub.add_parser("moves", help="list, show or export move records; abort a running move")
    verbs = parser.add_subparsers(dest="moves_verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="every move, newest first; exit 5 when an agent is silent")
    show = verbs.add_parser("show", help="one cut-over record")
    show.add_argument("name", metavar="VM|MIGRATION", help="a VM's newest move, or a migration by name or uid")
    abort = verbs.add_parser("abort", help="take a running move back: delete its migration; exit 1 when it moved")
    abort.add_argument("name", metavar="VM|MIGRATION", help="a VM, or a migration by name or uid")
    abort.add_argument("--timeout", type=seconds, default=30.0, metavar="S", help="give up waiting after S (30)")
    add_confirm_name(abort)
    export = verbs.add_parser("export", help="every whole record, one JSON document a line (or -o json, yaml); as HTML")
    export.add_argument("name", nargs="?", metavar="VM|MIGRATION", help="only this record (all)")
    export.add_argument("--html", type=Path, metavar="FILE", help="one record with its plot as a page of its own")


def run(args: argparse.Namespace) -> int:
    """Run one of the verbs."""
    if args.moves_verb == "export" and args.html and not args.name:
        raise UsageError("--html is one record's page", fix="bascule moves export VM --html FILE")
    if args.moves_verb == "abort":
        refuse_unless_confirmed(args, f"abort the move of {args.name}", args.name.rpartition("/")[2])
        return asyncio.run(_abort(args))
    return asyncio.run(_run(args))


async def _abort(args: argparse.Namespace) -> int:
    from bascule_console.services.aborts import abort, find_running
    from bascule_console.services.cluster import connect

    async with connect(access(args)) as cluster:
        document = await find_running(cluster, args.name)
        meta, vm = document["metadata"], document["spec"]["vmiName"]
        narrate(f"deleting migration {meta['namespace']}/{meta['name']}")
        node = await abort(cluster, document, args.timeout)
    row = {"name": vm, "namespace": meta["namespace"], "migration": meta["name"], "node": node}
    write_rows([row], ABORTED, args.output)
    return 0


async def _run(args: argparse.Namespace) -> int:
    from bascule_console.services.agents import Agents
    from bascule_console.services.cluster import connect
    from bascule_console.services.records import (
        find_record,
        is_named,
        move_records,
        move_rows,
        records_of_migrations,
    )

    async with connect(access(args)) as cluster:
        agents = Agents(cluster.bearer_token)
        try:
            records, answers = await move_records(cluster, agents)
            if args.moves_verb == "show" and not any(is_named(record, args.name) for record in records):
                records += await records_of_migrations(cluster)
        finally:
            await agents.close()
        rows = await move_rows(cluster, records) if args.moves_verb == "list" else []
    for node, why in sorted(answers.silent.items()):
        narrate(f"{node} is silent: {why}")
    if args.moves_verb == "list":
        write_rows(rows, LIST, args.output)
    elif args.moves_verb == "show":
        write_record(find_record(records, args.name), args.output)
    elif args.html:
        _write_page(find_record(records, args.name), args.html)
    else:
        _export([find_record(records, args.name)] if args.name else records, args.output)
    return answers.exit_code


def _write_page(record: Mapping[str, Any], path: Path) -> None:
    from bascule.continuity.page import html_page

    try:
        path.write_text(html_page(record))
    except OSError as error:
        raise UsageError(f"cannot write {path}", cause=error.strerror or "", fix="name another file") from error
    narrate(f"wrote {path}")


def _export(records: list[Mapping[str, Any]], fmt: str) -> None:
    if fmt in ("json", "yaml"):
        write_document([dict(record) for record in records], fmt)
        return
    for record in records:
        write_json_line(record)
