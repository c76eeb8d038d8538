"""`bascule flows` against real agent servers: rows, ledger, loss, silence, follow."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import Any

import pytest


async def start(live: Any, scene_record: Any) -> None:
    await live.start(nodes=2)
    await live.run("web-1", "node1")
    await live.run("web-2", "node2")
    live.agents["node1"].drain(scene_record(20, "web-1", "web-2", packets=7), lost={"map-full": 2})
    live.agents["node2"].drain(scene_record(20, "web-1", "web-2", packets=7, direction=0))


async def test_json_holds_rows_and_the_ledger(live: Any, scene: Any) -> None:
    await start(live, scene.record)
    code, out, err = await live.bascule("flows", "--last", "10", "-o", "json")
    assert code == 0, err
    document = json.loads(out)
    assert document["ledger"] == {"seen": 16, "sent": 14, "lost": {"map-full": 2}, "filtered": 0}
    row = next(row for row in document["flows"] if row["direction"] == "egress")
    assert (row["node"], row["vm"], row["vlan"], row["packets"]) == ("node1", "web-1", 110, 7)
    src = {"mac": "52:54:00:00:6e:01", "ip": "10.110.0.11", "port": 40000, "name": "web-1"}
    assert row["src"] == src | {"namespace": "vms", "kind": "vm", "why": ""}
    assert row["dst"]["name"] == "web-2"
    assert "ledger: seen 16 = sent 14 + lost 2, map-full 2" in err


async def test_a_silent_agent_leaves_a_partial_answer(live: Any, scene: Any) -> None:
    await start(live, scene.record)
    await live.agents["node2"].listener.stop()
    code, out, err = await live.bascule("flows", "--last", "5", "-o", "jsonl")
    assert code == 5
    assert [json.loads(line)["node"] for line in out.splitlines()] == ["node1"]
    assert "node2 is silent" in err


async def test_follow_prints_each_drain_and_ends_by_ctrl_c(live: Any, scene: Any) -> None:
    await start(live, scene.record)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import sys; from bascule_console.cli.main import main; sys.exit(main())"),
        *("--kubeconfig", str(live.kubeconfig), "flows", "--follow", "-o", "jsonl"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    agent = live.agents["node1"]
    async with asyncio.timeout(20):
        line = asyncio.create_task(process.stdout.readline())
        while not line.done():
            agent.drain(scene.record(20, "web-1", "web-2", packets=3))
            await asyncio.sleep(0.1)
    assert json.loads(line.result())["packets"] == 3
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert b"ledger: seen" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "neither --last N, --since T, --input FILE nor --follow"),
        (("--last", "0"), "at least 1"),
        (("--follow", "-o", "json"), "never ends"),
        (("vlna:110", "--last", "3"), "no field 'vlna', at character 1"),
        (("vlan:110", "vlan:1x", "--last", "3"), "             ^^"),
        (("--since", "yesterday"), "neither a span nor an ISO 8601 moment"),
        (("--last", "3", "--screen"), "--input FILE"),
        (("record",), "into which file"),
        (("top", "--by", "src,colour"), "no column 'colour'"),
        (("--input", "/nowhere/flows"), "cannot read"),
        (("--input", "/etc/hostname"), "is no recording"),
    ],
)
async def test_usage(live: Any, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = await live.bascule("flows", *arguments)
    assert (code, out) == (2, "")
    assert words in err


SINCE = "2026-11-23T11:59:00Z"


async def test_a_filter_is_applied_at_the_node_and_here_and_the_ledger_says_so(live: Any, scene: Any) -> None:
    await start(live, scene.record)
    code, out, err = await live.bascule("flows", "dir:egress src:web-1 bytes>1", "--last", "9", "-o", "json")
    assert code == 0, err
    document = json.loads(out)
    assert [row["node"] for row in document["flows"]] == ["node1"]
    assert document["ledger"] == {"seen": 16, "sent": 7, "lost": {"map-full": 2}, "filtered": 7}
    assert "ledger: seen 16 = sent 7 + filtered 7 + lost 2" in err


async def test_since_answers_from_the_histories_and_says_how_far_they_reach(live: Any, scene: Any) -> None:
    await start(live, scene.record)
    drop = scene.record(20, "web-1", "web-2", packets=5, verdict=3, reason=4)
    for _ in range(3):
        live.agents["node1"].drain(drop)
    code, out, err = await live.bascule("flows", "vlan:110 and verdict:drop", "--since", SINCE, "-o", "json")
    assert code == 0, err
    document = json.loads(out)
    (row,) = document["flows"]
    assert (row["packets"], row["reason"], row["vm"]) == (15, "spoofed-mac", "web-1")
    assert document["ledger"]["sent"] == 15 and document["ledger"]["filtered"] == 14
    assert sorted(document["history"]) == ["node1", "node2"]
    assert "node1: history reaches back to 2026-11-23 12:00:00Z" in err
    code, out, _ = await live.bascule("flows", "--since", "2027-01-01T00:00:00Z", "-o", "json")
    assert (code, json.loads(out)["flows"]) == (0, [])


async def test_top_adds_up_and_is_the_same_by_verb_and_by_hand(live: Any, scene: Any) -> None:
    await start(live, scene.record)
    code, out, err = await live.bascule("flows", "top", "dir:egress", "--by", "vm,verdict", "-o", "json")
    assert code == 0, err
    (row,) = json.loads(out)["top"]
    assert (row["vm"], row["verdict"], row["packets"], row["packets_per_s"]) == ("web-1", "allow", 7, 0.7)


async def test_a_recording_answers_like_the_cluster(live: Any, scene: Any, tmp_path: Any) -> None:
    await start(live, scene.record)
    path = str(tmp_path / "flows.rec")
    code, _, err = await live.bascule("flows", "record", path, "--since", SINCE)
    assert code == 0 and "2 records in 2 batches" in err
    code, _, err = await live.bascule("flows", "record", path, "--since", SINCE)
    assert code == 4 and "exists" in err
    _, there, _ = await live.bascule("flows", "dir:egress", "--since", SINCE, "-o", "json")
    code, here, err = await live.bascule("flows", "dir:egress", "--input", path, "-o", "json")
    assert code == 0, err
    assert json.loads(here)["flows"] == json.loads(there)["flows"] != []
    code, table, _ = await live.bascule("flows", "--input", path, "-o", "csv")
    header, *lines = table.splitlines()
    assert header.startswith("time,node,vm,") and "src.ip" in header and len(lines) == 2
    with open(path, "r+b") as file:
        file.truncate(file.seek(0, 2) - 5)
    code, out, err = await live.bascule("flows", "--input", path, "-o", "jsonl")
    assert code == 0 and len(out.splitlines()) == 1 and "breaks off in batch 2" in err
