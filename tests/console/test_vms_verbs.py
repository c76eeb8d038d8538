"""`bascule vms` and `bascule moves`: a move from refusal to record, KubeVirt's part played by the test."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import jsonschema
import pytest

from bascule.continuity import load_schema


async def test_list_joins_vm_instance_and_attachment(live: Any) -> None:
    await live.start(nodes=2)
    await live.run("web-1", "node1")
    await live.run("db-1", "node2", phase="Failed")
    code, out, _ = await live.bascule("vms", "list", "-o", "json")
    assert code == 0
    db, web = json.loads(out)
    assert (web["name"], web["namespace"], web["node"], web["vlan"]) == ("web-1", "vms", "node1", 110)
    assert (web["ip"], web["mac"], web["phase"]) == ("10.110.0.11", "52:54:00:00:6e:01", "Running")
    assert db["phase"] == "Failed"


async def test_a_move_prints_the_whole_record(live: Any) -> None:
    await live.start(nodes=2)
    await live.run("web-1", "node1")
    (code, out, err), _ = await asyncio.gather(
        live.bascule("vms", "move", "web-1", "--to", "node2", "-o", "json"), live.play_move()
    )
    assert code == 0, err
    record = json.loads(out)
    jsonschema.validate(record, load_schema())
    assert (record["source"], record["target"], record["verdict"]) == ("node1", "node2", "kept")
    assert record["probes"][0]["lost"] == 3
    narrated = [word for word in ("Scheduling", "Running", "Succeeded") if word in err]
    assert narrated == ["Scheduling", "Running", "Succeeded"]
    listed = json.loads((await live.bascule("moves", "list", "-o", "json"))[1])
    assert [(row["name"], row["lost"], row["verdict"]) for row in listed] == [("web-1", 3, "kept")]
    code, shown, _ = await live.bascule("moves", "show", "web-1")
    assert code == 0
    assert "KEPT" in shown
    exported = (await live.bascule("moves", "export"))[1].splitlines()
    assert json.loads(exported[0])["migration_uid"] == record["migration_uid"]


async def test_a_gap_above_the_limit_is_exit_1(live: Any) -> None:
    await live.start(nodes=2)
    await live.run("web-1", "node1")
    (code, out, _), _ = await asyncio.gather(
        live.bascule("vms", "move", "web-1", "--to", "node2", "--max-gap", "0.2"), live.play_move(lost=60)
    )
    assert code == 1
    assert "BROKEN" in out and "no reply for 305 ms" in out


async def test_a_target_without_agent_moves_without_record(live: Any) -> None:
    await live.start(nodes=2, silent=("node2",))
    await live.run("web-1", "node1")
    (code, out, err), _ = await asyncio.gather(
        live.bascule("vms", "move", "vms/web-1", "--to", "node2"), live.play_move()
    )
    assert (code, out) == (5, "")
    assert "no record of this move: node node2 has no agent" in err


async def test_a_move_that_hangs_is_exit_124(live: Any) -> None:
    await live.start(nodes=2)
    await live.run("web-1", "node1")
    code, out, err = await live.bascule("vms", "move", "web-1", "--to", "node2", "--timeout", "1")
    assert (code, out) == (124, "")
    assert "did not end in 1 s" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("move", "web-1", "--to", "node1"), 4, "on node1 already"),
        (("move", "db-1", "--to", "node1"), 4, "is not running"),
        (("move", "web-1", "--to", "node7"), 2, "no node 'node7'"),
        (("move", "nope", "--to", "node2"), 1, "no VM 'nope'"),
        (("--read-only", "move", "web-1", "--to", "node2"), 4, "read-only"),
        (("move", "web-1", "--to", "node2", "--timeout", "-1"), 2, "seconds above 0"),
    ],
)
async def test_refusals(live: Any, arguments: tuple[str, ...], code: int, words: str) -> None:
    await live.start(nodes=2)
    await live.run("web-1", "node1")
    await live.run("db-1", "node2", phase="Failed")
    got, out, err = await live.bascule("vms", *arguments)
    assert (got, out) == (code, ""), err
    assert words in err
    assert "Traceback" not in err
