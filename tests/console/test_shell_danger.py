"""Every danger action's headless twin: refused read-only, wants the name on a protected context, and is of no use to a
viewer. The list is the registry's own, so that a new action is in it from its first day."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bascule_console.actions.registry import all_actions
from bascule_console.cli.main import main
from bascule_console.services.journal import Journal, journal_path

# What a verb's text in the registry leaves open. An action with another open word belongs in here.
EXAMPLES = {
    "FILE": "examples/dc1.yaml",
    "LINK": "trunk0",
    "NAD": "vlan-110",
    "NAME": "web-1",
    "NETWORK": "dc1",
    "NODE": "node2",
    "NUMBER": "1",
    "URI": "test:///default",
    "VM": "web-1",
}
NAMES = ("web-1", "node2", "dc1", "a", "prod")  # what is named, whichever of them the verb means
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: prod
contexts: [{name: prod, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:9", certificate-authority: /nowhere/ca.crt}}]
users: [{name: u, user: {token: t}}]
"""


def twins() -> list[str]:
    """Each verb that changes something, once."""
    return sorted({action.verb.removeprefix("bascule ") for action in all_actions() if action.danger})


def words(verb: str) -> list[str]:
    """A command line of it."""
    return [EXAMPLES[word] if word.isupper() else word for word in verb.split()]


@pytest.fixture
def prod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A context that leads nowhere, and a journal with one record; returns the settings file."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    thing = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "u"}}
    Journal(journal_path(), "prod", "https://127.0.0.1:9").append("apply", None, thing)
    settings = tmp_path / "bascule" / "config.yaml"
    settings.parent.mkdir()
    return settings


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """(exit code, stderr)."""
    code = main(list(arguments))
    return code, capsys.readouterr().err


@pytest.mark.parametrize("verb", twins())
def test_a_verb_that_changes_something_is_guarded(verb: str, prod: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = words(verb)
    code, err = run(capsys, *command, "--read-only")
    assert code == 4 and "the session is read-only" in err
    prod.write_text("contexts:\n  prod:\n    read_only: true\n")
    code, err = run(capsys, *command)
    assert code == 4 and "context prod is read-only" in err
    prod.write_text("contexts:\n  prod:\n    protected: true\n")
    code, err = run(capsys, *command)
    assert code == 4 and "context prod is protected" in err and "add --confirm-name" in err
    code, err = run(capsys, *command, "--confirm-name", "nobody")
    assert code == 4 and "--confirm-name says 'nobody'" in err
    wanted = next(name for name in NAMES if f"add --confirm-name {name}" in err)
    code, err = run(capsys, *command, "--confirm-name", wanted)
    # on to the cluster, which cannot be reached, or to the plan, which was never built
    assert code != 4 and ("/nowhere/ca.crt" in err or "no plan was built" in err)


async def test_no_verb_of_a_viewer_writes(live: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    await live.start(nodes=2)
    await live.run("web-1", "node1")
    await live.run("web-2", "node2")
    before = await live.versions()
    ended = await asyncio.gather(*(live.bascule("--context", "lab-viewer", *words(verb)) for verb in twins()))
    for verb, (code, _, err) in zip(twins(), ended, strict=True):
        assert code != 0 and err, verb
    assert await live.versions() == before
