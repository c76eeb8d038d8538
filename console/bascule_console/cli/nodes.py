"""`bascule nodes list|show|drain|cordon|uncordon`: each node's trunk, bridges and ports, as its agent sees them."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from bascule_console.cli import drain
from bascule_console.cli.options import Subparsers, access, add_confirm_name, refuse_unless_confirmed
from bascule_console.cli.output import Column, Row, narrate, write_document, write_rows


def _agent(key: str) -> Any:
    return lambda row: (row["agent"] or {}).get(key, "")


def _trunk(key: str) -> Any:
    return lambda row: (row["trunk"] or {}).get(key, "")


def _carrier(row: Row) -> str:
    if not row["trunk"]:
        return ""
    return "up" if row["trunk"].get("carrier") else "down"


LIST = (
    Column("name", "name"),
    Column("ready", lambda row: ("yes" if row["ready"] else "no") + (", cordoned" if row["cordoned"] else "")),
    Column("agent", lambda row: f"{row['agent']['mode']} {row['agent']['version']}" if row["agent"] else "silent"),
    Column("trunk", _trunk("name")),
    Column("carrier", _carrier),
    Column("mtu", _trunk("mtu"), wide=True),
    Column("vlans", _trunk("vlans")),
    Column("bridges", lambda row: len(row["bridges"]) if row["agent"] else ""),
    Column("ports", lambda row: len(row["ports"]) if row["agent"] else ""),
    Column("seen", _agent("seen"), wide=True),
)
BRIDGES = (
    Column("bridge", "name"),
    Column("network", "network"),
    Column("vlan", "vlan"),
    Column("up", lambda row: "yes" if row.get("up") else "no"),
    Column("ports", "ports"),
)
PORTS = (
    Column("vm", "vm"),
    Column("nic", "nic"),
    Column("vlan", "vlan"),
    Column("mac", "mac"),
    Column("ip", "ip"),
    Column("state", "state"),
    Column("reason", "reason"),
)
DROPS = (
    Column("link", "link"),
    Column("dropped by", "by"),
    Column("reason", "reason"),
    Column("frames", "packets"),
    Column("last", "last"),
    Column("why", "why"),
)
CONDITIONS = (
    Column("condition", "type"),
    Column("status", "status"),
    Column("reason", "reason"),
    Column("message", "message"),
)


def add_parser(sub: Subparsers) -> None:
    """Declare the verbs."""
    parser = sub.add_parser("nodes", help="list or show nodes: trunk, bridges, ports; move a node's VMs away")
    verbs = parser.add_subparsers(dest="nodes_verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="every node; exit 5 when an agent is silent")
    verbs.add_parser("show", help="one node with its bridges and ports").add_argument("name")
    drain.add_parser(verbs)
    for name, help_text in (("cordon", "let no new VM come to a node"), ("uncordon", "let VMs come to it again")):
        one = verbs.add_parser(name, help=help_text)
        one.add_argument("name", metavar="NODE")
        add_confirm_name(one)


def run(args: argparse.Namespace) -> int:
    """Run one of the verbs."""
    if args.nodes_verb == "drain":
        return drain.run(args)
    if args.nodes_verb in ("cordon", "uncordon"):
        refuse_unless_confirmed(args, f"{args.nodes_verb} {args.name}", args.name)
        return asyncio.run(_cordon(args))
    return asyncio.run(_run(args))


async def _cordon(args: argparse.Namespace) -> int:
    from bascule_console.services.cluster import connect
    from bascule_console.services.cordon import cordon
    from bascule_console.services.journal import Journal, journal_path

    off = args.nodes_verb == "uncordon"
    async with connect(access(args)) as cluster:
        journal = Journal(journal_path(), cluster.context, cluster.server)
        changed = await cordon(cluster, journal, args.name, off)
    narrate(f"{args.name} is {'' if changed else 'already '}{args.nodes_verb}ed")
    return 0


async def _run(args: argparse.Namespace) -> int:
    from bascule_console.services.agents import Agents
    from bascule_console.services.cluster import connect
    from bascule_console.services.reports import node_reports

    one = args.nodes_verb == "show"
    async with connect(access(args)) as cluster:
        agents = Agents(cluster.bearer_token)
        try:
            documents, answers = await node_reports(cluster, agents, args.name if one else "")
        finally:
            await agents.close()
    for node, why in sorted(answers.silent.items()):
        narrate(f"{node} is silent: {why}")
    if one:
        _write_one(documents[0], args.output)
    else:
        write_rows(documents, LIST, args.output)
    return answers.exit_code


def _write_one(document: dict[str, Any], fmt: str) -> None:
    if fmt not in ("table", "wide"):
        write_document(document, fmt)
        return
    write_rows([document], LIST, "wide")
    for rows, columns in ((document["bridges"], BRIDGES), (document["ports"], PORTS)):
        if rows:
            print()
            write_rows(rows, columns, fmt)
    dropped = (document.get("drops") or {}).get("links") or []
    if dropped:
        print()
        write_rows(dropped, DROPS, fmt)
    if document["conditions"]:
        print()
        write_rows(document["conditions"], CONDITIONS, fmt)
