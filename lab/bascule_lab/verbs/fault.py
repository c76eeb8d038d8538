"""`lab fault`: the same faults for tests and for operators in training; each prints what it did as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Any

from bascule.errors import UsageError
from bascule_lab.agents import hold
from bascule_lab.config import LabConfig
from bascule_lab.faults import block, orders, process
from bascule_lab.places import read_status, state_dir

# how long an order for a VM's next move waits for one
NEXT_MOVE_S = 600.0


def run(args: argparse.Namespace) -> int:
    """Plant one fault."""
    status = read_status(state_dir())
    done = {
        "block": _block,
        "kill-guest": _kill_guest,
        "kill-agent": _kill_agent,
        "vlan": _vlan,
        "link": _link,
        "node": _node,
        "hold-move": _hold_move,
        "release-move": _release_move,
        "out-of-memory": _out_of_memory,
        "unmigratable": _unmigratable,
        "api": _api,
        "disk-full": _disk_full,
    }[args.kind](status, args)
    print(json.dumps({"fault": args.kind, **done}))
    return 0


def _pick(status: dict[str, Any], what: str, name: str) -> dict[str, Any]:
    for entry in status[what]:
        if entry["name"] == name:
            found: dict[str, Any] = entry
            return found
    known = ", ".join(entry["name"] for entry in status[what])
    raise UsageError(f"lab fault: no {what.rstrip('s')} {name!r}", cause=f"there are {known or 'none'}")


def _block(status: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    if not 1 <= args.ms <= 60_000:
        raise UsageError(f"--ms {args.ms:g}: 1 to 60000")
    guest = _pick(status, "guests", args.vm)
    done = block.block_port(guest["netns"], guest["interface"], args.ms)
    return {"vm": args.vm, "started_ns": done.started_ns, "ended_ns": done.ended_ns, "ms": done.milliseconds}


def _kill_guest(status: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    guest = _pick(status, "guests", args.vm)
    if args.on:
        _pick(status, "nodes", args.on)
        there = [g for g in status["guests"] if (g["name"], g["node"]) == (args.vm, args.on)]
        if not there:
            raise UsageError(f"lab fault: {args.vm} does not run on {args.on}", cause=f"it runs on {guest['node']}")
        guest = there[0]
    return {"vm": args.vm, "node": guest["node"], "pid": guest["pid"], "at_ns": process.kill_guest(guest["pid"])}


def _kill_agent(status: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    node = _pick(status, "nodes", args.node)
    if not 0 <= args.down <= 600:
        raise UsageError(f"--down {args.down:g}: 0 to 600 seconds")
    hold(Path(node["socket"]).parent, args.down)
    at = process.kill_agent(node["agent_pid"])
    return {"node": args.node, "pid": node["agent_pid"], "at_ns": at, "down_s": args.down}


def _vlan(status: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    from bascule_lab.faults.switch import allow_vlan, deny_vlan

    _pick(status, "nodes", args.node)
    config = LabConfig(state=state_dir())
    act = deny_vlan if args.state == "off" else allow_vlan
    asyncio.run(act(config, args.node, args.vid))
    return {"node": args.node, "vlan": args.vid, "state": args.state}


def _link(status: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    from bascule_lab.faults.switch import cut, restore

    _pick(status, "nodes", args.node)
    config = LabConfig(state=state_dir())
    act = cut if args.state == "cut" else restore
    asyncio.run(act(config, args.node, args.link))
    return {"node": args.node, "link": args.state, "which": args.link}


def _node(status: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    from bascule_lab.faults import node

    found = _pick(status, "nodes", args.node)
    config, place = LabConfig(state=state_dir()), Path(found["socket"]).parent
    if args.state == "restore":
        asyncio.run(node.find(config, args.node, place))
        return {"node": args.node, "state": "there"}
    guests = [g for g in status["guests"] if g["node"] == args.node and g["state"] == "running"]
    at = asyncio.run(node.lose(config, args.node, place, found["agent_pid"], [g["pid"] for g in guests]))
    return {"node": args.node, "state": "lost", "guests": [g["name"] for g in guests], "at_ns": at}


def _hold_move(status: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    _pick(status, "guests", args.vm)
    _in_range("--for", args.seconds)
    orders.order_move(state_dir(), args.vm, orders.MoveOrder(args.at, time.time() + args.seconds, kill=False))
    return {"vm": args.vm, "at": args.at, "seconds": args.seconds}


def _release_move(status: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    _pick(status, "guests", args.vm)
    return {"vm": args.vm, "was_held": orders.forget_move(state_dir(), args.vm)}


def _out_of_memory(status: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    _pick(status, "guests", args.vm)
    orders.order_move(state_dir(), args.vm, orders.MoveOrder(args.at, time.time() + NEXT_MOVE_S, kill=True))
    return {"vm": args.vm, "at": args.at}


def _unmigratable(status: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    from bascule_lab.faults.movable import set_movable

    _pick(status, "guests", args.vm)
    return {"vm": args.vm, **asyncio.run(set_movable(state_dir(), args.vm, args.state == "off"))}


def _api(_status: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    _in_range("--away", args.away)
    orders.take_api_away(state_dir(), args.away)
    return {"away_s": args.away}


def _disk_full(_status: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    orders.fill_disk(state_dir(), args.state == "on")
    return {"disk_full": args.state == "on"}


def _in_range(option: str, seconds: float) -> None:
    if not 1 <= seconds <= 600:
        raise UsageError(f"{option} {seconds:g}: 1 to 600 seconds")
