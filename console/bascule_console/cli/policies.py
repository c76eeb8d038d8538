"""`bascule policies list|lint|explain|whatif` (show, promote, revert: policychange.py; import: policyimport.py)."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from bascule.errors import UnreachableError, UsageError
from bascule_console.cli import policychange, policyimport
from bascule_console.cli.options import Subparsers, access
from bascule_console.cli.output import Column, narrate, write_document, write_rows

if TYPE_CHECKING:
    from bascule.policy.forecast import Forecast
    from bascule.policy.model import PolicySet
    from bascule_console.store.policyworld import World

FAILED = 1
WINDOW_S = 300.0
LIST = (
    Column("tier", "tier"),
    Column("order", "order"),
    Column("kind", "kind"),
    Column("namespace", "namespace"),
    Column("name", "name"),
    Column("types", "types"),
    Column("rules", "rules"),
    Column("selects", "selects"),
    Column("state", "state"),
    Column("selector", "selector", wide=True),
)
STEPS = (
    Column("side", "side"),
    Column("endpoint", "endpoint"),
    Column("direction", "direction"),
    Column("tier", "tier"),
    Column("action", "action"),
    Column("why", "text"),
)
TALKERS = (
    Column("source", "source"),
    Column("destination", "destination"),
    Column("proto", "proto"),
    Column("port", lambda row: row["port"] or ""),
    Column("before", "before"),
    Column("after", "after"),
    Column("flows", "flows"),
    Column("packets", "packets"),
    Column("bytes", "bytes"),
    Column("because", "rule_after"),
    Column("until now", "rule_before", wide=True),
)


def add_parser(sub: Subparsers) -> None:
    """Declare the verbs."""
    parser = sub.add_parser(
        "policies", help="list, show, lint, promote, revert; explain a verdict; judge recorded flows anew"
    )
    verbs = parser.add_subparsers(dest="policies_verb", required=True, metavar="VERB")
    policychange.add_parsers(verbs)
    policyimport.add_parser(verbs)
    verbs.add_parser("list", help="every policy, in the order in which they are evaluated")
    lint = verbs.add_parser("lint", help="findings; exit 1 with an error")
    lint.add_argument("-f", "--filename", action="append", metavar="FILE", help="manifests instead of what is live")
    explain = verbs.add_parser("explain", help="the verdict on one connection, and the path to it on both sides")
    explain.add_argument("source", metavar="FROM", help="a VM (NAME, NAMESPACE/NAME[/NIC]), a pod, or an address")
    explain.add_argument("destination", metavar="TO", help="the same")
    explain.add_argument("service", metavar="SERVICE", help="tcp/443, udp/53, icmp, icmp/8/0 or a protocol number")
    explain.add_argument("-f", "--filename", action="append", metavar="FILE", help="as if these were applied")
    whatif = verbs.add_parser("whatif", help="what a change would do to recorded flows; exit 1 with a difference")
    whatif.add_argument("-f", "--filename", action="append", metavar="FILE", help="manifests of the change; - is stdin")
    whatif.add_argument("--staged", action="store_true", help="the change is to promote every staged policy")
    whatif.add_argument("--last", type=float, default=WINDOW_S, metavar="SECONDS", help=f"flows of ({WINDOW_S:g})")


def run(args: argparse.Namespace) -> int:
    """Run one of the verbs."""
    if args.policies_verb == "whatif" and not args.filename and not args.staged:
        raise UsageError("what if what?", "neither -f nor --staged is given", "-f FILE, --staged, or both")
    if args.policies_verb == "import":
        return policyimport.run(args)
    if args.policies_verb in ("promote", "revert"):
        policychange.refuse(args)
        return asyncio.run(policychange.change(args))
    verbs = {"list": _list, "show": policychange.show, "lint": _lint, "explain": _explain, "whatif": _whatif}
    return asyncio.run(verbs[args.policies_verb](args))


async def _list(args: argparse.Namespace) -> int:
    from bascule_console.services.policyrows import rows

    world = await _world(args)
    write_rows(rows(world), LIST, args.output)
    return 0


async def _lint(args: argparse.Namespace) -> int:
    from bascule.lint import lint
    from bascule_console.cli.networks import FINDINGS
    from bascule_console.services.apply import check

    if args.filename:
        documents, context = _load(args), await _context(args)
        found = [{**each.finding.as_dict(), "where": each.where} for each in check(documents, context)]
    else:
        world = await _world(args)
        found = [finding.as_dict() for finding in lint(world.documents)]
    write_rows(found, FINDINGS, args.output)
    return FAILED if any(finding["severity"] == "error" for finding in found) else 0


async def _explain(args: argparse.Namespace) -> int:
    from bascule_console.services.policyexplain import explained

    proposed = [document.object for document in _load(args)]
    world = await _world(args)
    found = explained(world, args.source, args.destination, args.service, _usable(world, proposed))
    if args.output in ("table", "wide", "csv", "jsonl"):
        write_rows([step.as_dict() for step in found.steps], STEPS, args.output)
        for side, address in (("source", found.source), ("destination", found.destination)):
            narrate(f"{side}: {found.sides[side] or f'{address} is no endpoint here, nothing is judged'}")
        note = "" if found.pending == found.verdict else f"; with the staged policies: {found.pending}"
        narrate(f"verdict: {found.verdict}{note}")
    else:
        write_document(found.as_dict(), args.output)
    return 0


async def _whatif(args: argparse.Namespace) -> int:
    from bascule.policy.forecast import forecast
    from bascule.policy.whatif import WhatIf
    from bascule_console.services.cluster import connect
    from bascule_console.services.policies import load
    from bascule_console.services.recorded import recorded

    proposed = [document.object for document in _load(args)]
    async with connect(access(args)) as cluster:
        world = await load(cluster)
        records, answers = await recorded(cluster, args.last)
    tell(world)
    for node, why in sorted(answers.silent.items()):
        narrate(f"{node} is silent: {why}")
    now, then = world.policies(), _usable(world, proposed)
    if args.staged:
        then = then.with_staged()
    found = forecast(records, WhatIf(now, world.endpoints), WhatIf(then, world.endpoints))
    _write(found, world, args.output)
    return answers.exit_code or (FAILED if found.changed else 0)


def _write(found: Forecast, world: World, fmt: str) -> None:
    from bascule_console.services.policyimpact import talker_rows

    rows = talker_rows(found, world.endpoints)
    counts = [{"before": a, "after": b, "flows": n} for (a, b), n in sorted(found.counts.items())]
    if fmt in ("json", "yaml"):
        totals = {"judged": found.judged, "changed": found.changed, "skipped": found.skipped}
        write_document({**totals, "counts": counts, "talkers": rows}, fmt)
    else:
        write_rows(rows, TALKERS, fmt)
    narrate(f"judged {found.judged} conversations; {found.changed} get another verdict")
    for each in counts:
        narrate(f"  {each['before']} -> {each['after']}: {each['flows']}")
    if found.skipped:
        narrate(f"{found.skipped} records are not policy's business (not IPv4, or dropped at the port)")


def _load(args: argparse.Namespace) -> list[Any]:
    from bascule_console.services.manifests import load

    return load(args.filename) if args.filename else []


async def _context(args: argparse.Namespace) -> list[Any]:
    """What the cluster has, so far as there is one: manifests can be linted without."""
    try:
        return (await _world(args)).documents
    except UnreachableError as error:
        narrate(f"linted without a cluster's objects: {error.message}")
        return []


async def _world(args: argparse.Namespace) -> World:
    from bascule_console.services.cluster import connect
    from bascule_console.services.policies import load

    async with connect(access(args)) as cluster:
        world = await load(cluster)
    tell(world)
    return world


def tell(world: World) -> None:
    """Narrate what could not be read."""
    for text in world.missing:
        narrate(text)


def _usable(world: World, proposed: list[Any]) -> PolicySet:
    """The cluster's policy with the proposed documents. What was unusable before is named; what the proposal makes
    unusable raises UsageError."""
    policies = world.policies(proposed)
    before = {each.ref for each in world.policies().refused}
    for each in policies.refused:
        if each.ref not in before:
            raise UsageError(f"{each.ref} cannot be used", each.reason, "bascule policies lint -f FILE")
        narrate(f"not counted: {each.ref}: {each.reason}")
    return policies
