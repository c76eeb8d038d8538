"""`bascule pools list`: which segment each IPPool serves, and how many of its addresses VMs hold."""

from __future__ import annotations

import argparse
import asyncio

from bascule_console.cli.options import Subparsers, access
from bascule_console.cli.output import Column, Row, write_rows


def _held(row: Row) -> str:
    return f"{row['held']}/{row['size']}" if row["size"] else ""


LIST = (
    Column("name", "name"),
    Column("cidr", "cidr"),
    Column("uses", "uses"),
    Column("segments", "segments"),
    Column("held", _held),
    Column("nads", "nads"),
    Column("block", lambda row: f"/{row['block_size']}", wide=True),
    Column("disabled", lambda row: "yes" if row["disabled"] else "no", wide=True),
)


def add_parser(sub: Subparsers) -> None:
    """Declare the verb."""
    parser = sub.add_parser("pools", help="list IPPools")
    verbs = parser.add_subparsers(dest="pools_verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="every IPPool with its segments and the addresses that VMs hold")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    return asyncio.run(_list(args))


async def _list(args: argparse.Namespace) -> int:
    from bascule_console.services.cluster import connect
    from bascule_console.services.lists import load
    from bascule_console.store.pools import AddressesHeld, pool_rows
    from bascule_console.store.workloads import WorkloadsSeen
    from bascule_kube.kinds import IPPOOL, NAD, NETWORK, VM, VMI

    async with connect(access(args)) as cluster:
        inventory = await load(cluster, (IPPOOL, NAD, NETWORK, VM, VMI))
    rows = pool_rows(inventory, WorkloadsSeen(inventory).now(), AddressesHeld(inventory).now())
    write_rows([row.document() for row in rows.values()], LIST, args.output)
    return 0
