"""`bascule vms list|show|move`."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bascule_console.cli.options import Subparsers, access, refuse_if_read_only
from bascule_console.cli.output import Column, Row, narrate, write_document, write_json_line, write_lines, write_rows

if TYPE_CHECKING:
    from bascule_console.store.vms import VmRow

CONTINUITY_BROKE, NOT_MEASURED = 1, 5
LIST = (
    Column("name", "name"),
    Column("namespace", "namespace", wide=True),
    Column("node", "node"),
    Column("network", "network", wide=True),
    Column("vlan", "vlan"),
    Column("ip", "ip"),
    Column("mac", "mac"),
    Column("phase", "phase"),
    Column("move", "move"),
    Column("live-migratable", lambda row: "yes" if row["movable"] else f"no: {row['why_not']}", wide=True),
)


def add_parser(sub: Subparsers) -> None:
    """Declare the verbs."""
    parser = sub.add_parser("vms", help="list, show or move VMs")
    verbs = parser.add_subparsers(dest="vms_verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="every VM with its node, VLAN, addresses and phase")
    verbs.add_parser("show", help="one VM").add_argument("name", metavar="NAME", help="the VM, or NAMESPACE/NAME")
    move = verbs.add_parser("move", help="live-migrate a VM, print the cut-over record; exit 1 when continuity broke")
    move.add_argument("name", metavar="NAME", help="the VM, or NAMESPACE/NAME")
    move.add_argument("--to", required=True, metavar="NODE", help="the node to move to")
    move.add_argument("--timeout", type=_seconds, default=300.0, metavar="S", help="give up waiting after S (300)")
    move.add_argument(
        "--max-gap", type=_seconds, default=1.0, metavar="S", help="longest silence that still counts as kept (1)"
    )


def run(args: argparse.Namespace) -> int:
    """Run one of the verbs."""
    if args.vms_verb == "move":
        refuse_if_read_only(args, f"move {args.name}")
        return asyncio.run(_move(args))
    return asyncio.run(_look(args))


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: seconds above 0")
    return value


def _row(vm: VmRow) -> Row:
    document = asdict(vm)
    del document["key"]
    return document


async def _look(args: argparse.Namespace) -> int:
    from bascule_console.services.cluster import connect
    from bascule_console.services.lists import find_vm, load
    from bascule_console.store.vms import vm_rows

    async with connect(access(args)) as cluster:
        inventory = await load(cluster)
    if args.vms_verb == "list":
        write_rows([_row(vm) for vm in vm_rows(inventory)], LIST, args.output)
        return 0
    found = _row(find_vm(inventory, args.name))
    if args.output in ("table", "wide"):
        write_rows([found], LIST, "wide")
    else:
        write_document(found, args.output)
    return 0


async def _move(args: argparse.Namespace) -> int:
    from bascule_console.services.agents import Agents
    from bascule_console.services.cluster import connect
    from bascule_console.services.lists import find_vm, load
    from bascule_console.services.moves import PhaseSeen, check_move, move
    from bascule_console.store.vms import NODES

    async with connect(access(args)) as cluster:
        inventory = await load(cluster)
        vm = find_vm(inventory, args.name)
        node = check_move(vm, inventory.all(NODES), args.to)
        narrate(f"moving {vm.key} from {vm.node} to {args.to}")
        agents = Agents(cluster.bearer_token)
        record: Mapping[str, Any] = {}
        try:
            async with aclosing(move(cluster, agents, vm, node, args.timeout)) as events:
                async for event in events:
                    if isinstance(event, PhaseSeen):
                        narrate(f"{event.seconds:7.2f} s  {event.phase}  {event.detail}".rstrip())
                    else:
                        record = event.record
        finally:
            await agents.close()
    return _conclude(record, args)


def _conclude(record: Mapping[str, Any], args: argparse.Namespace) -> int:
    """Judge by the asked-for gap, print the record, and turn the verdict into the exit code."""
    from bascule.continuity import judge

    verdict = judge(record, args.max_gap * 1000)
    reasons = [asdict(reason) for reason in verdict.reasons]
    write_record({**record, "verdict": verdict.word, "reasons": reasons}, args.output)
    return {"kept": 0, "broken": CONTINUITY_BROKE}.get(verdict.word, NOT_MEASURED)


def write_record(record: Mapping[str, Any], fmt: str) -> None:
    """One move record on stdout: summary lines as a table, else the whole document."""
    if fmt in ("table", "wide"):
        from bascule.continuity import summary_lines

        write_lines("\n".join(summary_lines(record)))
    elif fmt == "jsonl":
        write_json_line(record)
    else:
        write_document(dict(record), fmt)
