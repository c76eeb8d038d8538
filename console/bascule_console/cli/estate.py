"""`bascule estate import|show`: VMs, port groups and VLANs of the old side, from files or live; what was left out is
named."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bascule_console.cli.options import Subparsers
from bascule_console.cli.output import Column, Row, narrate, write_document, write_rows

if TYPE_CHECKING:
    from bascule.estate.model import Estate

INCOMPLETE = 1
REJECTED = (
    Column("what", "what"),
    Column("place", "place"),
    Column("column", "field"),
    Column("why", "why"),
    Column("fix", "fix", wide=True),
)
CONFLICTS = (
    Column("object", "object"),
    Column("field", "field"),
    Column("kept", "kept"),
    Column("from", "kept_from"),
    Column("not taken", "other"),
    Column("said by", "other_from"),
)


def _nics(key: str) -> Any:
    return lambda row: [part for nic in row["nics"] for part in _parts(nic[key])]


def _parts(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


VMS = (
    Column("name", "name"),
    Column("power", lambda row: row["power"] if row["kind"] == "vm" else row["kind"]),
    Column("vlan", _nics("vlan")),
    Column("ip", _nics("ips")),
    Column("mac", _nics("mac")),
    Column("port group", _nics("port_group"), wide=True),
    Column("host", "host", wide=True),
    Column("os", "os", wide=True),
    Column("disk mib", "disk_mib", wide=True),
    Column("place", "place", wide=True),
)
GROUPS = (
    Column("name", "name"),
    Column("vlan", "vlan"),
    Column("nics", "nics"),
    Column("switch", "switch"),
    Column("kind", "kind"),
    Column("subnet", "cidr"),
    Column("gateway", "gateway"),
    Column("promiscuous", "promiscuous", wide=True),
    Column("mac changes", "mac_changes", wide=True),
    Column("forged", "forged", wide=True),
    Column("place", "place", wide=True),
)
LISTS = ("vms", "port-groups", "rejected", "conflicts")


def add_parser(sub: Subparsers) -> None:
    """Declare the verbs."""
    parser = sub.add_parser("estate", help="import or show the old side: VMs, NICs, port groups, VLANs")
    verbs = parser.add_subparsers(dest="estate_verb", required=True, metavar="VERB")
    one = verbs.add_parser(
        "import", help="read files and hypervisors, keep what they say; exit 1 when a row was left out"
    )
    text = "RVTools .xlsx or folder of CSV, plain CSV, OVF, OVA, libvirt XML, or a live qemu+ssh://host/system"
    one.add_argument("files", nargs="+", metavar="SOURCE", help=f"{text}; the earlier counts where two differ")
    one.add_argument("--to", type=Path, default=None, metavar="FILE", help="keep it here, not as the estate")
    show = verbs.add_parser("show", help="what was imported")
    show.add_argument("files", nargs="*", metavar="SOURCE", help="look at these, not at the imported estate")
    show.add_argument("--list", choices=LISTS, default="vms", help="which list (vms)")
    show.add_argument("--vm", default="", metavar="NAME", help="all that is known of one VM")


def run(args: argparse.Namespace) -> int:
    """Run one of the verbs."""
    return _import(args) if args.estate_verb == "import" else _show(args)


def _import(args: argparse.Namespace) -> int:
    from bascule.estate.counts import counts
    from bascule_console.services import estate as service
    from bascule_console.services.collect.login import on_terminal

    found = service.read(args.files, on_terminal)
    kept = service.save(found, args.to or service.estate_path())
    numbers = counts(found)
    if args.output in ("json", "yaml", "jsonl"):
        lists = {"rejected": _rejected(found), "conflicts": _conflicts(found)}
        write_document({"file": str(kept), "counts": numbers, **lists}, args.output)
    elif found.rejected:
        write_rows(_rejected(found), REJECTED, args.output)
    for source in found.sources:
        narrate(f"read {source.name} ({source.kind})")
    narrate(", ".join(f"{number} {name.replace('_', ' ')}" for name, number in numbers.items()))
    if found.conflicts:
        narrate("the sources differ: bascule estate show --list conflicts")
    again = f" {args.to}" if args.to else ""
    narrate(f"kept in {kept}; next: bascule estate show{again}, then bascule assess{again}")
    return INCOMPLETE if found.rejected else 0


def _show(args: argparse.Namespace) -> int:
    from bascule.estate.counts import group_rows, vm_rows
    from bascule_console.services import estate as service
    from bascule_console.services.collect.login import on_terminal

    found = service.current(args.files, on_terminal)
    if args.vm:
        return _one(found, args.vm, args.output)
    rows = {"vms": vm_rows, "port-groups": group_rows, "rejected": _rejected, "conflicts": _conflicts}[args.list](found)
    columns = {"vms": VMS, "port-groups": GROUPS, "rejected": REJECTED, "conflicts": CONFLICTS}[args.list]
    write_rows(rows, columns, args.output)
    return 0


def _one(found: Estate, name: str, fmt: str) -> int:
    from bascule.errors import UsageError
    from bascule.estate.document import plain

    named = [vm for vm in found.vms if name in (vm.name, vm.key)]
    if not named:
        raise UsageError(f"no VM {name} in the estate", fix="bascule estate show lists them")
    write_document([plain(vm) for vm in named], fmt if fmt == "json" else "yaml")
    return 0


def _rejected(found: Estate) -> list[Row]:
    from dataclasses import asdict

    return [{**asdict(each), "place": each.place} for each in found.rejected]


def _conflicts(found: Estate) -> list[Row]:
    from dataclasses import asdict

    return [asdict(each) for each in found.conflicts]
