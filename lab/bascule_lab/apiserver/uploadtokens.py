"""CDI's aggregated API in the lab's: an UploadTokenRequest is answered at once and never stored.

A token is for one claim, for five minutes and, stricter than CDI's, for one upload, so that a client that tries again
is seen to ask again. After pkg/apiserver and pkg/token of kubevirt/containerized-data-importer.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass

from bascule_lab.apiserver import jwt
from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.kinds import Kind, Schema
from bascule_lab.apiserver.meta import identify
from bascule_lab.apiserver.schema import validate
from bascule_lab.apiserver.status import invalid

ISSUER = "cdi-apiserver"
LIFETIME_S = 300
LEEWAY_S = 10
_SPEC: Schema = {"type": "object", "required": ["pvcName"], "properties": {"pvcName": {"type": "string"}}}
UPLOAD_TOKEN_REQUEST = Kind(
    "upload.cdi.kubevirt.io",
    "v1beta1",
    "uploadtokenrequests",
    "UploadTokenRequest",
    True,
    {"type": "object", "properties": {"spec": _SPEC, "status": {"type": "object"}}},
    short_names=("utr", "utrs"),
    verbs=("create",),
)


@dataclass(frozen=True)
class Leave:
    """What a token allows: to fill one claim; `number` is the token's own."""

    namespace: str
    claim: str
    number: str


class UploadTokens:
    """Gives and reads upload tokens; `account_key` is the API server's, from which their own key is made."""

    def __init__(self, account_key: bytes) -> None:
        self._key = hmac.new(account_key, ISSUER.encode(), hashlib.sha256).digest()

    def request(self, document: Document, namespace: str) -> Document:
        """An UploadTokenRequest with its status. ApiError 400 or 422."""
        identify(UPLOAD_TOKEN_REQUEST, document, namespace)
        errors = validate(_SPEC, document.get("spec") or {}, "spec")
        if errors:
            raise invalid(UPLOAD_TOKEN_REQUEST.group, UPLOAD_TOKEN_REQUEST.kind, "", errors)
        stamp = int(time.time())
        claims = {
            "iss": ISSUER,
            "iat": stamp,
            "exp": stamp + LIFETIME_S,
            "jti": secrets.token_hex(8),
            "operation": "Upload",
            "name": document["spec"]["pvcName"],
            "namespace": namespace,
            "resource": {"group": "", "version": "v1", "resource": "persistentvolumeclaims"},
        }
        document["status"] = {"token": jwt.seal(claims, self._key)}
        return document

    def leave(self, token: str) -> Leave | None:
        """What a token allows now; None for a foreign or an old one."""
        claims = jwt.unseal(token, self._key)
        if claims is None or claims["exp"] + LEEWAY_S < time.time():
            return None
        return Leave(claims["namespace"], claims["name"], claims["jti"])
