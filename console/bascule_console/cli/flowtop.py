"""`bascule flows top`: what talks most, by any column, over the last seconds, a history or a file."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from bascule.errors import UsageError
from bascule_console.cli.flows import found
from bascule_console.cli.flowtable import say_extents, say_ledger, say_silent
from bascule_console.cli.options import access
from bascule_console.cli.output import Column, Row, narrate, write_document, write_rows

if TYPE_CHECKING:
    from bascule.flows.filter import Filter
    from bascule_console.services.flowquery import Found

SHOWN = 20


def top(args: argparse.Namespace, wanted: Filter) -> int:
    """Run it."""
    by = columns_of(args.by)
    if args.follow:
        raise UsageError("flows top shows one moment", fix="watch 'bascule flows top', or the flow screen's top view")
    if args.input is not None:
        from bascule_console.services.flowquery import open_file

        return _write(args, by, open_file(args.input, wanted))
    return asyncio.run(_live(args, by, wanted))


def columns_of(text: str) -> list[str]:
    """The columns of --by. Raises UsageError."""
    from bascule.flows.scene import COLUMNS

    names = [name.strip() for name in text.split(",")]
    strange = [name for name in names if name not in COLUMNS]
    if strange:
        raise UsageError(f"--by {text}: no column {strange[0]!r}", fix=f"one or more of {', '.join(COLUMNS)}")
    return names


def talkers(answer: Found, by: list[str], last: int | None) -> list[Row]:
    """The rows: the columns, then packets, bytes, dropped, flows, and both rates per second over the whole time."""
    from bascule.flows.window import kept_by
    from bascule.flows.window import top as group

    over = max(answer.over_s, 1e-9)
    return [
        {
            **dict(zip(by, each.values, strict=True)),
            "packets": each.packets,
            "bytes": each.bytes,
            "dropped": each.dropped,
            "flows": each.flows,
            "packets_per_s": round(each.packets / over, 3),
            "bytes_per_s": round(each.bytes / over, 3),
        }
        for each in group(kept_by(answer.store.scenes(), answer.wanted), by)[: last or SHOWN]
    ]


async def _live(args: argparse.Namespace, by: list[str], wanted: Filter) -> int:
    from bascule_console.services.agents import Agents
    from bascule_console.services.cluster import connect

    async with connect(access(args)) as cluster:
        agents = Agents(cluster.bearer_token)
        try:
            return _write(args, by, await found(args, wanted, cluster, agents, float(args.over)))
        finally:
            await agents.close()


def _write(args: argparse.Namespace, by: list[str], answer: Found) -> int:
    rows = talkers(answer, by, args.last)
    if args.output in ("json", "yaml"):
        document: dict[str, Any] = {"top": rows, "over_s": answer.over_s, "ledger": answer.ledger.to_dict()}
        write_document(document, args.output)
    else:
        numbers = ("packets", "bytes", "dropped", "flows", "packets_per_s", "bytes_per_s")
        write_rows(rows, [*(Column(name, name) for name in by), *(Column(name, name) for name in numbers)], args.output)
    say_silent(answer.answers.silent)
    say_extents(answer.extents)
    narrate(f"over {answer.over_s:.0f} s; a flow between two ports is counted at both, dir:egress counts it once")
    if answer.problem:
        narrate(answer.problem)
    say_ledger(answer.ledger)
    return answer.answers.exit_code
