"""What a move asks of other agents when the migration has ended: the source's half, and where bridges have the MAC."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from bascule.continuity import Record
from bascule.errors import BasculeError, UnreachableError
from bascule.protocol.gen.agent_pb2 import SourceHalfRequest
from bascule.resources.node import AGENT_ANNOTATION
from bascule_agent.moves.around import Surroundings
from bascule_agent.moves.dial import agent_target
from bascule_agent.moves.fdb import judged

SOURCE_SECONDS = 0.45
PATIENT_SECONDS = 1.4
VIEW_NODES = 32


async def ask_source(record: Record, around: Surroundings, seconds: float = SOURCE_SECONDS) -> bool:
    """The source's half into the record; whether it came. Asked more than once: the last frames come late, and what was
    told once is kept when a later question is not answered."""
    source = record.source
    try:
        if not source:
            raise UnreachableError("the VMIM names no source node")
        node = await around.read_node(source)
        text = await around.dial.source_half(agent_target(node), record.migration_uid, seconds=seconds)
        half = json.loads(text)
        if not isinstance(half, dict) or not isinstance(half.get("nics"), list):
            raise UnreachableError(f"the agent of {source} answered something else than its half")
    except (BasculeError, ValueError) as error:
        if record.source_half is None:
            record.missing["source-half"] = str(error)
        return False
    record.source_half = half
    record.missing.pop("source-half", None)
    return True


async def ask_bridges(record: Record, around: Surroundings, since_ns: int) -> None:
    """Where every node's bridge has the VM's MAC now and what changed since this move began, into `fdb`; each node's
    clock into `clocks`."""
    nic = record.nics[0] if record.nics else None
    if nic is None or not nic.mac.after:
        return
    mac, network, vlan = str(nic.mac.after), nic.network, int(nic.vlan.after or 0)
    try:
        nodes = list(await around.extras.nodes())[:VIEW_NODES]
    except BasculeError as error:
        record.missing["fdb"] = f"the nodes cannot be listed: {error}"
        return

    async def one(node: Any) -> None:
        name = str((node.get("metadata") or {}).get("name", ""))
        try:
            if name == record.target:
                view = await around.extras.view(mac, network, vlan)
            elif AGENT_ANNOTATION in ((node.get("metadata") or {}).get("annotations") or {}):
                request = SourceHalfRequest(migration_uid=record.migration_uid, mac=mac, network=network, vlan=vlan)
                view = json.loads(await around.dial.view(agent_target(node), request, seconds=SOURCE_SECONDS))
            else:
                return
        except (BasculeError, ValueError) as error:
            record.missing[f"fdb of {name}"] = str(error)
            return
        record.fdb[name] = judged(view, name == record.target, since_ns)
        if isinstance(view.get("clock"), dict):
            record.clocks[name] = view["clock"]
        record.missing.pop(f"fdb of {name}", None)

    await asyncio.gather(*(one(node) for node in nodes))
