"""Faults that the supervisor carries out: each is a small file, written by a verb and read where it acts.

A file and not a call, because a fault must also be planted while the API is away or the supervisor is busy.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from bascule_lab.places import write_json

Point = Literal["scheduling", "ready", "precopy", "postcopy"]
POINTS: tuple[Point, ...] = get_args(Point)


@dataclass(frozen=True)
class MoveOrder:
    """What is to happen when a VM's move comes to `at`: stop there until Unix time `until`, or `kill` the target."""

    at: Point
    until: float
    kill: bool


def order_move(state: Path, vm: str, order: MoveOrder) -> None:
    """Give the order for the VM's next move; it replaces an earlier one."""
    _write(_move(state, vm), {"at": order.at, "until": order.until, "kill": order.kill})


def move_order(state: Path, vm: str) -> MoveOrder | None:
    """The order for a VM's move that stands now."""
    found = _read(_move(state, vm))
    if not found or found["until"] < time.time():
        return None
    return MoveOrder(found["at"], found["until"], found["kill"])


def forget_move(state: Path, vm: str) -> bool:
    """Take the order back; whether there was one."""
    there = move_order(state, vm) is not None
    _move(state, vm).unlink(missing_ok=True)
    return there


def lose_node(state: Path, node: str) -> None:
    """From now on the node is lost."""
    _write(_node(state, node), {"at": time.time()})


def find_node(state: Path, node: str) -> None:
    """The node is there again."""
    _node(state, node).unlink(missing_ok=True)


def lost_since(state: Path, node: str) -> float | None:
    """Unix time since when a node is lost, None when it is not."""
    found = _read(_node(state, node))
    return float(found["at"]) if found else None


def take_api_away(state: Path, seconds: float) -> None:
    """Close the API's listeners for that long."""
    _write(_place(state) / "api.json", {"until": time.time() + seconds})


def api_away_until(state: Path) -> float:
    """Unix time until which the API is away; 0 without such an order."""
    found = _read(_place(state) / "api.json")
    return float(found["until"]) if found else 0.0


def fill_disk(state: Path, full: bool) -> None:
    """From now on the storage behind the claims has no room, or has room again."""
    if full:
        _write(_place(state) / "disk.json", {"at": time.time()})
    else:
        (_place(state) / "disk.json").unlink(missing_ok=True)


def disk_is_full(state: Path) -> bool:
    """Whether the storage has no room."""
    return (_place(state) / "disk.json").exists()


def _place(state: Path) -> Path:
    return state / "faults"


def _move(state: Path, vm: str) -> Path:
    return _place(state) / f"move-{vm}.json"


def _node(state: Path, node: str) -> Path:
    return _place(state) / f"node-{node}.json"


def _write(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json(path, value)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found
