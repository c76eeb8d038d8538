"""What readiness and plans are made from, gathered: the estate, the cluster's documents, proofs, flows, answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bascule.errors import UsageError
from bascule.estate.model import Estate, Rejected
from bascule.migration.answers import Answers
from bascule.migration.checks import CHECKS
from bascule.migration.moved import without_moved
from bascule.migration.questions import QUESTIONS
from bascule.migration.talk import Talk, of_csv, of_records
from bascule.migration.target import Target
from bascule.migration.world import Seen, World
from bascule.resources.read import dig, integer, items, text
from bascule.trunks.proof import Cell
from bascule_console.services.credentials import Access

MAX_BYTES = 64 << 20
_CELL = ("node", "network", "vlan", "verdict", "evidence")


@dataclass(frozen=True, slots=True)
class Inputs:
    """File names as given; empty ones were not."""

    cluster: Sequence[str] = ()
    proofs: str = ""
    flows: Sequence[str] = ()
    seen: str = ""
    answers: str = ""
    namespace: str = "vms"


@dataclass(frozen=True)
class Gathered:
    """The world, and what of the files was left out."""

    world: World
    rejected: tuple[Rejected, ...]


def gather(estate: Estate, inputs: Inputs, access: Access | None) -> Gathered:
    """Read every input; with `access` the cluster is asked too. Raises BasculeError."""
    documents = [*_manifests(inputs.cluster), *(asyncio.run(_live(access)) if access else [])]
    talks, rejected = _talks(inputs.flows)
    world = World(
        estate,
        without_moved(Target(documents, known=bool(inputs.cluster) or access is not None), estate),
        _answers(inputs.answers),
        _proofs(inputs.proofs) if inputs.proofs else None,
        talks if inputs.flows else None,
        _seen(inputs.seen) if inputs.seen else None,
        inputs.namespace,
    )
    return Gathered(world, rejected)


def _manifests(paths: Sequence[str]) -> list[dict[str, Any]]:
    from bascule_console.services.manifests import load

    return [document.object for document in load(paths)] if paths else []


async def _live(access: Access) -> list[dict[str, Any]]:
    from bascule_console.services.addresses import IPRESERVATION
    from bascule_console.services.cluster import connect, list_if_served
    from bascule_kube import Kind
    from bascule_kube.kinds import IPPOOL, NAD, NETWORK, NODE, VM

    more = (
        Kind("operator.tigera.io", "v1", "installations", "Installation", False),
        Kind("projectcalico.org", "v3", "felixconfigurations", "FelixConfiguration", False),
    )
    kinds = (NETWORK, IPPOOL, NAD, VM, NODE, IPRESERVATION, *more)
    async with connect(access) as cluster:
        lists = await asyncio.gather(*(list_if_served(cluster, kind) for kind in kinds))
    return [
        {**document, "kind": kind.kind, "apiVersion": kind.api_version}
        for kind, found in zip(kinds, lists, strict=True)
        for document in found
    ]


def _talks(paths: Sequence[str]) -> tuple[list[Talk], tuple[Rejected, ...]]:
    talks: list[Talk] = []
    rejected: list[Rejected] = []
    for path in paths:
        if path.lower().endswith(".csv"):
            found, bad = of_csv(Path(path).name, read_bytes(path))
            talks += found
            rejected += bad
        else:
            talks += _recording(path)
    return sorted(talks), tuple(rejected)


def _recording(path: str) -> list[Talk]:
    import numpy as np

    from bascule_console.services.flowfile import read_file

    batches = [batch.records for batch in read_file(Path(path)).batches()]
    return of_records(np.concatenate(batches)) if batches else []


def _proofs(path: str) -> list[Cell]:
    cells = []
    for at, each in enumerate(_json_list(path, "bascule trunks prove -o json")):
        values = [dig(each, name) for name in _CELL]
        if not isinstance(values[2], int) or not all(isinstance(value, str) for value in (*values[:2], *values[3:])):
            raise UsageError(f"{path}: entry {at + 1} is no proof", f"it needs {', '.join(_CELL)}", "prove again")
        cells.append(Cell(*values))
    return cells


def _seen(path: str) -> list[Seen]:
    found = []
    for each in _json_list(path, "bascule addresses check -o json"):
        vid, ip = integer(dig(each, "vlan")), text(dig(each, "ip"))
        if not vid or not ip:
            continue
        told = [(text(dig(one, "mac")), text(dig(one, "node"))) for one in items(dig(each, "seen"))]
        if not told and (dig(each, "answering") is True or text(dig(each, "mac"))):
            told = [(text(dig(each, "mac")), text(dig(each, "node")))]
        found += [Seen(vid, ip, mac.lower(), node) for mac, node in told]
    return found


def _answers(path: str) -> Answers:
    if not path:
        return Answers()
    try:
        document = yaml.safe_load(read_bytes(path))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UsageError(f"{path}:{line}: no YAML", error.problem or "", "see docs/migration.md") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: no YAML", str(error), "see docs/migration.md") from None
    return Answers.of(document, path, QUESTIONS, tuple(CHECKS))


def _json_list(path: str, maker: str) -> list[Any]:
    try:
        found = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: no JSON", str(error), f"make it with {maker}") from None
    if not isinstance(found, list):
        raise UsageError(f"{path}: no list", "", f"make it with {maker}")
    return found


def read_bytes(path: str) -> bytes:
    """A file's contents. Raises UsageError."""
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path}: cannot be read", cause, "check the name") from error
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path}: larger than {MAX_BYTES >> 20} MiB", "", "give it in parts")
    return data
