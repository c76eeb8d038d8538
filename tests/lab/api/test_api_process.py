"""The server as a process of its own: kubectl as a foreign client, kill -9, a second server on one state."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def process(state: Path) -> Iterator[subprocess.Popen[str]]:
    """`python -m bascule_lab.apiserver` until it says that it serves."""
    command = [sys.executable, "-m", "bascule_lab.apiserver", "--state", str(state)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stderr is not None and child.stderr.readline().startswith("serving https://")
            yield child
        finally:
            child.send_signal(signal.SIGTERM)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl, as a client that is not ours")
def test_kubectl_reads_and_writes_and_nothing_is_lost_by_kill_nine(tmp_path: Path):
    state = tmp_path / "state"
    environment = {**os.environ, "KUBECONFIG": str(state / "kubeconfig"), "KUBECACHEDIR": str(tmp_path / "cache")}

    def kubectl(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["kubectl", *words], input=stdin, capture_output=True, text=True, env=environment, timeout=30
        )

    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: h1-kubectl}\n"
    with process(state) as first:
        made = kubectl("create", "--validate=false", "-f", "-", stdin=namespace)
        assert made.returncode == 0, made.stderr
        assert "networks" in kubectl("api-resources", "--api-group=projectcalico.org").stdout
        labelled = kubectl("label", "ns", "h1-kubectl", "a=b")
        assert labelled.returncode == 0, labelled.stderr
        first.send_signal(signal.SIGKILL)
        first.wait()
    with process(state) as second:
        assert kubectl("get", "ns", "-l", "a=b", "-o", "name").stdout == "namespace/h1-kubectl\n"
        refused = kubectl("--context", "lab-viewer", "delete", "ns", "h1-kubectl")
        assert 'User "viewer" cannot delete resource "namespaces"' in refused.stderr
        command = [sys.executable, "-m", "bascule_lab.apiserver", "--state", str(state)]
        other = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert other.returncode == 1 and "stop the other API server" in other.stderr
        assert "Traceback" not in other.stderr
        second.send_signal(signal.SIGTERM)
        assert second.wait(timeout=10) == 0
