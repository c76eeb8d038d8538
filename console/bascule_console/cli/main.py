"""`bascule`: find the verb, import its module only, run it, turn what happens into DESIGN section 5's exit codes.

The seam for verbs: VERBS names a module under `bascule_console.cli` with

    def add_parser(sub: Subparsers) -> None    sub.add_parser("<verb>", help=...) and whatever it needs
    def run(args: argparse.Namespace) -> int   the exit code; raise a BasculeError for anything that goes wrong

`Subparsers` is in cli/options.py. The common options (-o, --kubeconfig, --context, --lab, --read-only) are on every
parser made that way, nested ones too, and always in `args`. A verb marked raw has `def run_raw(arguments: list[str])
-> int` instead. `bascule` without a verb runs `tui`. Nothing here may import textual or kubernetes.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from dataclasses import dataclass
from types import ModuleType

from bascule.errors import BasculeError, UsageError
from bascule_console.cli.options import VerbParser, complete
from bascule_console.cli.output import narrate, report

INTERRUPTED = 130
BROKEN_PIPE = 141


@dataclass(frozen=True, slots=True)
class Verb:
    """One line of the help, and whether the module takes the remaining arguments unparsed."""

    help: str
    raw: bool = False


VERBS: dict[str, Verb] = {
    "tui": Verb("the terminal interface (what plain `bascule` runs)"),
    "demo": Verb("lab up, the interface on it, lab down at the end"),
    "lab": Verb("a whole cluster in miniature on this machine: up, down, status, exec, fault", raw=True),
    "overview": Verb("Networks × nodes, moves in flight, silent agents, losses, findings"),
    "apply": Verb("apply manifests: lint, dry run, diff, apply, journal"),
    "networks": Verb("list, show, lint, diff or delete bridge Networks"),
    "nads": Verb("list NetworkAttachmentDefinitions"),
    "pools": Verb("list IPPools"),
    "trunks": Verb("list candidates, prove VLANs, attach or detach a trunk"),
    "doctor": Verb("what is wrong with Networks, trunks, pools, NADs and VMs, and how to mend it"),
    "nodes": Verb("list or show nodes: trunk, bridges, ports"),
    "vms": Verb("list, show or move VMs; attach a NIC"),
    "moves": Verb("list, show or export move records; abort a running move"),
    "addresses": Verb("list, show or check addresses: claims, conflicts, what answers"),
    "flows": Verb("flows of VMs, now or as they come"),
    "policies": Verb("list, show, lint, promote or revert policies; explain a verdict; what-if on recorded flows"),
    "selectors": Verb("check a selector: its canonical form, and whether labels match"),
    "estate": Verb("import or show the old side: VMs, NICs, port groups, VLANs from files"),
    "assess": Verb("is the old side ready to move? network checks with verdict, evidence and fix"),
    "plan": Verb("build or show the migration plan: Networks, addresses, waves, manifests"),
    "wizard": Verb("the guided migration, step by step; --plain as lines"),
    "journal": Verb("what was changed, by whom, when; undo it"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command line. Returns the exit code."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = _guarded(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit's own flush is silent
        return BROKEN_PIPE


def _guarded(argv: list[str]) -> int:
    try:
        return _run(argv)
    except BasculeError as error:
        report(error)
        return error.exit_code
    except SystemExit as stop:  # argparse: --help, --version, usage
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        _report_bug(error)
        return 1


def _run(argv: list[str]) -> int:
    top = _top_parser()
    args = top.parse_args(argv)
    verb, rest = args.verb or "tui", args.arguments
    del args.verb, args.arguments
    if verb not in VERBS:
        raise UsageError(f"no verb '{verb}'", fix=f"one of {', '.join(VERBS)}; bascule --help")
    module = _module(verb)
    if VERBS[verb].raw:
        return int(module.run_raw(rest))
    parser = VerbParser(prog="bascule")
    module.add_parser(parser.add_subparsers(dest="verb"))
    return int(module.run(complete(parser.parse_args([verb, *rest], args))))


def _top_parser() -> argparse.ArgumentParser:
    verbs = "\n".join(f"  {name:10}{verb.help}" for name, verb in VERBS.items())
    top = VerbParser(
        prog="bascule",
        usage="bascule [options] [verb ...]",
        description="Move virtual machines onto Kubernetes without changing their network.",
        epilog=f"verbs (each has --help):\n{verbs}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show the version")
    top.add_argument("verb", nargs="?", help=argparse.SUPPRESS)
    top.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return top


class _Version(argparse.Action):
    """--version; an own action, because argparse's wants the version looked up at every start."""

    def __call__(self, *_: object) -> None:
        from importlib.metadata import version

        print(f"bascule {version('bascule')}")
        raise SystemExit(0)


def _module(verb: str) -> ModuleType:
    name = f"bascule_console.cli.{verb}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise UsageError(f"this build of bascule has no '{verb}'", fix="install a newer one") from error
        fix = "pip install 'bascule[console]'"
        raise UsageError(f"'{verb}' needs the Python package {error.name}", "it is not installed", fix) from error


def _report_bug(error: Exception) -> None:
    where = traceback.extract_tb(error.__traceback__)[-1]
    narrate(f"error: a fault in bascule itself: {type(error).__name__}: {error}")
    narrate(f"  cause: {where.filename}:{where.lineno} in {where.name}")
    narrate("  fix: report it with this line and the command you gave")
