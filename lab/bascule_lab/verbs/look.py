"""`lab status` and `lab exec`: read the lab, and run something in one of its namespaces or guests."""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from bascule.errors import RefusedError, UsageError
from bascule_lab.config import LabConfig
from bascule_lab.hypervisor import look as old
from bascule_lab.places import alive, read_status, state_dir

EXEC_TIMEOUT_S = 60.0


def status(args: argparse.Namespace) -> int:
    """Print the lab's status; liveness of guests and agents is looked at now, not remembered."""
    found = read_status(state_dir())
    for guest in found["guests"]:
        if guest["pid"] and not alive(guest["pid"], "qemu" if guest["kind"] == "qemu" else ""):
            guest["state"] = "dead"
    found["old"] = old.status(LabConfig(state=state_dir()))
    if args.output == "json":
        print(json.dumps(found, indent=2))
        return 0
    print(f"lab {found['state']}, supervisor {found['pid']}, kubeconfig {found['kubeconfig']}")
    table(("NODE", "AGENT PID", "SOCKET"), [(n["name"], n["agent_pid"], n["socket"]) for n in found["nodes"]])
    columns = ("name", "node", "kind", "pid", "state", "qmp")
    table(tuple(c.upper() for c in columns), [tuple(g[c] for c in columns) for g in found["guests"]])
    if found["old"]:
        print(f"old side: {len(found['old']['vms'])} VMs (bascule lab old status), {found['old']['uri']}")
    return 0


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    text = [head, *[tuple(str(cell) for cell in row) for row in rows]]
    widths = [max(len(row[i]) for row in text) for i in range(len(head))]
    for row in text:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def execute(args: argparse.Namespace) -> int:
    """Run CMD in a node's namespace, or in a guest over its serial port; returns CMD's exit code."""
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise UsageError("lab exec: no command", fix="bascule lab exec TARGET -- CMD")
    found = read_status(state_dir())
    namespaces = {n["name"]: n["netns"] for n in found["nodes"]} | found["namespaces"]
    if args.target in namespaces:
        return _in_namespace(namespaces[args.target], command)
    guest = next((g for g in found["guests"] if g["name"] == args.target), None)
    if guest is None:
        known = sorted([*namespaces, *(g["name"] for g in found["guests"])])
        raise UsageError(f"lab exec: no node or VM {args.target!r}", cause=f"there are {', '.join(known)}")
    return _in_guest(guest, command)


def _in_namespace(netns: str, command: list[str]) -> int:
    from bascule_agent.netlink import in_netns

    try:
        return in_netns(netns, lambda: subprocess.run(command, check=False)).returncode
    except FileNotFoundError as error:
        raise UsageError(f"lab exec: {error.filename}: no such command") from error


def _in_guest(guest: Mapping[str, Any], command: list[str]) -> int:
    if guest["pid"] and not alive(guest["pid"], ""):
        raise RefusedError(f"{guest['name']} is dead", cause=f"pid {guest['pid']} does not run")
    if guest["kind"] != "qemu":
        return _in_namespace(guest["netns"], command)
    from bascule_lab.guests.serial import SerialClient

    # One word is a line for the guest's shell, several are a command and its arguments.
    text = command[0] if len(command) == 1 else shlex.join(command)

    async def talk() -> tuple[int, bytes]:
        async with SerialClient(guest["serial"]) as client:
            return await client.exec(text, EXEC_TIMEOUT_S)

    code, output = asyncio.run(talk())
    sys.stdout.buffer.write(output)
    sys.stdout.buffer.flush()
    return code
