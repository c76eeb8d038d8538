"""`bascule trunks list|prove|attach|detach`: candidates, the proof, and changes under commit-confirm."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

from bascule.trunks.proof import all_proven
from bascule_console.cli.options import Subparsers, access, refuse_unless_confirmed
from bascule_console.cli.output import Column, Row, narrate, write_document, write_lines, write_rows

if TYPE_CHECKING:
    from bascule_console.services.journal import Journal
    from bascule_console.services.trunk_calls import TrunkAgents
    from bascule_console.services.trunks import Trial
    from bascule_kube import Cluster

FAILED = 1
YES = ("y", "yes")
LIST = (
    Column("node", "node"),
    Column("link", "name"),
    Column("carrier", lambda row: "up" if row["carrier"] else "down"),
    Column("speed", lambda row: f"{row['speed']} Mb/s" if row["speed"] else ""),
    Column("mtu", "mtu"),
    Column("default route", lambda row: "yes" if row["default_route"] else ""),
    Column("member of", "member_of"),
    Column("vlans seen", "vlans"),
    Column("network", "network"),
    Column("problem", "problem"),
    Column("mac", "mac", wide=True),
)
PROVE = (
    Column("node", "node"),
    Column("network", "network"),
    Column("vlan", "vlan"),
    Column("verdict", "verdict"),
    Column("evidence", "evidence"),
)
STATES = (Column("node", "node"), Column("state", "state"), Column("why", "why"))
CONFIRM_NAME = "a node: allow its own way out; the Network: needed on a protected context"


def add_parser(sub: Subparsers) -> None:
    """Declare the verbs."""
    parser = sub.add_parser("trunks", help="list candidates, prove VLANs, attach or detach a trunk")
    verbs = parser.add_subparsers(dest="trunks_verb", required=True, metavar="VERB")
    one = verbs.add_parser("list", help="links of each node that could be a trunk, with the VLANs seen on them")
    one.add_argument("--listen", type=float, default=1.0, metavar="SECONDS", help="how long to listen (1, at most 10)")
    prove = verbs.add_parser("prove", help="ask every VLAN of every trunk for an answer; exit 1 unless all are proven")
    prove.add_argument("--network", default="", metavar="NAME")
    prove.add_argument("--vlan", type=int, action="append", default=[], metavar="VID", help="only this VLAN")
    for each in (one, prove):
        each.add_argument("--node", action="append", default=[], metavar="NODE", help="only this node")
    for name, text in (("attach", "make a link the trunk of nodes"), ("detach", "take the trunk of nodes away")):
        change = verbs.add_parser(name, help=f"{text}: plan, proof, commit-confirm")
        change.add_argument("--network", required=True, metavar="NAME")
        change.add_argument("--node", action="append", required=True, metavar="NODE")
        change.add_argument("--confirm", choices=("auto", "manual"), default="auto", help="who keeps the change (auto)")
        change.add_argument("--timeout", type=float, default=0.0, metavar="SECONDS", help="until it goes back (10, 60)")
        change.add_argument("--confirm-name", action="append", default=[], metavar="NAME", help=CONFIRM_NAME)
        change.add_argument("--dry-run", action="store_true", help="stop after plan and proof")
        if name == "attach":
            change.add_argument("--interface", required=True, metavar="LINK")
            change.add_argument("--native", type=int, default=None, metavar="VID", help="the VLAN of untagged frames")


def run(args: argparse.Namespace) -> int:
    """Run one of the verbs."""
    if args.trunks_verb in ("attach", "detach") and not args.dry_run:
        refuse_unless_confirmed(args, f"{args.trunks_verb} a trunk of {args.network}", args.network)
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    from bascule_console.services.cluster import connect
    from bascule_console.services.trunk_calls import TrunkAgents

    verb = {"list": _list, "prove": _prove, "attach": _change, "detach": _change}[args.trunks_verb]
    async with connect(access(args)) as cluster:
        agents = TrunkAgents(cluster.bearer_token)
        try:
            return await verb(args, cluster, agents)
        finally:
            await agents.close()


async def _list(args: argparse.Namespace, cluster: Cluster, agents: TrunkAgents) -> int:
    from bascule_console.services import trunks

    rows, answers = await trunks.candidates(cluster, agents, args.node, args.listen)
    _silent(answers.silent)
    write_rows(rows, LIST, args.output)
    return answers.exit_code


async def _prove(args: argparse.Namespace, cluster: Cluster, agents: TrunkAgents) -> int:
    from bascule_console.services import trunks

    cells, answers = await trunks.matrix(cluster, agents, args.node, args.network, args.vlan)
    _silent(answers.silent)
    write_rows(cells, PROVE, args.output)
    return answers.exit_code or (0 if all_proven(cells) else FAILED)


async def _change(args: argparse.Namespace, cluster: Cluster, agents: TrunkAgents) -> int:
    from bascule_console.services import trunk_changes, trunks
    from bascule_console.services.journal import Journal, journal_path

    order = trunks.Order(
        args.network,
        dict.fromkeys(sorted(set(args.node)), getattr(args, "interface", "")),
        native=getattr(args, "native", None),
        manual=args.confirm == "manual",
        seconds=args.timeout,
        confirmed_names=tuple(args.confirm_name),
    )
    trial = await trunks.prepare(cluster, agents, order)
    await _show(trial, cluster, args)
    if args.dry_run:
        return 0
    journal = Journal(journal_path(), cluster.context, cluster.server)
    plan = await trunk_changes.submit(cluster, trial, journal)
    if not plan.ready:
        from bascule_console.cli.apply import exit_code

        narrate("nothing was applied")
        return exit_code(plan)
    await trunk_changes.follow(agents, trial)
    if trial.waiting:
        keep = not trial.failed and await _word(trial)
        for node, error in (await trunk_changes.answer(agents, trial, keep)).items():
            narrate(f"{node} did not take the word: {error}")
    return await _end(trial, cluster, journal, args)


async def _show(trial: Trial, cluster: Cluster, args: argparse.Namespace) -> None:
    """Plan, blast radius, proof and diff: to stderr, or to stdout for a dry run."""
    from bascule_console.cli.apply import tell
    from bascule_console.services import trunk_changes

    rehearsal = await trunk_changes.rehearse(cluster, trial.after)
    tell(rehearsal)
    if args.dry_run and args.output not in ("table", "wide"):
        write_document(list(trial.plans.values()), args.output)
        return
    out = (lambda text: write_lines(text)) if args.dry_run else narrate
    for change in rehearsal.changes:
        for line in change.diff.splitlines():
            out(line)
    for node, plan in trial.plans.items():
        blast = plan["blast"]
        out(f"{node}: {len(plan['steps'])} steps; {len(blast['vms'])} VMs, {len(blast['vlans'])} VLANs concerned")
        for step in plan["steps"]:
            out(f"  {step['do']}")
        for cell in plan["proof"]:
            out(f"  VLAN {cell['vlan']}: {cell['verdict']}: {cell['evidence']}")


async def _word(trial: Trial) -> bool:
    """The operator's answer, asked with the time that is left; silence is no."""
    left = min(state["deadline_ns"] / 1e9 for state in trial.states.values() if "deadline_ns" in state) - time.time()
    narrate(
        f"{', '.join(trial.waiting)}: every probe passed; keep the change? [y/N], taken back in {max(left, 0):.0f} s"
    )
    try:
        line = await asyncio.wait_for(asyncio.to_thread(sys.stdin.readline), max(left - 1.0, 0.1))
    except TimeoutError:
        return False
    return line.strip().lower() in YES


async def _end(trial: Trial, cluster: Cluster, journal: Journal, args: argparse.Namespace) -> int:
    from bascule_console.services import trunk_changes

    if trial.failed:
        narrate(f"{', '.join(sorted(trial.failed))} did not keep the change: Network {trial.name} goes back")
        await trunk_changes.restore(cluster, trial, journal)
    rows: list[Row] = [_row(node, trial.states.get(node, {})) for node in sorted(trial.targets)]
    write_rows(rows, STATES, args.output)
    return FAILED if trial.failed else 0


def _row(node: str, state: dict[str, Any]) -> Row:
    return {"node": node, "state": state.get("state", ""), "why": state.get("why", ""), "change": state}


def _silent(silent: dict[str, str]) -> None:
    for node, why in sorted(silent.items()):
        narrate(f"{node} is silent: {why}")
