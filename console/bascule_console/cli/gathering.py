"""The options by which `assess` and `plan` are given the cluster's side, proofs, flows and answers."""

from __future__ import annotations

import argparse
import gc
from typing import TYPE_CHECKING

from bascule_console.cli.options import access
from bascule_console.cli.output import narrate

if TYPE_CHECKING:
    from bascule_console.services.readiness import Gathered


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument("files", nargs="*", metavar="SOURCE", help="files of the old side (else the imported estate)")
    text = "the cluster as manifests, instead of --context, --kubeconfig or --lab"
    parser.add_argument("--cluster", action="append", default=[], metavar="FILE", help=text)
    parser.add_argument("--namespace", default="vms", metavar="NS", help="where the VMs will be (vms)")
    parser.add_argument("--answers", default="", metavar="FILE", help="what only you can answer, YAML")
    parser.add_argument("--proofs", default="", metavar="FILE", help="of `trunks prove -o json`")
    parser.add_argument("--seen", default="", metavar="FILE", help="of `addresses check -o json`")
    text = "a recording of `flows record`, a capture, or CSV with src,dst,proto,port,bytes"
    parser.add_argument("--flows", action="append", default=[], metavar="FILE", help=text)


def gathered(args: argparse.Namespace) -> Gathered:
    """Read them all. A cluster is asked only when an option names one."""
    from bascule_console.services import estate, readiness
    from bascule_console.services.collect.login import on_terminal

    asked = access(args) if args.lab or args.context or args.kubeconfig else None
    inputs = readiness.Inputs(args.cluster, args.proofs, args.flows, args.seen, args.answers, args.namespace)
    read = estate.current(args.files, on_terminal)
    gc.freeze()  # none of it is garbage before the command ends; a large estate is slow to walk for nothing
    found = readiness.gather(read, inputs, asked)
    for each in found.rejected:
        narrate(f"left out: {each.place}: {each.why}")
    if asked is None and not args.cluster:
        narrate("no cluster is looked at: --context NAME, --lab, or --cluster FILE")
    return found
