"""`bascule nodes` against the lab's API server and real agent servers."""

from __future__ import annotations

import json
from typing import Any

HEALTHY = {"version": "0.1.0", "mode": "manage", "seen": "2026-11-23T12:00:00Z"}


async def test_list_has_the_shape_scripts_rely_on(live: Any) -> None:
    await live.start(nodes=2)
    code, out, err = await live.bascule("nodes", "list", "-o", "json")
    assert (code, err) == (0, "")
    first, second = json.loads(out)
    assert (first["name"], second["name"]) == ("node1", "node2")
    assert first["agent"] == HEALTHY
    assert first["trunk"] == {"name": "trunk0", "carrier": True, "mtu": 1500, "vlans": [100, 110, 120]}
    assert first["bridges"][0]["vlan"] == 110
    assert set(first["ports"][0]) >= {"vm", "nic", "vlan", "mac", "ip", "state"}


async def test_a_silent_agent_is_named_and_the_answer_is_partial(live: Any) -> None:
    await live.start(nodes=3, silent=("node2",))
    await live.agents["node3"].listener.stop()
    code, out, err = await live.bascule("nodes", "list", "-o", "json")
    assert code == 5
    assert [node["agent"] for node in json.loads(out)] == [HEALTHY, None, None]
    assert "node2 is silent: its Node has no annotation" in err
    assert "node3 is silent: the agent of node3 does not answer" in err


async def test_show_in_words(live: Any) -> None:
    await live.start(nodes=1)
    code, out, _ = await live.bascule("nodes", "show", "node1")
    assert code == 0
    assert "trunk0" in out and "bsb-abcdefghij" in out and "52:54:00:00:6e:01" in out


async def test_an_unknown_node_is_one_clear_error(live: Any) -> None:
    await live.start(nodes=1)
    code, out, err = await live.bascule("nodes", "show", "node9")
    assert (code, out) == (1, "")
    assert "node9" in err and "Traceback" not in err


async def test_no_cluster_is_exit_3(live: Any) -> None:
    await live.start(nodes=1)
    live.kubeconfig.write_text(live.kubeconfig.read_text().replace("127.0.0.1:", "127.0.0.1:1#"))
    code, _, err = await live.bascule("nodes", "list")
    assert code == 3, err
