"""`bascule-agent run | plan | status | probe-point`: arguments in, exit code out; what each needs is imported late."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from bascule.errors import BasculeError

DEFAULT_PIN_ROOT = Path("/sys/fs/bpf/bascule")
DEFAULT_SOCKET = Path("/run/bascule/agent.sock")
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; an error is three lines on stderr (what, cause, fix), never a traceback."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s.%(msecs)03d %(levelname)s %(message)s", datefmt="%H:%M:%S"
    )
    try:
        return _VERBS[arguments.verb](arguments)
    except BasculeError as error:
        print(f"bascule-agent: {error.message}", file=sys.stderr)
        for label, text in (("cause", error.cause), ("fix", error.fix)):
            if text:
                print(f"  {label}: {text}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="bascule-agent", description="The node side of Bascule.")
    verbs = top.add_subparsers(dest="verb", required=True)
    cluster = argparse.ArgumentParser(add_help=False)
    cluster.add_argument("--kubeconfig", type=Path, required=True, help="how to reach the cluster")
    node = argparse.ArgumentParser(add_help=False)
    node.add_argument("--node", required=True, help="this node's name in the cluster")
    node.add_argument("--pin-root", type=Path, default=DEFAULT_PIN_ROOT, help="a directory on a bpffs")
    socket = argparse.ArgumentParser(add_help=False)
    socket.add_argument("--socket", type=Path, default=DEFAULT_SOCKET, help="the unix socket to serve on")
    run = verbs.add_parser("run", parents=[node, cluster, socket], help="be the agent of this node, in its namespace")
    run.add_argument("--mode", choices=("observe", "manage"), default="observe")
    run.add_argument(
        "--count-flows", action="store_true", help="mode observe: count flows beside the owner's programs, change none"
    )
    verbs.add_parser("plan", parents=[node, cluster], help="print the steps `run --mode manage` would do now")
    status = verbs.add_parser("status", help="what is attached on this node")
    status.add_argument("--node", required=True)
    status.add_argument("--pin-root", type=Path, default=DEFAULT_PIN_ROOT)
    probe = verbs.add_parser("probe-point", parents=[cluster, socket], help="serve probes from this namespace only")
    probe.add_argument("--name", required=True, help="the vantage point's name")
    return top


def _run(arguments: argparse.Namespace) -> int:
    from bascule_agent.runtime import Config, run

    where = (arguments.kubeconfig, arguments.socket, arguments.pin_root)
    return run(Config(arguments.node, *where, arguments.mode, arguments.count_flows))


def _plan(arguments: argparse.Namespace) -> int:
    from bascule_agent.apply.show import plan

    return plan(arguments.node, arguments.kubeconfig, arguments.pin_root)


def _status(arguments: argparse.Namespace) -> int:
    from bascule_agent.apply.show import status

    return status(arguments.node, arguments.pin_root)


def _probe_point(arguments: argparse.Namespace) -> int:
    from bascule_agent.server.probe_point import run

    return run(arguments.name, arguments.kubeconfig, arguments.socket)


_VERBS = {"run": _run, "plan": _plan, "status": _status, "probe-point": _probe_point}

if __name__ == "__main__":
    sys.exit(main())
