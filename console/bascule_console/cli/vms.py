"""`bascule vms list|show|move|attach`."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bascule_console.cli import attach
from bascule_console.cli.options import Subparsers, access, add_confirm_name, refuse_unless_confirmed
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

NICS = (
    Column("nic", "name"),
    Column("nad", "nad"),
    Column("network", "network", wide=True),
    Column("vlan", "vlan"),
    Column("mac", "mac"),
    Column("asked", "asked"),
    Column("ip", "ip"),
    Column("in effect", "effect"),
    Column("policies", "policies"),
)


def add_parser(sub: Subparsers) -> None:
    """Declare the verbs."""
    parser = sub.add_parser("vms", help="list, show or move VMs; attach a NIC")
    verbs = parser.add_subparsers(dest="vms_verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="every VM with its node, VLAN, addresses and phase")
    verbs.add_parser("show", help="one VM").add_argument("name", metavar="NAME", help="the VM, or NAMESPACE/NAME")
    attach.add_parser(verbs)
    move = verbs.add_parser("move", help="live-migrate a VM, print the cut-over record; exit 1 when continuity broke")
    move.add_argument("name", metavar="NAME", help="the VM, or NAMESPACE/NAME")
    add_confirm_name(move)
    move.add_argument("--to", required=True, metavar="NODE", help="the node to move to")
    move.add_argument("--timeout", type=seconds, default=300.0, metavar="S", help="give up waiting after S (300)")
    move.add_argument("--dry-run", action="store_true", help="only the preflight; exit 1 when a check fails")
    move.add_argument(
        "--probe-interval", type=milliseconds, default=None, metavar="MS", help="probe every MS, 1 to 1000 (5; TCP 20)"
    )
    move.add_argument(
        "--max-gap", type=seconds, default=1.0, metavar="S", help="longest silence that still counts as kept (1)"
    )


def run(args: argparse.Namespace) -> int:
    """Run one of the verbs."""
    if args.vms_verb == "attach":
        return attach.run(args)
    if args.vms_verb == "move" and args.dry_run:
        from bascule_console.cli.preflight import dry_run

        return asyncio.run(dry_run(args))
    if args.vms_verb == "move":
        refuse_unless_confirmed(args, f"move {args.name}", args.name.rpartition("/")[2])
        return asyncio.run(_move(args))
    return asyncio.run(_look(args))


def seconds(text: str) -> float:
    """A duration above 0, for argparse."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: seconds above 0")
    return value


def milliseconds(text: str) -> float:
    """A probe interval, for argparse."""
    value = float(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text}: 1 to 1000 ms")
    return value


def _row(vm: VmRow) -> Row:
    document = asdict(vm)
    del document["key"]
    return document


async def _look(args: argparse.Namespace) -> int:
    from bascule_console.services import policies
    from bascule_console.services.cluster import connect
    from bascule_console.services.lists import find_vm, load
    from bascule_console.services.policyshow import nic_policies
    from bascule_console.store.nics import nic_rows
    from bascule_console.store.vms import vm_rows

    async with connect(access(args)) as cluster:
        inventory = await load(cluster)
        world = await policies.load(cluster) if args.vms_verb == "show" else None
    if args.vms_verb == "list":
        write_rows([_row(vm) for vm in vm_rows(inventory)], LIST, args.output)
        return 0
    vm = find_vm(inventory, args.name)
    applying = nic_policies(world, vm.namespace, vm.name) if world is not None else {}
    nics = [{**nic, "policies": applying.get(nic["name"], [])} for nic in nic_rows(inventory, vm.key)]
    found = {**_row(vm), "nics": nics}
    if args.output in ("table", "wide"):
        write_rows([found], LIST, "wide")
        print()
        write_rows(found["nics"], NICS, args.output)
    else:
        write_document(found, args.output)
    return 0


async def _move(args: argparse.Namespace) -> int:
    from bascule_console.services.cluster import connect
    from bascule_console.services.lists import find_vm, load
    from bascule_console.services.moves import check_move, move
    from bascule_console.services.phases import PhaseSeen
    from bascule_console.services.preflight import check, refuse_blocked
    from bascule_console.services.trunk_calls import TrunkAgents
    from bascule_console.store.vms import NODES

    async with connect(access(args)) as cluster:
        inventory = await load(cluster)
        vm = find_vm(inventory, args.name)
        node = check_move(vm, inventory.all(NODES), args.to)
        agents = TrunkAgents(cluster.bearer_token)
        record: Mapping[str, Any] = {}
        try:
            found = await check(cluster, agents, vm, args.to)
            refuse_blocked(found)
            for each in found.checks:
                if each.state != "pass":
                    narrate(f"{each.state}: {each.object}: {each.message}")
            narrate(f"moving {vm.key} from {vm.node} to {args.to}, which takes {found.estimate.words}")
            async with aclosing(move(cluster, agents, vm, node, args.timeout, args.probe_interval)) as events:
                async for event in events:
                    if isinstance(event, PhaseSeen):
                        narrate(f"{event.after:>9}  {event.phase}  {event.detail}".rstrip())
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
    """One move record on stdout: summary lines as a table, all its lines as a wide one, else the whole document."""
    if fmt in ("table", "wide"):
        from bascule.continuity import record_lines, summary_lines

        lines = summary_lines(record)
        write_lines("\n".join(lines if fmt == "table" else [*lines, "", *record_lines(record)]))
    elif fmt == "jsonl":
        write_json_line(record)
    else:
        write_document(dict(record), fmt)
