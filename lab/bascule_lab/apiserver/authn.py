"""Who asks: static bearer tokens, read from the state directory's token file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bascule.errors import BasculeError
from bascule_lab.apiserver.status import unauthorized

GROUPS = {"admin": "system:masters", "operator": "bascule:operators", "viewer": "bascule:viewers"}
AGENTS = "bascule:agents"
AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True)
class User:
    """An authenticated name and its groups."""

    name: str
    groups: tuple[str, ...]


class TokenFileError(BasculeError):
    """The token file is missing or no JSON object of names to tokens."""


def user_named(name: str) -> User:
    """`admin`, `operator`, `viewer` or `agent:<node>`, with the groups that the fixed roles go by."""
    group = AGENTS if name.startswith("agent:") else GROUPS.get(name)
    return User(name, (group, AUTHENTICATED) if group else (AUTHENTICATED,))


class Authenticator:
    """Looks tokens up; `authenticate` is for requests, `lookup` for TokenReview."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._users = {token: user_named(name) for name, token in tokens.items()}

    @classmethod
    def from_file(cls, path: Path) -> Authenticator:
        """`{"admin": "<token>", …}`."""
        try:
            tokens = json.loads(path.read_text())
            if not isinstance(tokens, dict) or not all(isinstance(token, str) for token in tokens.values()):
                raise ValueError("not an object of names to tokens")
        except (OSError, ValueError) as error:
            fix = "run prepare() on the state directory, or remove the file to have new tokens made"
            raise TokenFileError(f"{path} cannot be read", str(error), fix) from error
        return cls(tokens)

    def lookup(self, token: str) -> User | None:
        return self._users.get(token)

    def authenticate(self, header: str) -> User:
        """From an Authorization header; 401 when it is missing or unknown."""
        scheme, _, token = header.partition(" ")
        user = self._users.get(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise unauthorized()
        return user
