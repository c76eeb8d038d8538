"""`bascule plan run|rollback|status`: VMs brought over by a plan, given back, and where each stands."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from bascule_console.cli.options import Subparsers, access, add_confirm_name, refuse_unless_confirmed
from bascule_console.cli.output import Column, Row, narrate, write_document, write_rows

if TYPE_CHECKING:
    from bascule.migration.run import RunRow
    from bascule_console.services.run import Runner, Told

FAILED = 1
UNFINISHED = ("blocked", "stuck", "moving", "going back")
STATUS = (
    Column("vm", "vm"),
    Column("target", "target"),
    Column("wave", lambda row: row["wave"] or ""),
    Column("state", "state"),
    Column("step", lambda row: f"{row['step']} {row['action']}".strip()),
    Column("outage s", lambda row: "" if row["outage_ms"] is None else f"{row['outage_ms'] / 1000:.2f}"),
    Column("since", "since"),
    Column("why", "why"),
    Column("next", "next", wide=True),
)
VERBS = ("run", "rollback", "status")


def add_parsers(verbs: Subparsers) -> None:
    """Declare the verbs of `plan` that are here."""
    run = verbs.add_parser(
        "run",
        help="bring a wave over: source off, address silent, disks copied, target on; goes on after a crash; exit 1 "
        "when a VM is not over, 3 when cluster or source stay away",
    )
    _plan(run)
    _source(run)
    run.add_argument("--wave", type=int, default=0, metavar="N", help="the wave (the first that is not over)")
    run.add_argument("--vm", action="append", default=[], metavar="NAME", help="only this VM; again for more")
    run.add_argument("--at-once", type=_count, default=1, metavar="N", help="VMs at the same time (1)")
    run.add_argument("--dry-run", action="store_true", help="only the checks; nothing is changed or recorded")
    add_confirm_name(run)
    back = verbs.add_parser("rollback", help="give a VM back to the old side: target off and silent, source on")
    back.add_argument("name", metavar="VM", help="its old or new name")
    back.add_argument("--plan", default="", metavar="PLAN", help="plan.json or its directory (the one that was kept)")
    _source(back)
    add_confirm_name(back)
    _plan(verbs.add_parser("status", help="where every VM of the plan stands, by the journal; exit 1 when one failed"))


def _plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", nargs="?", default="", metavar="PLAN", help="plan.json or its directory (the kept one)")


def _source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source", required=True, metavar="URI", help="the hypervisor, such as qemu+ssh://root@old/system"
    )


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text}: 1 to 100")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Run one of the verbs."""
    if args.plan_verb == "status":
        return _status(args)
    if args.plan_verb == "rollback":
        refuse_unless_confirmed(args, f"roll back {args.name}", args.name)
    elif not args.dry_run:
        refuse_unless_confirmed(args, "run the plan", args.vm[0] if len(args.vm) == 1 else None)
    return asyncio.run(_with_runner(args, _back if args.plan_verb == "rollback" else _forward))


def _status(args: argparse.Namespace) -> int:
    from bascule_console.services.run import load, status

    rows = status(load(args.plan))
    _write(rows, args.output)
    return FAILED if any(each.state in UNFINISHED for each in rows) else 0


async def _with_runner(args: argparse.Namespace, act: Callable[..., object]) -> int:
    from bascule_console.services.collect.login import on_terminal
    from bascule_console.services.run import load, opened

    loaded = load(args.plan)
    async with opened(loaded, access(args), args.source, tell, on_terminal) as runner:
        rows: Sequence[RunRow] = await act(args, runner)  # type: ignore[misc]
    _write(rows, args.output)
    return _concluded(args, rows)


async def _forward(args: argparse.Namespace, runner: Runner) -> Sequence[RunRow]:
    if args.dry_run:
        found = await runner.rehearse(args.wave, args.vm)
        for each in found:
            narrate(f"{each.target}: {each.why or 'every check that can be made before its stop holds'}")
        return found
    rows = await runner.run(args.wave, args.vm, args.at_once)
    if not rows:
        narrate("nothing to do: every VM that was meant is over, or was rolled back (name it with --vm to try again)")
    return rows


async def _back(args: argparse.Namespace, runner: Runner) -> Sequence[RunRow]:
    return [await runner.rollback(args.name)]


def _concluded(args: argparse.Namespace, rows: Sequence[RunRow]) -> int:
    for each in rows:
        if each.next and each.state not in ("waiting", "held"):
            narrate(f"{each.target} is {each.state}; next: {each.next}")
    bad = UNFINISHED if args.plan_verb == "rollback" else (*UNFINISHED, "rolled back")
    return FAILED if any(each.state in bad for each in rows) else 0


def _write(rows: Sequence[RunRow], fmt: str) -> None:
    found: list[Row] = [asdict(each) for each in rows]
    if fmt in ("json", "yaml"):
        write_document(found, fmt)
    else:
        write_rows(found, STATUS, fmt)


def tell(told: Told) -> None:
    """One piece of news on stderr."""
    if told.kind == "progress":
        narrate(f"{told.vm}: {told.step}: {progress(told)}")
    elif told.kind != "begin":
        narrate(f"{told.vm}: {'' if told.ok else 'failed: '}{told.text}")


def progress(told: Told) -> str:
    """Bytes, rate, and how long it will take at that rate."""
    text = f"{told.done / 1e6:.1f}"
    text += f" of {told.total / 1e6:.1f} MB" if told.total else " MB"
    if told.rate:
        text += f", {told.rate / 1e6:.1f} MB/s"
        left = (told.total - told.done) / told.rate if told.total else 0.0
        text += f", {left:.0f} s left" if left >= 1 else ""
    return text


__all__ = ["VERBS", "add_parsers", "progress", "run", "tell"]
