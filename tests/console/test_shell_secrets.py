"""Secrets: kept in the keyring only, asked for without one, and never shown by accident."""

from __future__ import annotations

import getpass
import pickle
from pathlib import Path

import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeyring
from tests_keyring import Memory

from bascule_console.services import secrets
from bascule_console.services.credentials import Access, settle
from bascule_console.services.secrets import Secret

KUBECONFIG = """
current-context: prod
contexts: [{{name: prod, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: "{server}"}}}}]
users: [{{name: u, user: {user}}}]
"""


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Someone who answers; the questions that were asked."""
    asked: list[str] = []

    def answer(question: str, stream: object = None) -> str:
        asked.append(question)
        return "s3cret-token"

    monkeypatch.setattr(getpass, "getpass", answer)
    for stream in ("stdin", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True, raising=False)
    return asked


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret("s3cret-token")
    assert "s3cret" not in f"{secret} {secret!r} {[secret]} {Access(None, None, '', secret)}"
    assert secret.reveal() == "s3cret-token"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_with_a_keyring_it_is_asked_once(memory: Memory, terminal: list[str]) -> None:
    assert secrets.obtain("token prod", "Token").reveal() == "s3cret-token"
    assert memory.held == {("bascule", "token prod"): "s3cret-token"}
    assert secrets.obtain("token prod", "Token").reveal() == "s3cret-token"
    assert len(terminal) == 1


def test_without_a_keyring_it_is_asked_each_time(terminal: list[str]) -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())
    try:
        for _ in range(2):
            assert secrets.obtain("token prod", "Token").reveal() == "s3cret-token"
    finally:
        keyring.set_keyring(before)
    assert len(terminal) == 2


def test_without_a_terminal_nothing_is_asked(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    monkeypatch.setattr(getpass, "getpass", lambda *_, **__: pytest.fail("asked"))
    assert not secrets.obtain("token prod", "Token")


@pytest.mark.parametrize(
    ("server", "user", "asked"),
    [
        ("https://api.example", "{}", True),
        ("https://api.example", "{token: abc}", False),
        ("https://api.example", "{exec: {command: x}}", False),
        ("http://127.0.0.1:8001", "{}", False),
    ],
)
def test_only_a_user_without_a_credential_is_asked(
    tmp_path: Path, memory: Memory, terminal: list[str], server: str, user: str, asked: bool
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG.format(server=server, user=user))
    known = settle(Access(path, None, "--kubeconfig"))
    assert known.context == "prod"
    assert bool(known.token) is asked and bool(terminal) is asked


def test_a_broken_kubeconfig_is_left_for_the_one_who_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    for text in ("", "[", "a: 1\n", "contexts: 3\n", "current-context: gone\n"):
        path.write_text(text)
        assert settle(Access(path, None, "")).token is None
    assert settle(Access(tmp_path / "absent", "x", "")).context == "x"


async def test_the_asked_token_opens_the_cluster(live: object, tmp_path: Path) -> None:
    import yaml

    from bascule_console.services.cluster import open_cluster
    from bascule_kube.kinds import NODE

    await live.start(nodes=1)  # type: ignore[attr-defined]
    document = yaml.safe_load(live.kubeconfig.read_text())  # type: ignore[attr-defined]
    tokens = {user["name"]: user["user"].pop("token") for user in document["users"]}
    bare = tmp_path / "bare"
    bare.write_text(yaml.safe_dump(document))
    async with await open_cluster(Access(bare, "lab-viewer", "", Secret(next(iter(tokens.values()))))) as cluster:
        assert [node["metadata"]["name"] for node in await cluster.list(NODE)] == ["node1"]
