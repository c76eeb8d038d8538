"""`bascule plan accept`: who talked to a VM before its move and who does now, and the operator's word on it."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bascule_console.cli.options import Subparsers, access, refuse_if_read_only
from bascule_console.cli.output import Column, narrate, write_document, write_json_line, write_rows

if TYPE_CHECKING:
    from bascule.migration.acceptance import Thresholds, VmAcceptance

LINES = (
    Column("vm", "vm"),
    Column("is", "status"),
    Column("peer", lambda row: row["peer_name"] or row["peer"]),
    Column("line", "name"),
    Column("proto", "proto"),
    Column("began", "began"),
    Column("before", "before"),
    Column("after", "after"),
    Column("evidence", "evidence"),
    Column("port of", "at", wide=True),
    Column("address", "peer", wide=True),
    Column("wave", "wave", wide=True),
)


def add_parser(verbs: Subparsers) -> None:
    """Declare the verb."""
    text = "compare who talks to VMs with before, and sign it; refused (4) while something stopped that has no word"
    one = verbs.add_parser("accept", help=text)
    one.add_argument("vms", nargs="*", metavar="VM", help="VMs of the plan that were moved")
    one.add_argument("--plan", default="", metavar="PLAN", help="plan.json or its directory (the kept plan)")
    one.add_argument("--wave", type=int, default=0, metavar="N", help="all VMs of a wave that were moved")
    text = "flows of before: recording, capture or CSV (else what the agents heard before each VM's start)"
    one.add_argument("--before", action="append", default=[], metavar="FILE", help=text)
    text = "flows of after (else what the agents heard since each VM's start)"
    one.add_argument("--after", action="append", default=[], metavar="FILE", help=text)
    one.add_argument("--look", action="store_true", help="compare only, sign nothing; exit 1 when something stopped")
    one.add_argument("--note", default="", metavar="TEXT", help="what is said with the signature")
    text = "what may have stopped, as listed under LINE, or VM/LINE"
    one.add_argument("--accept-missing", action="append", default=[], metavar="PEER:PORT", help=text)
    text = "why it may; without --accept-missing it stands for all that stopped"
    one.add_argument("--reason", default="", metavar="TEXT", help=text)
    text = "how long before has to be for something to be called new (1h)"
    one.add_argument("--enough-before", default="1h", metavar="T", help=text)
    text = "how long it has to be quiet after to be called stopped (10m)"
    one.add_argument("--enough-after", default="10m", metavar="T", help=text)
    one.add_argument("--to", type=Path, default=None, metavar="FILE", help="keep the signed document here")
    one.add_argument("--html", type=Path, default=None, metavar="FILE", help="write the comparison as one page")


def run(args: argparse.Namespace) -> int:
    """Compare, show, sign."""
    from bascule.migration.acceptance import STOPPED
    from bascule_console.services import acceptance as service
    from bascule_console.services.journal import Journal, journal_path
    from bascule_console.services.run.loaded import load

    limits = _thresholds(args)
    loaded, journal = load(args.plan), Journal(journal_path())
    asked = None if args.before and args.after else access(args)
    if not args.look and (asked is not None or args.read_only):
        refuse_if_read_only(args, "sign an acceptance")
    vms = service.chosen(loaded, journal, args.vms, args.wave)
    if not args.look and args.wave and not args.vms:
        vms = service.unsigned(vms)
    found = asyncio.run(service.compared(loaded, vms, asked, args.before, args.after, limits))
    for each in found:
        _narrate(each)
    if args.html:
        _write_page(args.html, found, limits)
    document = None
    refusal = None
    if not args.look:
        from bascule.errors import RefusedError

        try:
            document = service.sign(
                loaded, found, journal, args.note, args.accept_missing, args.reason, limits, args.to
            )
        except RefusedError as error:
            refusal = error
    _print(args.output, found, limits, document)
    if refusal is not None:
        raise refusal
    if document is not None:
        narrate(
            f"accepted by {document['by']}: {', '.join(each.vm.name for each in found)}; kept in {document['file']}"
        )
        return 0
    return 1 if any(each.of(STOPPED) for each in found) else 0


def _thresholds(args: argparse.Namespace) -> Thresholds:
    from bascule.errors import UsageError
    from bascule.flows.when import seconds_of
    from bascule.migration.acceptance import Thresholds

    lengths = []
    for name in ("enough_before", "enough_after"):
        seconds = seconds_of(getattr(args, name))
        if seconds is None:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} {getattr(args, name)}: no length of time", fix=f"{option} 10m, or 1h30m, or 0s")
        lengths.append(seconds)
    return Thresholds(*lengths)


def _print(fmt: str, found: list[VmAcceptance], limits: Thresholds, document: dict[str, Any] | None) -> None:
    from bascule.migration.acceptance import rows
    from bascule.migration.acceptance_document import comparison

    if fmt in ("json", "yaml"):
        write_document(document or comparison(found, limits), fmt)
    elif fmt == "jsonl":
        write_json_line(document or comparison(found, limits))
    else:
        write_rows(rows(found), LINES, fmt)


def _narrate(each: VmAcceptance) -> None:
    from bascule.migration.acceptance import CLASSES, span

    counts = ", ".join(f"{len(each.of(status))} {status}" for status in CLASSES)
    windows = []
    for word, window in (("before", each.before), ("after", each.after)):
        length = span(window.seconds) if window.seconds else "no time told"
        lost = f", {window.lost} frames lost" if window.lost else ""
        windows.append(f"{word} {length} of {window.source}{lost}")
    narrate(f"{each.vm.name}: {counts} ({'; '.join(windows)})")
    for window in (each.before, each.after):
        for note in window.notes:
            narrate(f"  {window.source}: {note}")
        for node in window.silent:
            narrate(f"  {window.source}: {node} told nothing")


def _write_page(path: Path, found: list[VmAcceptance], limits: Thresholds) -> None:
    from bascule.migration.acceptance_page import html
    from bascule_console.services.estate import write_whole

    narrate(f"wrote {write_whole(path, html(found, limits))}")
