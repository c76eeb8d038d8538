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
    assert document["ledger"] == {"seen": 16, "sent": 14, "lost": {"map-full": 2}}
    row = next(row for row in document["flows"] if row["direction"] == "egress")
    assert (row["node"], row["vm"], row["vlan"], row["packets"]) == ("node1", "web-1", 110, 7)
    assert row["src"] == {"mac": "52:54:00:00:6e:01", "ip": "10.110.0.11", "port": 40000, "name": "web-1"}
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
        ((), "neither --last N nor --follow"),
        (("--last", "0"), "at least 1"),
        (("--follow", "-o", "json"), "never ends"),
    ],
)
async def test_usage(live: Any, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = await live.bascule("flows", *arguments)
    assert (code, out) == (2, "")
    assert words in err
