"""`bascule nodes drain NODE`: cordoned, and every VM moved away, as many at once as KubeVirt allows."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING

from bascule.errors import PartialError
from bascule_console.cli.options import Subparsers, access, add_confirm_name, refuse_unless_confirmed
from bascule_console.cli.output import Column, narrate, write_rows

if TYPE_CHECKING:
    from bascule.continuity.limits import Drain

COLUMNS = (
    Column("vm", "vm"),
    Column("target", "target"),
    Column("state", "state"),
    Column("verdict", "verdict"),
    Column("why", "why"),
)


def add_parser(verbs: Subparsers) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "drain",
        help="cordon a node, live-migrate its VMs away; exit 1 when one failed or broke, 5 when one stays",
    )
    parser.add_argument("name", metavar="NODE")
    parser.add_argument("--dry-run", action="store_true", help="only the queue: what would go where, and what stays")
    parser.add_argument("--timeout", type=_seconds, default=300.0, metavar="S", help="per VM (300)")
    add_confirm_name(parser)


def run(args: argparse.Namespace) -> int:
    """Run it."""
    if not args.dry_run:
        refuse_unless_confirmed(args, f"drain {args.name}", args.name)
    return asyncio.run(_run(args))


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: seconds above 0")
    return value


async def _run(args: argparse.Namespace) -> int:
    from bascule_console.services.cluster import connect
    from bascule_console.services.drain import plan
    from bascule_console.services.drain import run as run_drain
    from bascule_console.services.journal import Journal, journal_path
    from bascule_console.services.trunk_calls import TrunkAgents

    async with connect(access(args)) as cluster:
        agents = TrunkAgents(cluster.bearer_token)
        try:
            drain, _, inventory = await plan(cluster, agents, args.name)
            limits = drain.limits
            narrate(
                f"{len(drain.items)} VMs on {args.name}; at once {limits.outbound} that leave a node, {limits.cluster} "
                f"in the cluster ({limits.source})"
            )
            if not args.dry_run:
                journal = Journal(journal_path(), cluster.context, cluster.server)
                async with aclosing(run_drain(cluster, agents, journal, drain, inventory, args.timeout)) as states:
                    async for drain in states:
                        narrate(words(drain))
                narrate(f"{args.name} is cordoned; when it may take VMs again: bascule nodes uncordon {args.name}")
        finally:
            await agents.close()
    write_rows([asdict(item) for item in drain.items], COLUMNS, args.output)
    return exit_code(drain)


def words(drain: Drain) -> str:
    """The queue in one line."""
    parts = [f"{item.vm.rpartition('/')[2]} {item.state}" for item in drain.items]
    return ", ".join(parts) or "there is no VM to move"


def exit_code(drain: Drain) -> int:
    """0; 1 when a move failed or broke; 5 when a VM was not moved at all."""
    states = {item.state for item in drain.items}
    if states & {"failed", "broken"}:
        return 1
    return PartialError.exit_code if "skipped" in states else 0
