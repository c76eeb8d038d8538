"""`bascule plan build|show`: what becomes of port groups and VMs, in which wave, as manifests; nothing is applied.

`plan run|rollback|status` are in planrun.py, `plan accept` in planaccept.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bascule.errors import UsageError
from bascule_console.cli import planaccept, planrun
from bascule_console.cli.gathering import add_inputs, gathered
from bascule_console.cli.options import Subparsers
from bascule_console.cli.output import Column, Row, narrate, write_document, write_json_line, write_rows

INCOMPLETE = 1
WAVES = (
    Column("wave", "number"),
    Column("vms", "vms"),
    Column("gib", "gib"),
    Column("talk inside", "inside"),
    Column("talks across", lambda row: len(row["crossing"])),
    Column("members", "names"),
)
SEGMENTS = (
    Column("vlan", "vlan"),
    Column("network", lambda row: row["network"] + ("" if row["network_exists"] else " (new)")),
    Column("port groups", "port_groups"),
    Column("subnet", lambda row: [f"{net['cidr']} ({net['origin']})" for net in row["subnets"]]),
    Column("gateway", lambda row: [net["gateway"] for net in row["subnets"]]),
    Column("pool", lambda row: [net["pool"] + ("" if net["pool_exists"] else " (new)") for net in row["subnets"]]),
    Column("nad", lambda row: row["nad"] + ("" if row["nad_exists"] else " (new)")),
    Column("nics", "nics"),
)
VMS = (
    Column("vm", "name"),
    Column("wave", lambda row: row["wave"] or "held"),
    Column("becomes", "target"),
    Column("vlan", lambda row: [nic["vlan"] for nic in row["nics"]]),
    Column("ip", lambda row: [nic["ip"] for nic in row["nics"]]),
    Column("mac", lambda row: [nic["mac"] for nic in row["nics"]]),
    Column("held because", lambda row: row["held"][:1]),
    Column("nad", lambda row: [nic["nad"] for nic in row["nics"]], wide=True),
    Column("labels", lambda row: [f"{key}={value}" for key, value in row["labels"].items()], wide=True),
)
CLAIMS = tuple(Column(name, name) for name in ("vm", "nic", "network", "vlan", "ip", "mac"))
TRUNKS = tuple(Column(name, name) for name in ("node", "network", "interface", "native", "before", "added"))
_PARTS = ("check", "apply", "verify", "revert")
STEPS = tuple(Column(name, name) for name in ("step", *_PARTS))
LISTS = {"waves": WAVES, "segments": SEGMENTS, "vms": VMS, "claims": CLAIMS, "trunks": TRUNKS}


def add_parser(sub: Subparsers) -> None:
    """Declare the verbs."""
    parser = sub.add_parser("plan", help="build, show or run the migration plan")
    verbs = parser.add_subparsers(dest="plan_verb", required=True, metavar="VERB")
    make = verbs.add_parser("build", help="plan Networks, addresses and waves; exit 1 when a VM is held back")
    add_inputs(make)
    make.add_argument("--to", type=Path, default=None, metavar="DIR", help="write plan and manifests here")
    make.add_argument("--policies", default="", metavar="DIR", help="the carried rules: of `policies import -o DIR`")
    make.add_argument("--network", default="", metavar="NAME", help="the Network that new VLANs go to")
    make.add_argument("--trunk", default="", metavar="LINK", help="the trunk's interface, for a Network that is new")
    make.add_argument("--nodes", default="", metavar="SELECTOR", help="its nodes (all)")
    make.add_argument("--wave-vms", type=int, default=20, metavar="N", help="VMs in one wave (20)")
    make.add_argument("--wave-gib", type=int, default=2048, metavar="N", help="GiB of disks in one wave (2048)")
    make.add_argument("--label", action="append", default=[], metavar="TAG", help="a tag that becomes a label")
    make.add_argument("--take", action="append", default=[], metavar="VM", help="plan it although a check has an error")
    make.add_argument("--storage-class", default="", metavar="NAME", help="for Forklift's StorageMap")
    show = verbs.add_parser("show", help="the plan that was built")
    show.add_argument("plan", nargs="?", default="", metavar="PLAN", help="plan.json or its directory")
    show.add_argument("--list", choices=tuple(LISTS), default="waves", help="which list (waves)")
    show.add_argument("--wave", type=int, default=0, metavar="N", help="the VMs of one wave")
    show.add_argument("--vm", default="", metavar="NAME", help="the steps of one VM")
    planrun.add_parsers(verbs)
    planaccept.add_parser(verbs)


def run(args: argparse.Namespace) -> int:
    """Run one of the verbs."""
    if args.plan_verb in planrun.VERBS:
        return planrun.run(args)
    if args.plan_verb == "accept":
        return planaccept.run(args)
    return _build(args) if args.plan_verb == "build" else _show(args)


def _build(args: argparse.Namespace) -> int:
    from bascule.migration.options import Options
    from bascule.migration.plan_document import as_dict
    from bascule_console.services import plan as service
    from bascule_console.services.run.guard import refuse_if_running

    refuse_if_running()
    for name in ("wave_vms", "wave_gib"):
        if getattr(args, name) < 1:
            raise UsageError(f"--{name.replace('_', '-')} {getattr(args, name)}: no room", fix="at least 1")
    options = Options(
        namespace=args.namespace,
        network=args.network,
        trunk=args.trunk,
        node_selector=args.nodes,
        wave_vms=args.wave_vms,
        wave_gib=args.wave_gib,
        labels=tuple(args.label),
        take=tuple(args.take),
        storage_class=args.storage_class,
    )
    world = gathered(args).world
    found = service.make(world, options, args.policies)
    written = service.write(found, world, args.to) if args.to else []
    kept = service.keep(found, world)
    document = as_dict(found)
    _print(args, document, "waves")
    held = [vm for vm in found.vms if not vm.wave]
    for each in found.open:
        narrate(f"open: {each}")
    for path in written:
        narrate(f"wrote {path}")
    narrate(f"{len(found.moving)} VMs in {len(found.waves)} waves, {len(held)} held back; kept in {kept}")
    if held:
        narrate("next: bascule plan show --list vms tells why; mend it, or plan one anyway with --take VM")
    elif written:
        narrate(f"next: a look at {args.to}, then bascule plan run {args.to} --source URI --dry-run")
    return INCOMPLETE if held else 0


def _show(args: argparse.Namespace) -> int:
    from bascule_console.services import plan as service

    document = service.read(args.plan)
    if args.vm:
        return _steps(args, document)
    if args.wave:
        rows = [vm for vm in document["vms"] if vm["wave"] == args.wave]
        if not rows:
            raise UsageError(f"no wave {args.wave}", f"the plan has {len(document['waves'])}", "bascule plan show")
        write_rows(rows, VMS, args.output)
        return 0
    _print(args, document, args.list)
    return 0


def _print(args: argparse.Namespace, document: dict[str, Any], which: str) -> None:
    if args.output == "json" or args.output == "yaml":
        write_document(document, args.output)
    elif args.output == "jsonl":
        write_json_line(document)
    else:
        write_rows(_rows(document, which), LISTS[which], args.output)


def _rows(document: dict[str, Any], which: str) -> list[Row]:
    if which != "waves":
        return list(document[which])
    names = {vm["key"]: vm["name"] for vm in document["vms"]}
    return [{**wave, "names": _few([names[key] for key in wave["members"]])} for wave in document["waves"]]


def _few(names: list[str]) -> list[str]:
    return names if len(names) <= 6 else [*names[:5], f"… {len(names) - 5} more"]


def _steps(args: argparse.Namespace, document: dict[str, Any]) -> int:
    from bascule.migration.plan import NicPlan, VmPlan
    from bascule.migration.steps import steps_of

    named = [vm for vm in document["vms"] if args.vm in (vm["name"], vm["target"], vm["key"])]
    if not named:
        raise UsageError(f"no VM {args.vm} in the plan", fix="bascule plan show --list vms")
    for vm in named:
        if not vm["wave"]:
            narrate(f"{vm['name']} is in no wave: {'; '.join(vm['held'])}")
            continue
        nics = tuple(NicPlan(**{**nic, "dropped": tuple(nic["dropped"])}) for nic in vm["nics"])
        planned = VmPlan(vm["key"], vm["name"], vm["target"], vm["wave"], nics, vm["labels"], ())
        steps = steps_of(planned, document["options"]["namespace"])
        rows = [{"step": each.id, **{name: getattr(each, name) for name in _PARTS}} for each in steps]
        write_rows(rows, STEPS, args.output)
    return 0
