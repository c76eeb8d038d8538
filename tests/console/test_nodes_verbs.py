"""`bascule nodes` against the lab's API server and real agent servers."""

from __future__ import annotations

import json
from typing import Any

from bascule_kube.kinds import NODE

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


async def test_a_node_is_cordoned_once_and_uncordoned_by_its_own_verb(live: Any) -> None:
    await live.start(nodes=2)
    assert (await live.bascule("nodes", "cordon", "node2"))[0] == 0
    code, _, err = await live.bascule("nodes", "cordon", "node2")
    assert (code, "already cordoned" in err) == (0, True)
    _, out, _ = await live.bascule("nodes", "list", "-o", "json")
    assert [node["cordoned"] for node in json.loads(out)] == [False, True]
    records = json.loads((await live.bascule("journal", "list", "-o", "json"))[1])
    code, _, err = await live.bascule("journal", "undo", str(max(record["seq"] for record in records)))
    assert code == 4 and "would keep spec" in err and "nodes uncordon" in err, "never done without having done it"
    assert (await live.bascule("nodes", "uncordon", "node2"))[0] == 0
    assert not (await live.cluster.get(NODE, "node2"))["spec"].get("unschedulable")
    code, _, err = await live.bascule("nodes", "uncordon", "node2")
    assert (code, "already uncordoned" in err) == (0, True)
    code, _, err = await live.bascule("--read-only", "nodes", "cordon", "node2")
    assert (code, "read-only" in err) == (4, True)
    code, _, err = await live.bascule("nodes", "cordon", "node9")
    assert code != 0 and "node9" in err and "Traceback" not in err


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
