"""`bascule flows --last N | --follow`: rows on stdout, the ledger on stderr (in JSON and YAML beside the rows)."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from bascule.errors import UsageError
from bascule_console.cli.options import Subparsers, access
from bascule_console.cli.output import Column, Row, narrate, write_document, write_json_line, write_rows

if TYPE_CHECKING:
    from bascule.flows.ledger import Ledger
    from bascule.flows.store import Batch, FlowStore

HISTORY_S = 60.0


def _end(side: str) -> Any:
    def text(row: Row) -> str:
        end = row[side]
        return f"{end['name']}:{end['port']}" if end["port"] else str(end["name"])

    return text


LIST = (
    Column("time", "time"),
    Column("node", "node"),
    Column("vm", "vm"),
    Column("direction", "direction"),
    Column("vlan", "vlan"),
    Column("source", _end("src")),
    Column("destination", _end("dst")),
    Column("proto", "proto"),
    Column("packets", "packets"),
    Column("bytes", "bytes"),
    Column("verdict", "verdict"),
    Column("reason", "reason"),
    Column("network", "network", wide=True),
    Column("nic", "nic", wide=True),
    Column("rule", "rule", wide=True),
)
WIDTHS = (24, 8, 14, 9, 4, 28, 28, 6, 9, 11, 7, 20, 10, 8, 10)


def add_parser(sub: Subparsers) -> None:
    """Declare the verb."""
    parser = sub.add_parser("flows", help="flows of VMs, now or as they come")
    parser.add_argument("--last", type=_count, metavar="N", help="the N flows seen last, newest first")
    parser.add_argument("--follow", action="store_true", help="every drain of every node as it comes, until Ctrl-C")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    if args.last is None and not args.follow:
        raise UsageError("flows of when?", cause="neither --last N nor --follow is given", fix="--last 20, or --follow")
    if args.follow and args.output in ("json", "yaml", "csv"):
        raise UsageError(f"-o {args.output} with --follow never ends", fix="use -o jsonl: one row a line")
    return asyncio.run(_run(args))


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: at least 1")
    return value


async def _run(args: argparse.Namespace) -> int:
    from bascule.flows.store import FlowStore
    from bascule_console.services.agents import Agents
    from bascule_console.services.cluster import connect, list_if_served
    from bascule_console.services.reports import Answers, ask_all
    from bascule_console.store.nodes import AgentTarget, agent_target
    from bascule_kube.kinds import NETWORK, NODE

    store, answers = FlowStore(), Answers()
    async with connect(access(args)) as cluster:
        from bascule.flows.names import gateways_of

        nodes = await cluster.list(NODE)
        store.set_gateways(gateways_of(await list_if_served(cluster, NETWORK)))
        agents = Agents(cluster.bearer_token)

        async def history(agent: AgentTarget) -> bool:
            async with aclosing(agents.flows(agent, HISTORY_S, follow=False)) as batches:
                async for batch in batches:
                    store.add(batch)
            return True

        try:
            if args.last is not None:
                await ask_all([*nodes], history, answers)
                _say_silent(answers.silent)
                _write_last(store, args)
            if args.follow:
                await _follow(agents, [a for a in map(agent_target, nodes) if a is not None], store, args.output)
        finally:
            await agents.close()
            _narrate_ledger(store.ledger)
    return answers.exit_code


async def _follow(agents: Any, targets: list[Any], store: FlowStore, fmt: str) -> None:
    """Write every drain's rows until interrupted; a stream that breaks is named and taken up again."""
    from bascule_console.services.streams import FlowStreams

    if not targets:
        raise UsageError("no node publishes an agent", fix="run bascule-agent on every node")
    streams = FlowStreams(agents, _Printer(store, fmt), history_s=0.0)
    streams.reconcile(targets)
    try:
        await asyncio.Event().wait()
    finally:
        await streams.close()


class _Printer:
    """A sink of streams that prints what comes."""

    def __init__(self, store: FlowStore, fmt: str) -> None:
        self._store, self._fmt, self._header = store, fmt, False

    def add_flows(self, batch: Batch) -> None:
        """One drain: named by the store, printed as it is (not summed over time)."""
        from bascule.flows.rows import rows

        self._store.add(batch)
        for row in rows(batch.records, batch.node, self._store.names):
            if self._fmt == "jsonl":
                write_json_line(row)
            else:
                self._line(dict(row))
        sys.stdout.flush()

    def agent_silent(self, node: str, why: str) -> None:
        """Said once per break."""
        _say_silent({node: why})

    def forget_node(self, node: str) -> None:
        """The node left."""
        self._store.forget_node(node)

    def _line(self, row: Row) -> None:
        columns = [(c, w) for c, w in zip(LIST, WIDTHS, strict=True) if self._fmt == "wide" or not c.wide]
        if not self._header:
            self._header = True
            print(" ".join(column.title.upper().ljust(width) for column, width in columns).rstrip())
        print(" ".join(column.text(row).ljust(width) for column, width in columns).rstrip())


def _write_last(store: FlowStore, args: argparse.Namespace) -> None:
    rows: list[Row] = [dict(row) for row in store.recent(args.last)]
    if args.output in ("json", "yaml"):
        write_document({"flows": rows, "ledger": store.ledger.to_dict()}, args.output)
    else:
        write_rows(rows, LIST, args.output)


def _say_silent(silent: dict[str, str]) -> None:
    for node, why in sorted(silent.items()):
        narrate(f"{node} is silent: {why}")


def _narrate_ledger(ledger: Ledger) -> None:
    causes = "".join(f", {cause} {frames}" for cause, frames in sorted(ledger.lost.items()) if frames)
    text = f"ledger: seen {ledger.seen} = sent {ledger.sent} + lost {ledger.lost_total}{causes}"
    narrate(text if ledger.balanced else f"{text}; {ledger.missing} unaccounted")
