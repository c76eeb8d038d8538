"""`bascule vms attach`: one more NIC in a VM's template, by lint, dry run, diff, apply and journal."""

from __future__ import annotations

import argparse
import asyncio

from bascule_console.cli.options import Subparsers, access, add_confirm_name, refuse_unless_confirmed
from bascule_console.cli.output import Column, narrate, write_rows

COLUMNS = (
    Column("namespace", "namespace"),
    Column("vm", "name"),
    Column("nic", "nic"),
    Column("nad", "nad"),
    Column("mac", "mac"),
    Column("ip", "ip"),
    Column("action", "action"),
    Column("in effect", "effect"),
)


def add_parser(verbs: Subparsers) -> None:
    """Declare the verb under `bascule vms`."""
    parser = verbs.add_parser("attach", help="attach a NIC: add it to the VM's template; says when it takes effect")
    parser.add_argument("name", metavar="NAME", help="the VM, or NAMESPACE/NAME")
    parser.add_argument("--nad", required=True, metavar="[NS/]NAD", help="the NetworkAttachmentDefinition")
    parser.add_argument("--ip", default="", metavar="IP", help="the address to ask for (IPAM chooses)")
    parser.add_argument("--mac", default="", metavar="MAC", help="the MAC (a stable one is made)")
    parser.add_argument("--nic", default="", metavar="NIC", help="its name in the VM (the first free net-N)")
    parser.add_argument("--dry-run", action="store_true", help="stop before anything is applied")
    add_confirm_name(parser)


def run(args: argparse.Namespace) -> int:
    """Attach; see DESIGN section 5 for the exit code."""
    if not args.dry_run:
        refuse_unless_confirmed(args, f"attach a NIC to {args.name}", args.name.rpartition("/")[2])
    return asyncio.run(_attach(args))


async def _attach(args: argparse.Namespace) -> int:
    from bascule_console.cli.apply import exit_code, show_diff, tell
    from bascule_console.services import apply, attach
    from bascule_console.services.cluster import connect
    from bascule_console.services.journal import Journal, journal_path
    from bascule_console.services.lists import find_vm, load
    from bascule_console.store.nics import STAND_IN_WORDS

    async with connect(access(args)) as cluster:
        vm = find_vm(await load(cluster), args.name)
        wanted = {"nic": args.nic, "mac": args.mac, "ip": args.ip}
        chosen = await attach.choose(cluster, vm.namespace, vm.name, args.nad, **wanted)
        plan = await apply.prepare(cluster, [chosen.document])
        tell(plan)
        if not plan.ready:
            narrate("nothing was applied")
            return exit_code(plan)
        show_diff(plan, "table" if args.dry_run and args.output in ("table", "wide") else "json")
        effect = f"{chosen.expected} (dry run: nothing was applied)"
        if not args.dry_run:
            journal = Journal(journal_path(), cluster.context, cluster.server)
            async for _ in apply.commit(cluster, plan, journal):
                pass
            effect = await attach.effect(cluster, chosen)
    nic = chosen.nic
    narrate(f"{vm.key} {nic.name} takes effect {effect}")
    if chosen.stand_in:
        narrate(STAND_IN_WORDS)
    row = {"namespace": vm.namespace, "name": vm.name, "nic": nic.name, "nad": nic.nad, "mac": nic.mac, "ip": nic.ip}
    more = {"action": plan.changes[0].action, "effect": effect, "stand_in": chosen.stand_in}
    write_rows([{**row, **more}], COLUMNS, args.output)
    return 0
