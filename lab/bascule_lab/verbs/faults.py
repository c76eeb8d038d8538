"""The words of `lab fault`. Apart from what they do, so that reading them loads nothing."""

from __future__ import annotations

import argparse
from typing import TypeAlias

from bascule_lab.faults.orders import POINTS

Kinds: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_parser(verbs: Kinds) -> None:
    """Declare the faults."""
    fault = verbs.add_parser("fault", help="plant a fault: for tests, and for operators in training")
    kinds = fault.add_subparsers(dest="kind", required=True)
    _guests(kinds)
    _moves(kinds)
    _nodes(kinds)
    api = kinds.add_parser("api", help="take the Kubernetes API away for a while")
    api.add_argument("--away", type=float, required=True, metavar="S", help="seconds until it is back (1 to 600)")
    disk = kinds.add_parser("disk-full", help="leave no room on the storage that uploaded disks go to")
    disk.add_argument("state", choices=("on", "off"))


def _guests(kinds: Kinds) -> None:
    block = kinds.add_parser("block", help="drop everything at a VM's port for N ms")
    block.add_argument("vm")
    block.add_argument("--ms", type=float, required=True)
    guest = kinds.add_parser("kill-guest", help="kill a VM's QEMU")
    guest.add_argument("vm")
    guest.add_argument("--on", metavar="NODE", help="the one on this node, while a move runs")


def _moves(kinds: Kinds) -> None:
    hold = kinds.add_parser("hold-move", help="stop a VM's next move on its way, until released")
    hold.add_argument("vm")
    hold.add_argument("--at", choices=POINTS, required=True, help="where; postcopy is after the switch")
    hold.add_argument("--for", dest="seconds", type=float, default=30.0, metavar="S", help="at most (30)")
    release = kinds.add_parser("release-move", help="let a held move go on")
    release.add_argument("vm")
    fixed = kinds.add_parser("unmigratable", help="a VM that cannot be moved, as one with a host device")
    fixed.add_argument("vm")
    fixed.add_argument("state", choices=("on", "off"))
    memory = kinds.add_parser("out-of-memory", help="the target of a VM's next move runs out of memory")
    memory.add_argument("vm")
    memory.add_argument("--at", choices=POINTS[1:], default="precopy", help="when (precopy)")


def _nodes(kinds: Kinds) -> None:
    agent = kinds.add_parser("kill-agent", help="kill -9 a node's agent")
    agent.add_argument("node")
    agent.add_argument("--down", type=float, default=5.0, metavar="S", help="seconds until it is started again")
    vlan = kinds.add_parser("vlan", help="take a VLAN off a node's switch port, or put it back")
    vlan.add_argument("node")
    vlan.add_argument("vid", type=int)
    vlan.add_argument("state", choices=("off", "on"))
    link = kinds.add_parser("link", help="cut one of a node's links, or restore it")
    link.add_argument("node")
    link.add_argument("state", choices=("cut", "restore"))
    link.add_argument("--link", choices=("trunk", "migration"), default="trunk", help="which one (trunk)")
    node = kinds.add_parser("node", help="lose a node with all that runs there, or bring it back")
    node.add_argument("node")
    node.add_argument("state", choices=("lose", "restore"))
