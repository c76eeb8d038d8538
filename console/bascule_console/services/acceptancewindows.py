"""What acceptance compares, gathered: the windows before and after, from files or from the agents' histories.

Before is a file (a recording, a capture, a CSV from the old switch) or what the agents heard until the VM was
stopped on the old side; after is what they heard since its start on the cluster, or a file.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bascule.errors import UsageError
from bascule.flows.filter import read_filter
from bascule.flows.ledger import merge
from bascule.migration.acceptance_flows import Identity, Recorded, of_records, of_talks
from bascule.migration.talk import of_csv
from bascule_console.services.credentials import Access
from bascule_console.services.readiness import read_bytes

Doc = Mapping[str, Any]


def identities(vms: Iterable[Doc]) -> list[Identity]:
    """VMs of a plan's JSON as flows know them; second addresses that were dropped belong to them too."""
    return [
        Identity(
            vm["key"],
            vm["name"],
            vm["target"],
            vm["wave"],
            tuple(ip for nic in vm["nics"] for ip in (nic["ip"], *nic["dropped"]) if ip and ":" not in ip),
            tuple(nic["mac"] for nic in vm["nics"] if nic["mac"]),
        )
        for vm in vms
    ]


def peer_names(plan: Doc) -> dict[str, str]:
    """Address → name of every VM of a plan."""
    return {ip: each.name for each in identities(plan["vms"]) for ip in each.ips}


def from_files(paths: Sequence[str], vms: Sequence[Identity]) -> Recorded:
    """One window of recordings, captures and CSV files: what they have of the VMs. Raises UsageError."""
    parts = [_file(path, _addresses(vms)) for path in paths]
    if not parts:
        raise UsageError("no recording of before", "neither a file nor a cluster is named", "--before FILE")
    timed = [each for each in parts if each.seconds]
    known = len(timed) == len(parts)
    return Recorded(
        ", ".join(each.source for each in parts),
        tuple(sorted(one for each in parts for one in each.heard)),
        min(each.since_ns for each in timed) if known else 0,
        max(each.until_ns for each in timed) if known else 0,
        sum(each.lost for each in parts),
        (),
        tuple(note for each in parts for note in each.notes),
    )


def _file(path: str, addresses: Sequence[str]) -> Recorded:
    name = Path(path).name
    if path.lower().endswith(".csv"):
        talks, rejected = of_csv(name, read_bytes(path))
        notes = tuple(f"left out: {each.place}: {each.why}" for each in rejected)
        return Recorded(name, of_talks(talks, addresses), notes=(f"{name} does not tell when", *notes))
    from bascule_console.services.flowfile import read_file

    read, parts, ledgers, ends = read_file(Path(path)), [], {}, list[int]()
    for batch in read.batches():
        parts.append((batch.node, batch.records))
        ledgers[batch.node] = batch.ledger
        if len(batch.records):
            ends += [int(batch.records["first"].min()), int(batch.records["last"].max())]
    lost = merge(ledgers.values()).lost_total
    since, until = (min(ends), max(ends)) if ends else (0, 0)
    notes = (read.problem,) if read.problem else ()
    return Recorded(name, of_records(parts, addresses), since, until, lost, (), notes)


async def from_agents(access: Access, vms: Sequence[Identity], since_ns: int) -> Recorded:
    """The agents' histories since a moment: silent nodes are named, a history that begins later is said."""
    from bascule_console.services.agents import Agents
    from bascule_console.services.cluster import connect
    from bascule_console.services.flowquery import each_batch

    addresses = _addresses(vms)
    if not addresses:
        raise UsageError("none of these VMs has an address", "flows are found by address", "look at their plan")
    parts, ledgers, oldest, notes = [], {}, list[int](), list[str]()

    def take(batch: Any) -> None:
        parts.append((batch.node, batch.records))
        ledgers[batch.node] = batch.ledger
        if batch.extent is not None:
            oldest.append(batch.extent.oldest_ns)
            if batch.extent.dropped_until_ns > since_ns:
                notes.append(f"{batch.node} had no room for all of its history")

    async with connect(access) as cluster:
        agents = Agents(cluster.bearer_token)
        try:
            answers = await each_batch(cluster, agents, read_filter("ip:" + ",".join(addresses)), take, since_ns)
        finally:
            await agents.close()
    now = time.time_ns()
    began = max(since_ns, min((each for each in oldest if each), default=now))
    return Recorded(
        "the agents' histories",
        of_records(parts, addresses),
        began,
        now,
        merge(ledgers.values()).lost_total,
        tuple(f"{node} ({why})" for node, why in sorted(answers.silent.items())),
        tuple(dict.fromkeys(notes)),
    )


def since(window: Recorded, start_ns: int) -> Recorded:
    """A window from one VM's start on."""
    heard = tuple(one for one in window.heard if not one.last_ns or one.last_ns >= start_ns)
    return replace(window, heard=heard, since_ns=max(window.since_ns, start_ns) if window.since_ns else 0)


def until(window: Recorded, end_ns: int) -> Recorded:
    """A window up to the end of one VM on the old side.

    A flow that went on is cut there; what it counted since cannot be told apart.
    """
    kept = [one for one in window.heard if not one.first_ns or one.first_ns < end_ns]
    cut = sum(1 for one in kept if one.last_ns >= end_ns)
    notes = (f"{cut} flows went on over the move, and are counted whole",) if cut else ()
    return replace(
        window,
        heard=tuple(one._replace(last_ns=min(one.last_ns, end_ns)) for one in kept),
        since_ns=min(window.since_ns, end_ns),
        until_ns=min(window.until_ns, end_ns),
        notes=(*window.notes, *notes),
    )


def _addresses(vms: Iterable[Identity]) -> list[str]:
    return sorted({ip for vm in vms for ip in vm.ips})
