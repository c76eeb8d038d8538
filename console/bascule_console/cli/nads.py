"""`bascule nads list`: which segment each NetworkAttachmentDefinition leads to, and who uses it."""

from __future__ import annotations

import argparse
import asyncio

from bascule_console.cli.options import Subparsers, access
from bascule_console.cli.output import Column, write_rows

LIST = (
    Column("name", "name"),
    Column("namespace", "namespace"),
    Column("network", "network"),
    Column("vlan", "vlan"),
    Column("pools", "pools"),
    Column("used by", lambda row: len(row["used_by"])),
    Column("problem", "problem"),
    Column("type", "type", wide=True),
    Column("users", "used_by", wide=True),
)


def add_parser(sub: Subparsers) -> None:
    """Declare the verb."""
    parser = sub.add_parser("nads", help="list NetworkAttachmentDefinitions")
    verbs = parser.add_subparsers(dest="nads_verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="every NAD with its Network, VLAN, pools and users")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    return asyncio.run(_list(args))


async def _list(args: argparse.Namespace) -> int:
    from bascule_console.services.cluster import connect
    from bascule_console.services.lists import load
    from bascule_console.store.attachments import nad_rows
    from bascule_console.store.workloads import WorkloadsSeen
    from bascule_kube.kinds import NAD, NETWORK, POD, VM, VMI

    async with connect(access(args)) as cluster:
        inventory = await load(cluster, (NAD, NETWORK, VM, VMI, POD))
    rows = nad_rows(inventory, WorkloadsSeen(inventory).now())
    write_rows([row.document() for row in rows.values()], LIST, args.output)
    return 0
