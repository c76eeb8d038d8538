"""`bascule vms move NAME --to NODE --dry-run`: the preflight, check by check."""

from __future__ import annotations

import argparse

from bascule_console.cli.options import access
from bascule_console.cli.output import Column, narrate, write_document, write_json_line, write_rows

COLUMNS = (
    Column("check", "id"),
    Column("state", "state"),
    Column("of", "object"),
    Column("says", "message"),
    Column("field", "field", wide=True),
    Column("evidence", "evidence", wide=True),
    Column("fix", "fix"),
)


async def dry_run(args: argparse.Namespace) -> int:
    """Print the checks and the estimate; 0 when the move may start, else 1."""
    from bascule_console.services.cluster import connect
    from bascule_console.services.lists import find_vm, load
    from bascule_console.services.preflight import check
    from bascule_console.services.trunk_calls import TrunkAgents

    async with connect(access(args)) as cluster:
        vm = find_vm(await load(cluster), args.name)
        agents = TrunkAgents(cluster.bearer_token)
        try:
            found = await check(cluster, agents, vm, args.to)
        finally:
            await agents.close()
    document = found.to_json()
    if args.output in ("table", "wide", "csv"):
        write_rows(document["checks"], COLUMNS, args.output)
        narrate(f"{found.vm} from {found.source or '?'} to {found.target}: {found.estimate.words}")
        narrate("it must not start" if found.blockers else "it may start")
    elif args.output == "jsonl":
        write_json_line(document)
    else:
        write_document(document, args.output)
    return 1 if found.blockers else 0
