"""kubectl's and a GitOps controller's habits on our kinds: a foreign client that was written for the real server."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "dc1.yaml"
NAMESPACES = "".join(
    f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n" for name in ("default", "vms")
)


def too_old() -> str:
    """Why kubectl cannot be used here; "" when it can."""
    if shutil.which("kubectl") is None:
        return "needs kubectl, as a client that is not ours"
    shown = subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True)
    version = re.findall(r"\d+", json.loads(shown.stdout)["clientVersion"]["gitVersion"])
    return "" if [int(part) for part in version[:2]] >= [1, 27] else "needs kubectl of 1.27 or newer"


pytestmark = pytest.mark.skipif(bool(too_old()), reason=too_old() or "kubectl is there")


class Kubectl:
    """Runs kubectl on one server."""

    def __init__(self, kubeconfig: Path, cache: Path) -> None:
        self.environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": str(cache)}

    def __call__(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = ["kubectl", *words]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, env=self.environment, timeout=30)

    def right(self, *words: str, stdin: str = "") -> str:
        done = self(*words, stdin=stdin)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    state = tmp_path_factory.mktemp("h9-kubectl")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "bascule_lab.apiserver", "--state", str(state), "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stderr is not None and child.stderr.readline().startswith("serving")
            runner = Kubectl(state / "kubeconfig", state / "cache")
            runner.right("create", "-f", "-", stdin=NAMESPACES)
            runner.right("apply", "--server-side", "-f", str(EXAMPLE))
            yield runner
        finally:
            child.terminate()


def network(kubectl: Kubectl) -> dict[str, object]:
    return dict(json.loads(kubectl.right("get", "network", "dc1", "-o", "json")))


def manifest(native: int) -> str:
    documents = yaml.safe_load_all(EXAMPLE.read_text())
    found = next(document for document in documents if document["kind"] == "Network")
    found["spec"]["l2Bridge"]["hostConfig"][0]["hostConnections"][0]["trunkPort"]["nativeVLAN"] = native
    return yaml.safe_dump(found)


def test_get_shows_our_columns(kubectl):
    assert kubectl.right("get", "networks").split()[:4] == ["NAME", "VLANS", "READY", "AGE"]
    table = kubectl.right("get", "vm", "-n", "vms", "--sort-by=.metadata.name").splitlines()
    assert table[0].split() == ["NAME", "AGE", "STATUS", "READY"] and len(table) == 13
    assert "ippool.projectcalico.org/" in kubectl.right("get", "ippools", "-o", "name")


def test_server_side_apply_conflicts_and_forces(kubectl):
    again = kubectl.right("apply", "--server-side", "-f", str(EXAMPLE))
    assert again.count("serverside-applied") == len(again.splitlines())
    clash = kubectl("apply", "--server-side", "--field-manager=gitops", "-f", "-", stdin=manifest(120))
    assert clash.returncode == 1 and 'Apply failed with 1 conflict: conflict with "kubectl"' in clash.stderr
    assert "--force-conflicts" in clash.stderr
    words = ("--server-side", "--field-manager=gitops", "--force-conflicts", "-f", "-")
    assert kubectl.right("apply", *words, stdin=manifest(120))
    shown = kubectl.right("get", "network", "dc1", "-o", "yaml", "--show-managed-fields")
    assert "manager: gitops" in shown and "nativeVLAN: 120" in shown
    kubectl.right("apply", *words, stdin=manifest(100))


def test_client_side_apply_and_diff(kubectl):
    document = "apiVersion: projectcalico.org/v3\nkind: Network\nmetadata: {name: csa}\nspec: {vrf: {a: 1, b: 2}}\n"
    assert "created" in kubectl.right("apply", "-f", "-", stdin=document)
    assert "unchanged" in kubectl.right("apply", "-f", "-", stdin=document)
    changed = document.replace("a: 1, b: 2", "a: 3")
    different = kubectl("diff", "-f", "-", stdin=changed)
    assert different.returncode == 1 and "-    b: 2" in different.stdout and "+    a: 3" in different.stdout
    assert "configured" in kubectl.right("apply", "-f", "-", stdin=changed)
    assert kubectl.right("get", "network", "csa", "-o", "jsonpath={.spec.vrf}") == '{"a":3}'
    moved = kubectl.right("apply", "--server-side", "-f", "-", stdin=changed)
    assert "serverside-applied" in moved
    less = changed.replace("{a: 3}", "{c: 1}")
    assert kubectl("diff", "--server-side", "-f", "-", stdin=less).returncode == 1
    kubectl.right("apply", "--server-side", "-f", "-", stdin=less)
    assert kubectl.right("get", "network", "csa", "-o", "jsonpath={.spec.vrf}") == '{"c":1}'
    kubectl.right("delete", "network", "csa")


def test_explain_knows_crds_and_builtins(kubectl):
    shown = kubectl.right("explain", "network.spec.l2Bridge.hostConfig")
    assert "Tried top to bottom on each node" in shown and "nodeSelector" in shown
    assert "FIELD: running <boolean>" in kubectl.right("explain", "vm.spec.running")
    assert "host port to" in kubectl.right("explain", "pod.spec.containers.ports.hostIP").replace(
        "host IP", "host port"
    )


def test_describe_wait_and_watch(kubectl):
    assert "Run Strategy:" in kubectl.right("describe", "vm", "-n", "vms", "web-1")
    words = ["kubectl", "get", "vm", "web-1", "-n", "vms", "-w", "--output-watch-events", "--request-timeout=6s"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=kubectl.environment) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline().split()[0] == "EVENT" and watch.stdout.readline().split()[0] == "ADDED"
        status = {"status": {"printableStatus": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
        waiting = subprocess.Popen(
            ["kubectl", "wait", "vm/web-1", "-n", "vms", "--for=condition=Ready", "--timeout=10s"],
            env=kubectl.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        time.sleep(0.5)
        kubectl.right(
            "patch", "vm", "web-1", "-n", "vms", "--subresource=status", "--type=merge", "-p", json.dumps(status)
        )
        assert waiting.communicate(timeout=15)[0] == "virtualmachine.kubevirt.io/web-1 condition met\n"
        fields = watch.stdout.readline().split()
        assert fields[0] == "MODIFIED" and fields[-2:] == ["Running", "True"]
        watch.terminate()


def test_validation_is_told_as_kubectl_tells_it(kubectl):
    wrong = kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest(4095))
    assert wrong.returncode == 1 and "nativeVLAN: Invalid value: 4095" in wrong.stderr
    assert "should be less than or equal to 4094" in wrong.stderr
    bogus = kubectl(
        "create", "-f", "-", stdin=manifest(100).replace("trunkPort", "trunkPrt").replace("name: dc1", "name: x")
    )
    assert (
        bogus.returncode == 1
        and 'unknown field "spec.l2Bridge.hostConfig[0].hostConnections[0].trunkPrt"' in bogus.stderr
    )


def test_labels_finalizers_and_deletion(kubectl):
    kubectl.right("label", "vm", "-n", "vms", "db-1", "tier=x")
    assert kubectl.right("get", "vm", "-n", "vms", "-l", "tier=x", "-o", "name") == "virtualmachine.kubevirt.io/db-1\n"
    kubectl.right("patch", "vm", "-n", "vms", "db-1", "--type=merge", "-p", '{"metadata":{"finalizers":["h9.dev/f"]}}')
    kubectl.right("delete", "vm", "-n", "vms", "db-1", "--wait=false", "--cascade=foreground")
    kept = json.loads(kubectl.right("get", "vm", "-n", "vms", "db-1", "-o", "json"))["metadata"]
    assert "h9.dev/f" in kept["finalizers"] and kept["deletionTimestamp"]
    kubectl.right("patch", "vm", "-n", "vms", "db-1", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    assert kubectl("get", "vm", "-n", "vms", "db-1").returncode == 1


def test_what_needs_protobuf_is_refused_with_its_reason(kubectl):
    refused = kubectl("create", "configmap", "x", "--from-literal=a=b")
    assert refused.returncode == 1 and "application/json" in refused.stderr
    streamed = kubectl("logs", "-n", "vms", "nothing")
    assert streamed.returncode == 1 and "not found" in streamed.stderr.lower()
