"""`bascule doctor`: findings with evidence and fix; exit 1 with an error, 5 when agents are silent."""

from __future__ import annotations

import argparse
import asyncio

from bascule_console.cli.options import Subparsers, access
from bascule_console.cli.output import Column, narrate, write_rows

FAILED = 1
COLUMNS = (
    Column("severity", "severity"),
    Column("id", "id"),
    Column("object", "object"),
    Column("message", "message"),
    Column("evidence", "evidence"),
    Column("fix", "fix"),
)


def add_parser(sub: Subparsers) -> None:
    """Declare the verb."""
    sub.add_parser("doctor", help="what is wrong with Networks, trunks, pools, NADs and VMs, and how to mend it")


def run(args: argparse.Namespace) -> int:
    """Examine the cluster."""
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    from bascule_console.services.cluster import connect
    from bascule_console.services.doctor import examine
    from bascule_console.services.trunk_calls import TrunkAgents

    async with connect(access(args)) as cluster:
        agents = TrunkAgents(cluster.bearer_token)
        try:
            found, answers = await examine(cluster, agents)
        finally:
            await agents.close()
    for node, why in sorted(answers.silent.items()):
        narrate(f"{node} is silent: {why}")
    if found or args.output not in ("table", "wide"):
        write_rows([finding.as_dict() for finding in found], COLUMNS, args.output)
    else:
        narrate("nothing wrong was found")
    return FAILED if any(finding.severity == "error" for finding in found) else answers.exit_code
