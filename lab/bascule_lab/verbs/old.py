"""`lab old up|down|status|exec`: the hypervisor beside the cluster, from which VMs are migrated."""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import sys

from bascule.errors import RefusedError, UsageError
from bascule_lab.config import LabConfig
from bascule_lab.hypervisor import look
from bascule_lab.hypervisor.estate import VMS, estate
from bascule_lab.places import read_status, state_dir
from bascule_lab.verbs.look import EXEC_TIMEOUT_S, table

COLUMNS = ("name", "state", "vlan", "ip", "mac", "disk")


def run(args: argparse.Namespace) -> int:
    """One of the four."""
    config = LabConfig(state=state_dir())
    if args.old == "up":
        return _up(config, args)
    if args.old == "down":
        return _down(config)
    if args.old == "exec":
        return _exec(config, args)
    return _status(config, args)


def _up(config: LabConfig, args: argparse.Namespace) -> int:
    from bascule_lab.guests import template
    from bascule_lab.hypervisor import side

    if not 1 <= args.vms <= len(VMS):
        raise UsageError(f"--vms {args.vms}: 1 to {len(VMS)} VMs", fix=f"leave it out for {len(VMS)}")
    if read_status(config.state)["state"] != "up":
        raise RefusedError("the lab is not up yet", "its supervisor says so", "bascule lab status")
    if side.exists(config):
        raise RefusedError("the old side is up", f"{config.state}/old is there", "use it, or bascule lab old down")
    made = asyncio.run(template.ensure())
    side.up(config, made, estate(args.vms, args.planted), lambda line: print(line, file=sys.stderr, flush=True))
    return 0


def _down(config: LabConfig) -> int:
    from bascule_lab.hypervisor import side

    there = side.exists(config)
    side.down(config)
    print("old side is down" if there else "there was no old side", file=sys.stderr)
    return 0


def _status(config: LabConfig, args: argparse.Namespace) -> int:
    found = look.status(config)
    if args.output == "json":
        print(json.dumps(found, indent=2))
        return 0
    if found is None:
        print("no old side: bascule lab old up")
        return 0
    print(f"libvirtd {found['pid']} in {found['namespace']}, {found['uri']}")
    table(tuple(name.upper() for name in COLUMNS), [tuple(vm[name] for name in COLUMNS) for vm in found["vms"]])
    return 0


def _exec(config: LabConfig, args: argparse.Namespace) -> int:
    from bascule_lab.guests.serial import SerialClient

    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise UsageError("lab old exec: no command", fix="bascule lab old exec VM -- CMD")
    text = command[0] if len(command) == 1 else shlex.join(command)
    port = look.serial_of(config, args.vm)

    async def talk() -> tuple[int, bytes]:
        async with SerialClient(port) as client:
            return await client.exec(text, EXEC_TIMEOUT_S)

    code, output = asyncio.run(talk())
    sys.stdout.buffer.write(output)
    sys.stdout.buffer.flush()
    return code
