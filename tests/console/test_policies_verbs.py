"""`bascule policies` and `bascule selectors` against the lab's API and real agent servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bascule.resources.kubevirt import pod_interface_name
from bascule_console.cli.main import main

Doc = dict[str, Any]
V3 = "projectcalico.org/v3"
IF = pod_interface_name("net-0")


def pod(vm: str, vlan: int, ip: str, mac: str) -> Doc:
    notes = {
        f"cni.projectcalico.org/{IF}.network-status": json.dumps({"name": "dc1", "mac": mac, "vlan": vlan}),
        "k8s.v1.cni.cncf.io/network-status": json.dumps(
            [{"name": f"vms/vlan-{vlan}", "interface": IF, "ips": [ip], "mac": mac}]
        ),
        "k8s.v1.cni.cncf.io/networks": json.dumps([{"name": f"vlan-{vlan}", "namespace": "vms", "interface": IF}]),
    }
    labels = {"kubevirt.io": "virt-launcher", "vm.kubevirt.io/name": vm, "app": vm.partition("-")[0]}
    meta = {"name": f"virt-launcher-{vm}", "namespace": "vms", "labels": labels, "annotations": notes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [{"name": "compute"}]}}


def policy(name: str, kind: str = "NetworkPolicy", **spec: Any) -> Doc:
    meta = {"name": name} if "Global" in kind or kind == "Tier" else {"name": name, "namespace": "vms"}
    return {"apiVersion": V3, "kind": kind, "metadata": meta, "spec": spec}


ONLY_ECHO = policy(
    "web", selector="app == 'web'", types=["Ingress"],
    ingress=[{"action": "Allow", "protocol": "TCP", "destination": {"ports": [7]}}],
)  # fmt: skip


async def start(live: Any, record: Any) -> None:
    await live.start(nodes=1)
    for number in (1, 2):
        await live.run(f"web-{number}", "node1")
        await live.put(pod(f"web-{number}", 110, f"10.110.0.1{number}", f"52:54:00:00:6e:0{number}"))
    live.agents["node1"].drain(
        record(20, "web-1", "web-2", packets=7),
        record(20, "web-1", "web-2", packets=4, ports=(40001, 22)),
        record(21, "web-1", "web-2", packets=7, direction=0),
    )


async def test_list_shows_the_order_the_reach_and_what_is_not_usable(live: Any, scene: Any) -> None:
    await start(live, scene.record)
    await live.put(policy("early", "Tier", order=1))
    await live.put(ONLY_ECHO)
    await live.put(policy("first", "GlobalNetworkPolicy", tier="early", selector="app == 'web'", order=2))
    await live.put(policy("later", "StagedNetworkPolicy", selector="app == 'db'"))
    await live.put(policy("lost", "GlobalNetworkPolicy", tier="nowhere"))
    kube = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "k", "namespace": "vms"},
    }
    await live.put({**kube, "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]}})
    code, out, err = await live.bascule("policies", "list", "-o", "json")
    assert code == 0, err
    rows = json.loads(out)
    assert [(row["tier"], row["name"], row["order"], row["selects"], row["state"]) for row in rows] == [
        ("early", "first", "2", 2, "enforced"),
        ("default", "knp.default.k", "1000", 2, "enforced"),
        ("default", "later", "-", 0, "staged (Set)"),
        ("default", "web", "-", 2, "enforced"),
        ("nowhere", "lost", "-", 2, "not usable: spec.tier: the tier does not exist"),
    ]
    code, out, err = await live.bascule("policies", "lint", "-o", "jsonl")
    assert code == 1 and [json.loads(line)["id"] for line in out.splitlines()] == ["policy-tier"]


async def test_explain_both_sides_and_pending(live: Any, scene: Any, tmp_path: Path) -> None:
    await start(live, scene.record)
    await live.put(ONLY_ECHO)
    await live.put(policy("web", "StagedNetworkPolicy", stagedAction="Delete"))
    code, out, err = await live.bascule("policies", "explain", "web-1", "vms/web-2", "tcp/22", "-o", "json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["verdict"], found["pending"]) == ("deny", "allow")
    assert found["sides"] == {"source": "allow", "destination": "deny"}
    assert [step["action"] for step in found["steps"]] == ["Allow", "no match", "Deny"]
    code, out, err = await live.bascule("policies", "explain", "203.0.113.9", f"vms/web-2/{IF}", "tcp/7")
    assert code == 0 and "spec.ingress[0]: Allow" in out
    assert "203.0.113.9 is no endpoint here" in err and "verdict: allow" in err
    change = tmp_path / "change.yaml"
    change.write_text(yaml.safe_dump({**ONLY_ECHO, "spec": {**ONLY_ECHO["spec"], "ingress": [{"action": "Allow"}]}}))
    _, out, err = await live.bascule("policies", "explain", "web-1", "web-2", "tcp/22", "-f", str(change))
    assert "verdict: allow" in err
    for arguments, code, words in (
        (("web-9", "web-1", "tcp/7"), 1, "no VM or pod 'web-9'"),
        (("web-1", "web-2", "tcp"), 2, "'tcp' is no service"),
        (("web-1", "web-2", "icmp/300"), 2, "is no service"),
        (("web-1", "::1", "udp/53"), 2, "different families"),
    ):
        done = await live.bascule("policies", "explain", *arguments)
        assert done[0] == code and words in done[2]


async def test_what_if_names_the_talkers(live: Any, scene: Any, tmp_path: Path) -> None:
    await start(live, scene.record)
    change = tmp_path / "change.yaml"
    change.write_text(yaml.safe_dump(ONLY_ECHO))
    code, out, err = await live.bascule("policies", "whatif", "-f", str(change), "-o", "json")
    assert code == 1, err
    found = json.loads(out)
    assert (found["judged"], found["changed"]) == (2, 1)
    assert found["counts"] == [
        {"before": "allow", "after": "allow", "flows": 1},
        {"before": "allow", "after": "deny", "flows": 1},
    ]
    (talker,) = found["talkers"]
    assert (talker["source"], talker["destination"], talker["port"]) == (f"vms/web-1/{IF}", f"vms/web-2/{IF}", 22)
    assert talker["rule_after"] == "default/EndOfTier/default ingress end"
    await live.put({**ONLY_ECHO, "kind": "StagedNetworkPolicy"})
    code, out, err = await live.bascule("policies", "whatif", "--staged", "-o", "jsonl")
    assert code == 1 and json.loads(out)["after"] == "deny"
    await live.put(ONLY_ECHO)
    assert (await live.bascule("policies", "whatif", "--staged"))[0] == 0


async def test_a_change_that_cannot_be_used_says_where(live: Any, scene: Any, tmp_path: Path) -> None:
    await start(live, scene.record)
    change = tmp_path / "change.yaml"
    bad = {**ONLY_ECHO, "spec": {"ingress": [{"action": "Allow", "source": {"nets": ["10.0.0.0/8"] * 300}}]}}
    change.write_text(yaml.safe_dump(bad))
    code, _, err = await live.bascule("policies", "whatif", "-f", str(change))
    assert code == 2 and "spec.ingress[0].source.nets: 300 nets, the API takes 256" in err
    code, out, _ = await live.bascule("policies", "lint", "-f", str(change), "-o", "json")
    (finding,) = json.loads(out)
    assert code == 1 and finding["id"] == "policy-size" and finding["where"].startswith(f"{change}:")
    assert (await live.bascule("policies", "whatif"))[0] == 2


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["selectors", "check", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_selectors_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(capsys, "a=='x'&&has( b )") == (0, '(a == "x" && has(b))\n', "")
    assert check(capsys, "a == 'x'", "--labels", "a=x, b=")[:2] == (0, 'a == "x"\ntrue\n')
    assert check(capsys, "a != 'x'", "--labels", "a=x")[:2] == (1, 'a != "x"\nfalse\n')
    assert check(capsys, "!has(a)", "--labels", "")[:2] == (0, "!has(a)\ntrue\n")
    code, out, err = check(capsys, "a == 'x' & b", "--labels", "a=x")
    assert (code, out) == (2, "") and err.splitlines()[:2] == ["a == 'x' & b", "         ^"]
    code, _, err = check(capsys, "a\n== 'x'")
    assert code == 2 and err.splitlines()[:2] == ["a\\n== 'x'", " ^"]
    assert check(capsys, "has(a)", "--labels", "a")[0] == 2
    code, out, _ = check(capsys, "has(a)", "--labels", "a=1", "-o", "json")
    assert code == 0 and json.loads(out)[0] | {"labels": 0} == {
        "selector": "has(a)", "canonical": "has(a)", "labels": 0, "matches": True,
    }  # fmt: skip
