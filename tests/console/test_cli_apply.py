"""Apply and the Network verbs against the lab's API: all documents or none, refusals with their line, the journal."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bascule_console.cli.main import main
from bascule_console.cli.networks import ranges
from bascule_kube import Cluster
from bascule_kube.kinds import NAD, NAMESPACE, NETWORK, NODE, POD, VM

EXAMPLE = Path(__file__).parents[2] / "examples" / "dc1.yaml"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Path]:
    """A fresh API of the lab, in a process of its own."""
    command = [sys.executable, "-m", "bascule_lab.apiserver", "--state", str(tmp_path / "h2-api"), "--node", "node1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert process.stderr is not None and b"serving" in process.stderr.readline()
    yield tmp_path / "h2-api" / "kubeconfig"
    process.terminate()
    process.wait(10)
    process.stderr.close()


@pytest.fixture
def run(api: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("KUBECONFIG", str(api))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def call(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = main(list(arguments))
        said = capsys.readouterr()
        assert "Traceback" not in said.err and "fault in bascule" not in said.err
        return code, said.out, said.err

    return call


def ask(api: Path, what: Callable[[Cluster], Any]) -> Any:
    async def inner() -> Any:
        async with await Cluster.open(api) as cluster:
            return await what(cluster)

    return asyncio.run(inner())


def small(name: str = "dc1", vlans: tuple[int, ...] = (110,)) -> list[dict[str, Any]]:
    entries = [{"vlan": {"id": vid}, "subnets": [{"cidr": f"10.{vid % 256}.0.0/24"}]} for vid in vlans]
    trunk = {"trunkPort": {"interface": {"name": "trunk0"}}}
    host = {"nodeSelector": "", "bridge": {"managedBridge": {"stp": "Disabled"}}, "hostConnections": [trunk]}
    network = NETWORK.of(name) | {"spec": {"l2Bridge": {"hostConfig": [host], "vlans": entries}}}
    config = {"cniVersion": "0.3.1", "type": "calico", "network": name, "vlan": vlans[0]}
    nad = NAD.of("v", "vms") | {"spec": {"config": json.dumps(config | {"ipam": {"type": "calico-ipam"}})}}
    return [nad, network, NAMESPACE.of("vms")]


def text(documents: list[dict[str, Any]]) -> str:
    return yaml.safe_dump_all(documents, sort_keys=False)


def test_the_example_is_applied_journalled_and_then_unchanged(run: Run, api: Path) -> None:
    code, out, err = run("apply", "-f", str(EXAMPLE), "-o", "json")
    assert code == 0, err
    count = sum(1 for document in yaml.safe_load_all(EXAMPLE.read_text()) if document)
    assert [row["action"] for row in json.loads(out)] == ["create"] * count
    assert len(ask(api, lambda cluster: cluster.list(VM))) == 12
    code, out, _ = run("apply", "-f", str(EXAMPLE), "-o", "json")
    assert {row["action"] for row in json.loads(out)} == {"unchanged"}
    code, out, _ = run("journal", "list", "-o", "json")
    assert code == 0 and len(json.loads(out)) == count
    assert run("networks", "diff", "-f", str(EXAMPLE))[0] == 0
    code, out, _ = run("networks", "list", "-o", "json")
    (row,) = json.loads(out)
    assert (row["name"], row["vlans"], row["ready"], len(row["attached"])) == ("dc1", [100, 110, 120], "no agent", 12)
    code, _, err = run("networks", "delete", "dc1")
    assert code == 4 and "VM vms/db-1" in err and "12 attached" in err


def test_documents_are_applied_in_the_order_they_need(run: Run) -> None:
    code, out, err = run("apply", "-f", "-", "-o", "json", stdin=text(small()))
    assert code == 0, err
    assert [row["kind"] for row in json.loads(out)] == ["Namespace", "Network", "NetworkAttachmentDefinition"]


def test_dry_run_changes_nothing_and_diff_shows_what_would(run: Run, api: Path) -> None:
    code, out, _ = run("apply", "-f", "-", "--dry-run", "--diff", stdin=text(small()))
    assert code == 0 and "+++ new/Network/dc1" in out and "+      - cidr: 10.110.0.0/24" in out
    assert ask(api, lambda cluster: cluster.list(NETWORK)) == []
    assert run("journal", "list", "-o", "json")[1] == "[]\n"


BAD: list[tuple[str, str, str, int]] = [
    ("id: 110", "id: 4095", "spec.l2Bridge.vlans[0].vlan.id", 1),
    ("id: 110", "id: 0", "spec.l2Bridge.vlans[0].vlan.id", 1),
    ("10.110.0.0/24", "10.110.0.0", "cidr", 1),
    ("10.110.0.0/24", "fd00::/64", "cidr", 1),
    ("nodeSelector: ''", "nodeSelector: ''\n      colour: red", "colour", 1),
    ("managedBridge:\n          stp: Disabled", "existingBridge:\n          name: calb-x", "calb-", 1),
    ("kind: Namespace", "kind: Nonsense", "Nonsense", 2),
]


@pytest.mark.parametrize(("old", "new", "word", "expected"), BAD, ids=[new[:20] for _, new, _, _ in BAD])
def test_one_bad_document_and_nothing_is_applied(
    run: Run, api: Path, old: str, new: str, word: str, expected: int
) -> None:
    manifest = text(small())
    assert old in manifest
    code, out, err = run("apply", "-f", "-", stdin=manifest.replace(old, new))
    assert (code, out) == (expected, "") and word in err and "stdin:" in err and "nothing was applied" in err
    assert ask(api, lambda cluster: cluster.list(NETWORK)) == ask(api, lambda cluster: cluster.list(NAD)) == []


def test_what_only_the_server_refuses_is_named_with_its_line(run: Run, api: Path) -> None:
    code, _, err = run("apply", "-f", "-", "--context", "lab-viewer", stdin=text(small()))
    assert code == 4 and "forbidden" in err and "stdin:" in err
    manifest = text([NAMESPACE.of("Not_A_Name")])
    code, _, err = run("apply", "-f", "-", stdin=manifest)
    assert code == 2 and "stdin:1" in err and "nothing was applied" in err


def test_what_lies_in_a_namespace_to_come_is_tried_in_one_that_exists(run: Run, api: Path) -> None:
    ask(api, lambda cluster: cluster.create(NAMESPACE.of("default")))
    code, out, err = run("apply", "-f", "-", "--dry-run", "--diff", stdin=text(small()))
    assert code == 0 and "cannot be tried" not in err and "+  namespace: vms" in out
    nad, network, namespace = small()
    nad["metadata"]["name"] = "Not_A_Name"
    code, _, err = run("apply", "-f", "-", stdin=text([nad, network, namespace]))
    assert code == 2 and "the server refuses NetworkAttachmentDefinition/vms/Not_A_Name" in err
    assert ask(api, lambda cluster: cluster.list(NETWORK)) == []


def test_a_journal_that_cannot_be_written_stops_the_apply(run: Run, api: Path, tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    code, _, err = run("apply", "-f", "-", stdin=text(small()))
    assert code == 4 and "cannot write the journal" in err
    assert ask(api, lambda cluster: cluster.list(NETWORK)) == []


def test_lint_and_diff_exit_with_one(run: Run) -> None:
    assert run("apply", "-f", "-", stdin=text(small()))[0] == 0
    code, out, _ = run("networks", "diff", "-f", "-", stdin=text(small(vlans=(110, 120))))
    assert code == 1 and "+        id: 120" in out
    code, out, _ = run("networks", "lint", "-f", "-", "-o", "json", stdin=text(small(vlans=(110, 4095))))
    findings = json.loads(out)
    assert code == 1 and any(f["severity"] == "error" and f["where"].startswith("stdin:") for f in findings)
    assert findings[0].keys() >= {"id", "severity", "object", "message", "evidence", "fix"}
    assert run("networks", "lint")[0] == 0


def test_a_network_is_deleted_only_when_nothing_hangs_on_it(run: Run, api: Path) -> None:
    assert run("apply", "-f", "-", stdin=text(small()))[0] == 0
    spec = {"containers": [{"name": "c", "image": "i"}]}
    pods = {
        "json": {"k8s.v1.cni.cncf.io/networks": '[{"name": "v"}]'},
        "short": {"k8s.v1.cni.cncf.io/networks": "other, vms/v@net1"},
        "primary": {"cni.projectcalico.org/networks": '["dc1"]'},
        "free": {"k8s.v1.cni.cncf.io/networks": "elsewhere/v"},
    }
    for name, notes in pods.items():
        pod = POD.of(name, "vms")
        pod["metadata"]["annotations"] = notes
        ask(api, lambda cluster, pod=pod: cluster.create(pod | {"spec": spec}))
    code, _, err = run("networks", "delete", "dc1")
    assert code == 4 and "Pod vms/json, Pod vms/primary, Pod vms/short;" in err
    for name in ("json", "short", "primary"):
        ask(api, lambda cluster, name=name: cluster.delete(POD, name, "vms"))
    assert run("networks", "delete", "dc1")[0] == 0
    assert ask(api, lambda cluster: cluster.list(NETWORK)) == []
    last = json.loads(run("journal", "list", "-o", "json")[1])[-1]
    assert (last["what"], last["kind"], last["undo"]) == ("delete", "Network", "create")
    assert run("networks", "delete", "dc1")[0] == 1


def test_show_tells_what_each_node_says(run: Run, api: Path) -> None:
    assert run("apply", "-f", "-", stdin=text(small()))[0] == 0
    said = {"status": "False", "reason": "TrunkMissing", "message": "dc1: no trunk0"}
    said["type"] = "BasculeNetwork-" + hashlib.sha256(b"dc1").hexdigest()[:8]
    ask(api, lambda cluster: cluster.create(NODE.of("node1")))
    ask(api, lambda c: c.merge_patch(NODE, "node1", {"status": {"conditions": [said]}}, subresource="status"))
    code, out, _ = run("networks", "show", "dc1", "-o", "json")
    shown = json.loads(out)
    assert code == 0 and shown["ready"] == "0/1"
    assert shown["nodes"] == [{"node": "node1", "ready": False, "reason": "TrunkMissing", "message": "dc1: no trunk0"}]
    assert "TrunkMissing" in run("networks", "show", "dc1")[1]


def test_ranges() -> None:
    assert (ranges([]), ranges([7]), ranges([1, 2, 3, 9, 11, 12])) == ("", "7", "1-3,9,11-12")
