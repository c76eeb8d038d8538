"""`bascule assess`: the four questions and every check on the old side, each with verdict, evidence and fix."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bascule_console.cli.gathering import add_inputs, gathered
from bascule_console.cli.options import Subparsers
from bascule_console.cli.output import Column, Row, narrate, write_document, write_json_line, write_rows

if TYPE_CHECKING:
    from bascule.migration.readiness import Assessment

FAILED = 1
CHECKS = (
    Column("check", "id"),
    Column("verdict", "verdict"),
    Column("of", lambda row: f"{len(row['results'])}/{row['looked_at']}"),
    Column("evidence", "evidence"),
    Column("asks", "title", wide=True),
)
RESULTS = (
    Column("check", "check"),
    Column("verdict", "verdict"),
    Column("of", "object"),
    Column("evidence", "evidence"),
    Column("fix", "fix"),
)
QUESTIONS = (
    Column("question", "text"),
    Column("answer", "answer"),
    Column("evidence", lambda row: "; ".join(row["evidence"])),
)
VMS = (Column("vm", "name"), Column("verdict", "verdict"), Column("key", "key", wide=True))
CHANGES = tuple(Column(name, name) for name in ("change", "check", "object", "before", "after", "evidence"))


def add_parser(sub: Subparsers) -> None:
    """Declare the verb."""
    parser = sub.add_parser("assess", help="is the old side ready to move? exit 1 when a check has an error")
    add_inputs(parser)
    parser.add_argument(
        "--list", choices=("checks", "results", "vms"), default="checks", help="what is listed (checks)"
    )
    parser.add_argument("--only", action="append", default=[], metavar="CHECK", help="the results of this check")
    parser.add_argument("--html", type=Path, default=None, metavar="FILE", help="write the report as one page")
    parser.add_argument("--compare", default="", metavar="OLD.json", help="what changed since that report")
    parser.add_argument("--questions", type=Path, default=None, metavar="FILE", help="write what only you can answer")


def run(args: argparse.Namespace) -> int:
    """Judge, print, write."""
    from datetime import UTC, datetime

    from bascule.migration.compare import compare, read_assessment
    from bascule.migration.readiness import as_dict, assess, open_questions
    from bascule_console.services import estate, readiness

    found = assess(gathered(args).world, datetime.now(UTC).isoformat(timespec="seconds"))
    document = as_dict(found)
    changes = None
    if args.compare:
        old = read_assessment(args.compare, readiness.read_bytes(args.compare))
        changes = document["changes"] = compare(old, document)
    _print(args, document, changes)
    if args.html:
        from bascule.migration.page import html

        narrate(f"wrote {estate.write_whole(args.html, html(found, changes))}")
    if args.questions:
        import yaml

        asked = yaml.safe_dump(open_questions(found), sort_keys=False)
        narrate(f"wrote {estate.write_whole(args.questions, asked)}; fill it in, then --answers {args.questions}")
    _narrate(found, document)
    return FAILED if found.verdict == "error" else 0


def _print(args: argparse.Namespace, document: dict[str, Any], changes: list[Row] | None) -> None:
    if args.output in ("json", "yaml"):
        write_document(document, args.output)
    elif args.output == "jsonl":
        write_json_line(document)
    elif changes is not None:
        write_rows(changes, CHANGES, args.output)
    elif args.output == "csv" or args.list == "results" or args.only:
        write_rows(_results(document, args.only), RESULTS, args.output)
    elif args.list == "vms":
        write_rows(document["vms"], VMS, args.output)
    else:
        write_rows(document["questions"], QUESTIONS, args.output)
        print()
        order = ("error", "warning", "unknown", "ok")
        write_rows(sorted(document["checks"], key=lambda row: order.index(row["verdict"])), CHECKS, args.output)


def _results(document: dict[str, Any], only: list[str]) -> list[Row]:
    return [
        {"check": check["id"], **result}
        for check in document["checks"]
        if not only or check["id"] in only
        for result in check["results"] or [{"verdict": "ok", "object": "", "evidence": check["evidence"], "fix": ""}]
    ]


def _narrate(found: Assessment, document: dict[str, Any]) -> None:
    counts = ", ".join(f"{number} {verdict}" for verdict, number in document["counts"].items())
    narrate(f"{len(found.judged)} checks on {len(found.vms)} VMs: {counts}")
    worst = next((each for each in found.judged if each.verdict == "error"), None)
    if worst:
        narrate(f"next: bascule assess --only {worst.check.id}; the report: bascule assess --html FILE")
    elif document["counts"]["unknown"]:
        narrate("next: bascule assess --questions FILE, answer it, then --answers FILE")
    else:
        narrate("next: bascule plan build")
