"""Tokens of service accounts: what POST …/serviceaccounts/NAME/token answers, and how such a token is read again.

Signed JSON web tokens (HS256) with a key that lives in the state directory: they survive a restart, end at their time,
and die with their account, because the account's uid is in them.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from bascule_lab.apiserver import jwt
from bascule_lab.apiserver.authn import User, account_user
from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.builtin import TOKEN_REQUEST
from bascule_lab.apiserver.meta import identify
from bascule_lab.apiserver.schema import validate
from bascule_lab.apiserver.status import invalid, invalid_value
from bascule_lab.apiserver.store import Record, Store

ISSUER = "https://kubernetes.default.svc.cluster.local"
_SHORTEST, _LONGEST, _DEFAULT = 600, 2**32, 3600
_ACCOUNTS = "serviceaccounts"
_CLAIMS = "kubernetes.io"
_SPEC = {
    "type": "object",
    "properties": {
        "audiences": {"type": "array", "nullable": True, "items": {"type": "string"}},
        "expirationSeconds": {"type": "integer", "nullable": True},
    },
}


class AccountTokens:
    """Mints and reads the tokens of one store's service accounts."""

    def __init__(self, store: Store, key: bytes) -> None:
        self._store = store
        self._key = key

    def request(self, record: Record, document: Document) -> Document:
        """A TokenRequest with its status. ApiError 400 or 422."""
        identify(TOKEN_REQUEST, document, record.key[1])
        spec = document.get("spec") or {}
        errors = validate(_SPEC, spec, "spec")
        seconds = spec.get("expirationSeconds") if isinstance(spec, dict) else None
        if not errors and seconds is not None and not _SHORTEST <= seconds <= _LONGEST:
            errors = [
                invalid_value("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
            ]
        if errors:
            raise invalid(TOKEN_REQUEST.group, TOKEN_REQUEST.kind, "", errors)
        ends = int(time.time()) + int(seconds or _DEFAULT)
        audiences = spec.get("audiences") or [ISSUER]
        document["spec"] = {**spec, "audiences": audiences, "expirationSeconds": int(seconds or _DEFAULT)}
        stamp = datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        document["status"] = {"token": self._mint(record, audiences, ends), "expirationTimestamp": stamp}
        return document

    def _mint(self, record: Record, audiences: list[str], ends: int) -> str:
        _, namespace, name = record.key
        claims = {
            "iss": ISSUER,
            "aud": audiences,
            "iat": int(time.time()),
            "exp": ends,
            "sub": f"system:serviceaccount:{namespace}:{name}",
            _CLAIMS: {"namespace": namespace, "serviceaccount": {"name": name, "uid": record.uid}},
        }
        return jwt.seal(claims, self._key)

    def user(self, token: str) -> User | None:
        """The account that a token stands for; None for a foreign, ended or orphaned one."""
        claims = jwt.unseal(token, self._key)
        if claims is None or claims["exp"] < time.time() or ISSUER not in claims["aud"]:
            return None
        about = claims[_CLAIMS]
        namespace, name, uid = about["namespace"], about["serviceaccount"]["name"], about["serviceaccount"]["uid"]
        record = self._store.get((_ACCOUNTS, namespace, name))
        return account_user(namespace, name, uid) if record is not None and record.uid == uid else None
