"""`bascule policies show|promote|revert` against the lab's API and a real agent server that counts hits."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests_policy_world import address, pod, policy, tcp

from bascule_agent.flows.hub import Hub
from bascule_agent.server.auth import Gate
from bascule_agent.server.listen import listen
from bascule_agent.server.service import Parts, Service
from bascule_kube.kinds import GLOBALNETWORKPOLICY, NETWORKPOLICY, NODE, STAGEDNETWORKPOLICY

ONLY_ECHO = {"order": 100, "selector": "app == 'web'", "types": ["Ingress"], "ingress": [tcp("Allow", 7)]}


@pytest.fixture(autouse=True)
def _state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


class Counting:
    """`bascule_agent.server.service.Policies`, with one rule hit."""

    async def document(self) -> dict[str, Any]:
        rule = {"kind": "NetworkPolicy", "namespace": "vms", "name": "web", "direction": "Ingress", "rule_index": 0}
        nic = {"namespace": "vms", "vm": "web-1", "nic": "net-0", "state": "in force"}
        return {"node": "node1", "nics": [{**nic, "rules": [{**rule, "packets": 12}]}]}


async def count(live: Any, folder: Path) -> Any:
    """The agent of node1, which counts."""
    agent = live.agents["node1"]
    parts = Parts("node1", agent.report, Hub(), agent, policies=Counting())
    listener = await listen(Service(parts, Gate("node1", live.cluster.create)), folder / "counting.sock")
    published = {"target": listener.target, "caHash": "", "mode": "manage", "version": "0.1.0"}
    patch = {"metadata": {"annotations": {"bascule.dev/agent": json.dumps(published)}}}
    await live.cluster.merge_patch(NODE, "node1", patch)
    return listener


async def names(live: Any, kind: Any) -> list[str]:
    return [each["metadata"]["name"] for each in await live.cluster.list(kind)]


async def test_show_with_and_without_hits(live: Any, tmp_path: Path) -> None:
    await live.start(nodes=1)
    await live.run("web-1", "node1")
    await live.put(pod("web-1", *address("web-1")))
    await live.put(policy("NetworkPolicy", "web", **{**ONLY_ECHO, "ingress": [tcp("Allow", 7), tcp("Allow", 7)]}))
    code, out, err = await live.bascule("policies", "show", "web")
    assert code == 0 and "no agent" in out and "node1 counts no hits" in err and "shadowed" in out
    listener = await count(live, tmp_path)
    try:
        code, out, err = await live.bascule("policies", "show", "vms/web", "-o", "json")
    finally:
        await listener.stop()
    assert code == 0, err
    found = json.loads(out)
    assert found["counted_by"] == ["node1"] and found["state"] == "enforced"
    assert [(rule["packets"], rule["effect"]) for rule in found["ruleset"]] == [(12, "effective"), (0, "shadowed")]
    assert found["ruleset"][1]["by"] == ["default/NetworkPolicy/vms/web ingress[0]"]
    code, _, err = await live.bascule("policies", "show", "nobody")
    assert code == 2 and "there is no policy 'nobody'" in err


async def test_promote_and_revert(live: Any, tmp_path: Path) -> None:
    await live.start(nodes=1)
    await live.put(policy("StagedNetworkPolicy", "web", **ONLY_ECHO))
    await live.put(policy("StagedGlobalNetworkPolicy", "learn", stagedAction="Learn"))
    await live.put(policy("StagedGlobalNetworkPolicy", "bad", tier="nowhere"))
    for arguments, code, words in (
        (("promote", "web", "--read-only"), 4, "the session is read-only"),
        (("promote", "learn"), 4, "its stagedAction is Learn"),
        (("promote", "bad"), 1, "nothing was changed"),
        (("revert", "web"), 4, "no change of vms/web to take back"),
        (("promote", "web", "--dry-run"), 0, "+  order: 100"),
    ):
        done = await live.bascule("policies", *arguments)
        assert done[0] == code and words in done[2], done
    settings = Path(os.environ["XDG_CONFIG_HOME"]) / "bascule" / "config.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text("contexts: {lab-admin: {protected: true}}\n")
    done = await live.bascule("policies", "promote", "web")
    assert done[0] == 4 and "--confirm-name web" in done[2]
    assert await names(live, NETWORKPOLICY) == [] and await names(live, GLOBALNETWORKPOLICY) == []
    code, out, err = await live.bascule("policies", "promote", "web", "--confirm-name", "web", "-o", "json")
    assert code == 0, err
    assert json.loads(out) == [
        {"object": "NetworkPolicy/vms/web", "what": "create", "done": True},
        {"object": "StagedNetworkPolicy/vms/web", "what": "delete", "done": True},
    ]
    assert (await names(live, NETWORKPOLICY), await names(live, STAGEDNETWORKPOLICY)) == (["web"], [])
    code, out, err = await live.bascule("policies", "revert", "web", "--confirm-name", "web", "-o", "json")
    assert code == 0, err
    assert [row["what"] for row in json.loads(out)] == ["undo #2: create", "undo #1: delete"]
    assert (await names(live, NETWORKPOLICY), await names(live, STAGEDNETWORKPOLICY)) == ([], ["web"])


async def test_a_promotion_never_keeps_what_another_manager_set(live: Any) -> None:
    """Server-side apply leaves a field alone that the new document lacks; policy must not be a mixture."""
    await live.start(nodes=1)
    await live.put(policy("NetworkPolicy", "web", **{**ONLY_ECHO, "egress": [{"action": "Deny"}]}))
    await live.put(policy("StagedNetworkPolicy", "web", **ONLY_ECHO))
    code, _, err = await live.bascule("policies", "promote", "web")
    assert code == 4 and "would keep another spec.egress" in err
    await live.put(policy("StagedNetworkPolicy", "gone", stagedAction="Delete"))
    await live.put(policy("NetworkPolicy", "gone", **ONLY_ECHO))
    code, out, err = await live.bascule("policies", "promote", "gone", "-o", "json")
    assert code == 0 and [row["what"] for row in json.loads(out)] == ["delete", "delete"], err
    assert await names(live, NETWORKPOLICY) == ["web"]
    code, _, err = await live.bascule("policies", "revert", "gone")
    assert code == 0, err
    assert await names(live, NETWORKPOLICY) == ["gone", "web"] and "gone" in await names(live, STAGEDNETWORKPOLICY)
