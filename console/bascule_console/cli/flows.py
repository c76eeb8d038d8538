"""`bascule flows [FILTER]`: rows on stdout, the ledger on stderr (in JSON and YAML beside the rows).

`flows record FILE` keeps them in a file, `flows top` says what talks most; the filter is the same everywhere.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bascule.errors import UsageError
from bascule_console.cli.flowtable import (
    LIST,
    WIDTHS,
    say_drops,
    say_extents,
    say_ledger,
    say_silent,
    write_flows,
)
from bascule_console.cli.options import Subparsers, access
from bascule_console.cli.output import Row, narrate, write_json_line

if TYPE_CHECKING:
    from bascule.flows.filter import Filter
    from bascule.flows.store import Batch
    from bascule_console.services.flowquery import Found

HISTORY_S = 60.0
VERBS = ("record", "top")
SECONDS = (2, 10, 60)


def add_parser(sub: Subparsers) -> None:
    """Declare the verb."""
    parser = sub.add_parser(
        "flows",
        usage="bascule flows [FILTER] (--last N | --since T | --follow | --input FILE) [--screen]\n"
        "       bascule flows record FILE [FILTER] [--since T]\n"
        "       bascule flows top [FILTER] [--by COLUMNS] [--over S | --since T | --input FILE] [--last N]",
        help="flows of VMs, now, lately, as they come, or from a file",
        epilog="FILTER, for example: vlan:110 src:web-* verdict:drop (docs/reference/flow-filters.md)",
    )
    parser.add_argument("words", nargs="*", metavar="FILTER", help="what to show; or record FILE, or top")
    parser.add_argument("--last", type=_count, metavar="N", help="the N flows seen last, newest first")
    parser.add_argument("--since", metavar="T", help="from the nodes' histories: 10m, 2h, or 2026-11-23T12:00:00Z")
    parser.add_argument("--follow", action="store_true", help="every drain of every node as it comes, until Ctrl-C")
    parser.add_argument("--input", type=Path, metavar="FILE", help="a recording, a pcapng or a pcap instead of agents")
    parser.add_argument("--screen", action="store_true", help="with --input: on the flow screen")
    parser.add_argument("--by", default="src,dst", metavar="COLUMNS", help="top: group by these (src,dst)")
    parser.add_argument("--over", type=int, choices=SECONDS, default=10, help="top: the last so many seconds (10)")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    args.since_ns = _moment(args.since)
    verb = args.words[0] if args.words and args.words[0] in VERBS else ""
    words = args.words[1:] if verb else args.words
    if verb == "record":
        if not words:
            raise UsageError("flows record: into which file?", fix="bascule flows record FILE [FILTER]")
        return asyncio.run(_record(args, Path(words[0]), _filter(words[1:])))
    wanted = _filter(words)
    if verb == "top":
        from bascule_console.cli.flowtop import top

        return top(args, wanted)
    _check(args)
    if args.input is not None:
        return _from_file(args, wanted)
    return asyncio.run(_run(args, wanted))


def _moment(text: str | None) -> int:
    """--since as CLOCK_REALTIME ns; 0 without it. Raises UsageError before anything is asked."""
    if text is None:
        return 0
    import time

    from bascule.flows.when import since

    return since(text, time.time_ns())


def _check(args: argparse.Namespace) -> None:
    given = [args.last is not None, args.since is not None, args.follow, args.input is not None]
    if not any(given):
        fix = "--last 20, --since 10m, --follow, or --input FILE"
        raise UsageError("flows of when?", "neither --last N, --since T, --input FILE nor --follow is given", fix)
    if args.follow and (args.since or args.input):
        raise UsageError("--follow is about what comes, --since and --input about what was", fix="leave one out")
    if args.follow and args.output in ("json", "yaml", "csv"):
        raise UsageError(f"-o {args.output} with --follow never ends", fix="use -o jsonl: one row a line")
    if args.screen and args.input is None:
        raise UsageError("--screen shows a file", fix="--input FILE; for live flows run bascule and type :flows")


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: at least 1")
    return value


def _filter(words: list[str]) -> Filter:
    from bascule.flows.filter import FilterError, read_filter

    try:
        return read_filter(" ".join(words))
    except FilterError as error:
        narrate(f"  {error.text}")
        narrate(f"  {error.caret}")
        raise


async def _run(args: argparse.Namespace, wanted: Filter) -> int:
    from bascule_console.services.agents import Agents
    from bascule_console.services.cluster import connect

    async with connect(access(args)) as cluster:
        agents = Agents(cluster.bearer_token)
        try:
            code = 0
            if args.last is not None or args.since is not None:
                code = _write(args, await found(args, wanted, cluster, agents))
            if args.follow:
                await _follow(cluster, agents, wanted, args.output)
            return code
        finally:
            await agents.close()


async def found(
    args: argparse.Namespace, wanted: Filter, cluster: Any, agents: Any, last_s: float = HISTORY_S
) -> Found:
    """What the agents have: since `--since`, else of the last `last_s`."""
    from bascule_console.services.flowquery import ask

    return await ask(cluster, agents, wanted, last_s=last_s, since_ns=args.since_ns)


def _write(args: argparse.Namespace, answer: Found) -> int:
    write_flows(answer, args.last, args.output)
    say_silent(answer.answers.silent)
    say_extents(answer.extents)
    say_drops(answer)
    if answer.problem:
        narrate(answer.problem)
    say_ledger(answer.ledger)
    return answer.answers.exit_code


def _from_file(args: argparse.Namespace, wanted: Filter) -> int:
    if args.screen:
        from bascule_console.cli.tui import show_flows

        return show_flows(args.input, wanted)
    from bascule_console.services.flowquery import open_file

    return _write(args, open_file(args.input, wanted))


async def _follow(cluster: Any, agents: Any, wanted: Filter, fmt: str) -> None:
    """Write every drain's rows until interrupted; a stream that breaks is named and taken up again."""
    from bascule.flows.store import FlowStore
    from bascule_console.services.flowquery import surroundings

    store = FlowStore()
    store.set_surroundings(await surroundings(cluster))
    try:
        await _stream(cluster, agents, _Printer(store, wanted, fmt), wanted)
    finally:
        say_ledger(store.ledger)


async def _stream(cluster: Any, agents: Any, sink: Any, wanted: Filter) -> None:
    from bascule_console.services.streams import FlowStreams
    from bascule_console.store.nodes import agent_target
    from bascule_kube.kinds import NODE

    targets = [a for a in map(agent_target, await cluster.list(NODE)) if a is not None]
    if not targets:
        raise UsageError("no node publishes an agent", fix="run bascule-agent on every node")
    streams = FlowStreams(agents, sink, history_s=0.0, wanted=wanted.text)
    streams.reconcile(targets)
    try:
        await asyncio.Event().wait()
    finally:
        await streams.close()


async def _record(args: argparse.Namespace, path: Path, wanted: Filter) -> int:
    """Into a file: what comes, until interrupted, or with --since what the histories have."""
    from bascule_console.services.agents import Agents
    from bascule_console.services.cluster import connect
    from bascule_console.services.flowfile import FlowWriter
    from bascule_console.services.flowquery import each_batch, surroundings

    async with connect(access(args)) as cluster:
        agents = Agents(cluster.bearer_token)
        writer = _Recorder(FlowWriter(path, await surroundings(cluster)))
        try:
            if args.since_ns:
                answers = await each_batch(cluster, agents, wanted, writer.add_flows, args.since_ns)
                say_silent(answers.silent)
                return answers.exit_code
            narrate(f"recording into {path}; Ctrl-C ends it")
            await _stream(cluster, agents, writer, wanted)
            return 0
        finally:
            writer.file.close()
            narrate(f"{path}: {writer.file.flows} records in {writer.file.batches} batches")
            await agents.close()


class _Recorder:
    """A sink of streams that writes a file, and says what is missing from it."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def add_flows(self, batch: Batch) -> None:
        """One drain."""
        self.file.add_flows(batch)

    def agent_silent(self, node: str, why: str) -> None:
        """A gap in the file begins."""
        say_silent({node: why})

    def forget_node(self, node: str) -> None:
        """What it told stays in the file."""


class _Printer:
    """A sink of streams that prints what comes."""

    def __init__(self, store: Any, wanted: Filter, fmt: str) -> None:
        self._store, self._wanted, self._fmt, self._header = store, wanted, fmt, False

    def add_flows(self, batch: Batch) -> None:
        """One drain: named by the store, printed as it is (not summed over time)."""
        from bascule.flows.rows import rows
        from bascule.flows.scene import Scene

        self._store.add(batch)
        kept = batch.records[self._wanted.mask(Scene(batch.records, batch.node, self._store.names))]
        for row in rows(kept, batch.node, self._store.names):
            if self._fmt == "jsonl":
                write_json_line(row)
            else:
                self._line(dict(row))
        sys.stdout.flush()

    def agent_silent(self, node: str, why: str) -> None:
        """Said once per break."""
        say_silent({node: why})

    def forget_node(self, node: str) -> None:
        """The node left."""
        self._store.forget_node(node)

    def _line(self, row: Row) -> None:
        columns = [(c, w) for c, w in zip(LIST, WIDTHS, strict=True) if self._fmt == "wide" or not c.wide]
        if not self._header:
            self._header = True
            print(" ".join(column.title.upper().ljust(width) for column, width in columns).rstrip())
        print(" ".join(column.text(row).ljust(width) for column, width in columns).rstrip())
