"""`python -m bascule_lab`, which `bascule lab` runs: fetch, up, down, status, exec, fault, old, supervise."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bascule.errors import BasculeError, RefusedError
from bascule_lab.verbs import faults


def parser() -> argparse.ArgumentParser:
    """All verbs of the lab."""
    top = argparse.ArgumentParser(prog="bascule lab", description="A whole cluster in miniature on this machine.")
    verbs = top.add_subparsers(dest="verb", required=True)
    verbs.add_parser("fetch", help="download the guest kernel and build the guest template (cached)")
    up = verbs.add_parser("up", help="build the lab and apply examples/dc1.yaml")
    up.add_argument("--nodes", type=int, default=3, metavar="N", help="how many nodes (1 to 9, default 3)")
    up.add_argument("--guests", type=int, metavar="N", help="only the first N VMs of the example")
    up.add_argument("--empty", action="store_true", help="apply nothing")
    up.add_argument("--stand-in-guests", action="store_true", help="namespace-only guests instead of QEMU (stand-ins)")
    verbs.add_parser("down", help="take the lab down and leave the machine as it was")
    status = verbs.add_parser("status", help="what runs: kubeconfig, nodes, guests")
    status.add_argument("-o", "--output", choices=("table", "json"), default="table")
    run = verbs.add_parser("exec", help="run a command in a node's namespace, or in a guest")
    run.add_argument("target", metavar="NODE|VM", help="also: gateway, outside, fabric")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD")
    faults.add_parser(verbs)
    _old(verbs)
    supervise = verbs.add_parser("supervise")
    supervise.add_argument("--state", type=Path, required=True)
    supervise.add_argument("--options", required=True)
    return top


def _old(verbs: faults.Kinds) -> None:
    old = verbs.add_parser("old", help="a libvirt hypervisor beside the cluster, whose VMs are migrated")
    acts = old.add_subparsers(dest="old", required=True)
    up = acts.add_parser("up", help="start it on a lab that is up")
    up.add_argument("--vms", type=int, default=6, metavar="N", help="how many VMs (1 to 6, default 6)")
    up.add_argument("--planted", action="store_true", help="with three problems for an assessment to find")
    acts.add_parser("down", help="take it away; 'lab down' does so too")
    status = acts.add_parser("status", help="its URI and its VMs")
    status.add_argument("-o", "--output", choices=("table", "json"), default="table")
    run = acts.add_parser("exec", help="run a command in one of its VMs, over the serial port")
    run.add_argument("vm")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD")


def main(argv: list[str] | None = None) -> int:
    """Run one verb. Returns DESIGN section 5's exit code."""
    args = parser().parse_args(argv)
    try:
        if args.verb != "status" and os.geteuid() != 0:
            raise RefusedError(
                "the lab needs root",
                cause="it makes network namespaces, bridges and BPF programs",
                fix="run as root; 'bascule --kubeconfig FILE' against a cluster works without",
            )
        return _dispatch(args)
    except BasculeError as error:
        print(f"error: {error.message}", file=sys.stderr)
        for word, text in (("cause", error.cause), ("fix", error.fix)):
            if text:
                print(f"  {word}: {text}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the exit flush fails once more
        return 141
    except KeyboardInterrupt:
        return 130


def _dispatch(args: argparse.Namespace) -> int:
    if args.verb == "supervise":
        from bascule_lab.supervisor import main as supervise

        return supervise(args.state, args.options)
    if args.verb in ("up", "down", "fetch"):
        from bascule_lab.verbs import lifecycle

        return int(getattr(lifecycle, args.verb)(args))
    if args.verb == "fault":
        from bascule_lab.verbs import fault

        return fault.run(args)
    if args.verb == "old":
        from bascule_lab.verbs import old

        return old.run(args)
    from bascule_lab.verbs import look

    return int(getattr(look, args.verb if args.verb != "exec" else "execute")(args))
