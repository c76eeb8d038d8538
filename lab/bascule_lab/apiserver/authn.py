"""Who asks: static bearer tokens from the state directory's token file, and tokens of service accounts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bascule.errors import BasculeError
from bascule_lab.apiserver.status import unauthorized

GROUPS = {"admin": "system:masters", "operator": "bascule:operators", "viewer": "bascule:viewers"}
AGENTS = "bascule:agents"
AUTHENTICATED = "system:authenticated"
ACCOUNTS = "system:serviceaccounts"


@dataclass(frozen=True)
class User:
    """An authenticated name and its groups."""

    name: str
    groups: tuple[str, ...]
    uid: str = ""


class TokenFileError(BasculeError):
    """The token file is missing or no JSON object of names to tokens."""


def user_named(name: str) -> User:
    """`admin`, `operator`, `viewer` or `agent:<node>`, with the groups that the seeded roles go by."""
    group = AGENTS if name.startswith("agent:") else GROUPS.get(name)
    return User(name, (group, AUTHENTICATED) if group else (AUTHENTICATED,))


def account_user(namespace: str, name: str, uid: str = "") -> User:
    """A service account as a user."""
    groups = (ACCOUNTS, f"{ACCOUNTS}:{namespace}", AUTHENTICATED)
    return User(f"system:serviceaccount:{namespace}:{name}", groups, uid)


class Authenticator:
    """Looks tokens up; `authenticate` is for requests, `lookup` for TokenReview.

    `accounts` reads tokens of service accounts; the API sets it, because it knows which accounts exist.
    """

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._users = {token: user_named(name) for name, token in tokens.items()}
        self.accounts: Callable[[str], User | None] = lambda token: None

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
        return self._users.get(token) or self.accounts(token)

    def authenticate(self, header: str) -> User:
        """From an Authorization header; 401 when it is missing or unknown."""
        scheme, _, token = header.partition(" ")
        user = self.lookup(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise unauthorized()
        return user
