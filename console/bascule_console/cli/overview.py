"""`bascule overview`: Networks × nodes, moves in flight, agents, loss ledger, findings."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from bascule.errors import PartialError
from bascule_console.cli.options import Subparsers, access
from bascule_console.cli.output import Column, Row, narrate, write_document, write_json_line, write_rows

if TYPE_CHECKING:
    from bascule.flows.ledger import Ledger
    from bascule_console.services.agents import Agents
    from bascule_console.store.nodes import AgentTarget
    from bascule_console.store.overview import Overview

CHECK_FAILED = 1
LINES = (
    Column("severity", "severity"),
    Column("about", "about"),
    Column("message", "message"),
    Column("fix", "fix", wide=True),
)


def add_parser(sub: Subparsers) -> None:
    """Declare the verb."""
    sub.add_parser("overview", help="is every Network well on every node; what moves, what is silent, what is wrong")


def run(args: argparse.Namespace) -> int:
    """Exit 5 when an agent is silent, else 1 with a finding of severity error or a Network that is not ready."""
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    from bascule_console.services.agents import Agents
    from bascule_console.services.cluster import connect
    from bascule_console.services.lists import load
    from bascule_console.services.lookout import findings, linted
    from bascule_console.services.reports import Answers, ask_all
    from bascule_console.store.overview import overview
    from bascule_console.store.vms import NODES, vm_rows
    from bascule_kube.kinds import IPPOOL, NAD, NETWORK, NODE, VM, VMI, VMIM

    answers = Answers()
    async with connect(access(args)) as cluster:
        inventory = await load(cluster, (NODE, NETWORK, IPPOOL, NAD, VM, VMI, VMIM))
        agents = Agents(cluster.bearer_token)
        try:
            ledgers = await ask_all(inventory.all(NODES), lambda agent: _ledger(agents, agent), answers)
        finally:
            await agents.close()
    told = [ledger for ledger in ledgers.values() if ledger is not None]
    total = sum(told[1:], told[0]) if told else None
    found = findings(*linted(inventory))
    view = overview(inventory, vm_rows(inventory), answers.silent, total, found)
    _write(view, args.output)
    return _exit_code(view, partial=bool(answers.silent))


async def _ledger(agents: Agents, agent: AgentTarget) -> Ledger | None:
    """The agent's ledger now; None before it has drained its maps."""
    async with aclosing(agents.flows(agent, 0.0, follow=False)) as batches:
        async for batch in batches:
            return batch.ledger
    return None


def _exit_code(view: Overview, *, partial: bool) -> int:
    if partial:
        return PartialError.exit_code
    wrong = any(network.tone == "bad" for network in view.networks)
    return CHECK_FAILED if wrong or any(f.severity == "error" for f in view.findings or ()) else 0


def _write(view: Overview, fmt: str) -> None:
    if fmt in ("json", "yaml"):
        write_document(view.document(), fmt)
        return
    if fmt == "jsonl":
        write_json_line(view.document())
        return
    from bascule_console.store.attention import attention, summary

    nodes = [agent.node for agent in view.agents]
    columns = (Column("network", "name"), Column("vlans", "vlans"), *(Column(node, node) for node in nodes))
    write_rows([_network(network) for network in view.document()["networks"]], columns, fmt)
    narrate(summary(view))
    lines = attention(view, {})
    if lines:
        print()
        rows = [{key: getattr(line, key) for key in ("severity", "about", "message", "fix")} for line in lines]
        write_rows(rows, LINES, fmt)


def _network(network: Row) -> Row:
    return {**network, **{node["node"]: node["state"] for node in network["nodes"]}}
