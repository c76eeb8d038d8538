"""JSON web tokens signed with HS256: the little of RFC 7515 and 7519 that the lab's own tokens need."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

from bascule_lab.apiserver.body import encode


def seal(claims: dict[str, Any], key: bytes) -> str:
    """The token that says `claims`."""
    text = f"{_to_text(encode({'alg': 'HS256', 'typ': 'JWT'}))}.{_to_text(encode(claims))}"
    return f"{text}.{_to_text(_sign(text, key))}"


def unseal(token: str, key: bytes) -> dict[str, Any] | None:
    """The claims of a token that this key has sealed, else None. Whether they still hold is the caller's to ask."""
    text, _, signature = token.rpartition(".")
    try:
        if not hmac.compare_digest(_sign(text, key), _to_bytes(signature)):
            return None
        claims: dict[str, Any] = json.loads(_to_bytes(text.partition(".")[2]))
    except (ValueError, binascii.Error):
        return None
    return claims


def _sign(text: str, key: bytes) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _to_text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _to_bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
