"""The server's files under the lab's state directory, made once and found again: TLS, tokens, database.

Everything secret is written with mode 0600 in directories of mode 0700.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bascule_lab.apiserver.certs import make_certificates

USERS = ("admin", "operator", "viewer")


@dataclass(frozen=True)
class ApiPaths:
    """Where the server keeps what; all below `state`."""

    state: Path

    @property
    def ca(self) -> Path:
        return self.state / "tls" / "ca.crt"

    @property
    def server_cert(self) -> Path:
        return self.state / "tls" / "server.crt"

    @property
    def server_key(self) -> Path:
        return self.state / "tls" / "server.key"

    @property
    def tokens(self) -> Path:
        return self.state / "tokens"

    @property
    def account_key(self) -> Path:
        """What signs service accounts' tokens."""
        return self.state / "tls" / "accounts.key"

    @property
    def database(self) -> Path:
        return self.state / "api.db"


@dataclass(frozen=True)
class Credentials:
    """What clients need: the CA (PEM text) and each user's bearer token, by user name."""

    ca_pem: str
    tokens: Mapping[str, str] = field(repr=False)


def prepare(state: Path, nodes: Sequence[str]) -> Credentials:
    """Make what is missing of CA, server certificate and tokens for admin, operator, viewer and `agent:<node>`.

    Idempotent: what exists is kept, so kubeconfigs stay valid over restarts. Writes nothing outside `state`.
    """
    paths = ApiPaths(state)
    for directory in (state, paths.ca.parent):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not all(path.exists() for path in (paths.ca, paths.server_cert, paths.server_key)):
        made = make_certificates()
        write_private(paths.server_key, made.server_key)
        write_private(paths.server_cert, made.server)
        write_private(paths.ca, made.ca)
    if not paths.account_key.exists():
        write_private(paths.account_key, secrets.token_bytes(32))
    tokens: dict[str, str] = json.loads(paths.tokens.read_text()) if paths.tokens.exists() else {}
    for user in (*USERS, *(f"agent:{node}" for node in nodes)):
        tokens.setdefault(user, secrets.token_urlsafe(24))
    write_private(paths.tokens, json.dumps(tokens, indent=1).encode())
    return Credentials(paths.ca.read_text(), tokens)


def write_private(path: Path, data: bytes) -> None:
    """Replace a file atomically with mode 0600."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    beside.replace(path)
