"""`bascule addresses list|show|check`: an address's whole life, and what is wrong with it."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from bascule_console.cli.options import Subparsers, access
from bascule_console.cli.output import Column, Row, narrate, write_document, write_rows

CONFLICT, ALL_SILENT = 1, 5


def _answering(row: Row) -> str:
    if row["answering"] is None:
        return "not asked" if row["answer"] is None else "unknown"
    return "yes" if row["answering"] else "no"


def _vm(row: Row) -> str:
    return f"{row['namespace']}/{row['vm']}" if row["vm"] else ""


def _claims(row: Row) -> str:
    return ", ".join(dict.fromkeys(claim["by"] for claim in row["claims"]))


LIST = (
    Column("vlan", "vlan"),
    Column("ip", "ip"),
    Column("vm", _vm),
    Column("mac", "mac"),
    Column("claimed by", _claims),
    Column("reserved", "reserved"),
    Column("answering", _answering),
    Column("state", "state"),
    Column("conflict", lambda row: "; ".join(row["conflicts"])),
    Column("network", "network", wide=True),
    Column("node", "node", wide=True),
    Column("nic", "nic", wide=True),
    Column("pool", "pool", wide=True),
    Column("seen", lambda row: [entry["mac"] for entry in row["seen"]], wide=True),
)
NAME_HELP = "an address, NETWORK/VLAN/ADDRESS, or a VM"


def add_parser(sub: Subparsers) -> None:
    """Declare the verbs."""
    parser = sub.add_parser("addresses", help="addresses of VLANs: who claims them, what answers, conflicts")
    verbs = parser.add_subparsers(dest="addresses_verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="every address that anything is known about; exit 5 when an agent is silent")
    verbs.add_parser("show", help="one address's life").add_argument("name", metavar="ADDRESS|VM", help=NAME_HELP)
    check = verbs.add_parser("check", help="ask the wire, then judge; exit 1 on a conflict, 5 when nobody could ask")
    check.add_argument("names", nargs="*", metavar="ADDRESS|VM", help=f"{NAME_HELP}; all without one")


def run(args: argparse.Namespace) -> int:
    """Run one of the verbs."""
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    from bascule_console.services import addresses
    from bascule_console.services.agents import Agents
    from bascule_console.services.cluster import connect

    async with connect(access(args)) as cluster:
        agents = Agents(cluster.bearer_token)
        try:
            look, silent = await addresses.look(cluster, agents)
            if args.addresses_verb == "check":
                wanted = {place for name in args.names for place in look.places(name)} or set(look.rows())
                points = await addresses.vantage_points(cluster)
                await addresses.ask(agents, points, wanted, look.answers.__setitem__)
                rows = {place: row for place, row in look.rows().items() if place in wanted}
            elif args.addresses_verb == "show":
                rows = addresses.choose(look.rows(), args.name)
            else:
                rows = look.rows()
        finally:
            await agents.close()
    for node, why in sorted(silent.items()):
        narrate(f"{node} is silent: {why}")
    found = [dict(row) for row in rows.values()]
    _write(found, args)
    code = _judge(found) if args.addresses_verb == "check" else 0
    return code or (ALL_SILENT if silent else 0)


def _write(rows: list[Row], args: argparse.Namespace) -> None:
    if args.addresses_verb != "show" or args.output not in ("table", "wide"):
        _write_data(rows, args)
        return
    from bascule_console.store.addresses import life

    for number, row in enumerate(rows):
        if number:
            print()
        write_rows([row], LIST[:-1], args.output)
        print()
        write_rows([{"stage": stage, "what": what} for stage, what in life(row)], STAGES, "table")


STAGES = (Column("stage", "stage"), Column("what", "what"))


def _write_data(rows: list[Row], args: argparse.Namespace) -> None:
    one: Any = rows[0] if args.addresses_verb == "show" and len(rows) == 1 else None
    if one is not None and args.output in ("json", "yaml"):
        write_document(one, args.output)
    else:
        write_rows(rows, LIST, args.output)


def _judge(rows: list[Row]) -> int:
    """Say what is wrong; 1 for a conflict, 5 when something could not be asked."""
    wrong = [row for row in rows if row["conflicts"]]
    for row in wrong:
        for text in row["conflicts"]:
            narrate(f"conflict: {row['ip']} on VLAN {row['vlan']}: {text}")
    unasked = [row for row in rows if row["answering"] is None]
    if unasked:
        narrate(f"{len(unasked)} of {len(rows)} could not be asked: {(unasked[0]['answer'] or {}).get('error', '')}")
    if wrong:
        return CONFLICT
    return ALL_SILENT if unasked else 0
