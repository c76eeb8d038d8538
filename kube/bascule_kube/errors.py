"""What can go wrong between Bascule and an API server, one class per way to react.

KubeError
├── KubeconfigError   exit 2   the file that names the cluster
├── CredentialError   exit 4   an exec plugin that gave no credential
├── Unreachable       exit 3   no answer, a broken connection, an overloaded or failing server
└── ApiError          exit 1   the server answered no: NotFound, Conflict (AlreadyExists), Gone
    ├── Invalid, BadRequest, NotServed   exit 2
    └── Unauthorized, Forbidden          exit 4
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bascule.errors import BasculeError, RefusedError, UnreachableError, UsageError


class KubeError(BasculeError):
    """The root of this package's errors."""


class KubeconfigError(KubeError, UsageError):
    """A kubeconfig that is missing, malformed, or lacks the context."""


class CredentialError(KubeError, RefusedError):
    """An exec credential plugin failed."""


class Unreachable(KubeError, UnreachableError):
    """No usable answer: refused, reset, timed out, TLS, or a 429/5xx. `status` is 0 without an HTTP answer."""

    def __init__(
        self, message: str, cause: str = "", fix: str = "", status: int = 0, retry_after: float | None = None
    ) -> None:
        super().__init__(message, cause, fix)
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of Status.details.causes: the field (a path like spec.l2Bridge.vlans[0]) and what is wrong with it."""

    field: str
    message: str
    reason: str = ""


class ApiError(KubeError):
    """The server answered with a Status of failure. `status` is the HTTP code, `reason` the Status's reason."""

    def __init__(
        self, message: str, status: int, reason: str = "", causes: tuple[Cause, ...] = (), fix: str = ""
    ) -> None:
        super().__init__(message, "; ".join(_cause_text(cause) for cause in causes), fix)
        self.status = status
        self.reason = reason
        self.causes = causes


class NotFound(ApiError):
    """404: the object, or its kind, is not there."""


class Conflict(ApiError):
    """409: someone else changed the object, or owns the field."""


class AlreadyExists(Conflict):
    """409 AlreadyExists: create found an object of that name."""


class Gone(ApiError):
    """410: the resourceVersion or continue token is too old; list again."""


class BadRequest(ApiError, UsageError):
    """400, 415: the request or document is malformed."""


class Invalid(ApiError, UsageError):
    """422: the document breaks its schema or a rule; `causes` name the fields."""


class NotServed(ApiError, UsageError):
    """The cluster does not serve this kind (its CRD is not installed)."""


class Unauthorized(ApiError, RefusedError):
    """401: the credential is missing, wrong or expired."""


class Forbidden(ApiError, RefusedError):
    """403: RBAC says no."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    415: BadRequest,
    422: Invalid,
}
_FIX: dict[type[ApiError], str] = {
    Unauthorized: "sign in again, or choose another user with --context",
    Forbidden: "ask for the right, or choose another user with --context",
    Gone: "list again",
}


def from_status(status: int, body: bytes, retry_after: str | None = None) -> KubeError:
    """The error for an HTTP answer >= 400; `body` is a Status object or anything else a proxy may send."""
    try:
        document: Any = json.loads(body)
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    message = str(document.get("message") or "") or f"HTTP {status}: {body[:200].decode('utf-8', 'replace').strip()}"
    if status == 429 or status >= 500:
        seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
        return Unreachable(
            f"the API server cannot serve this now: {message}",
            f"HTTP {status}",
            "try again; look at the API server's log",
            status=status,
            retry_after=seconds,
        )
    reason = str(document.get("reason") or "")
    cls = AlreadyExists if reason == "AlreadyExists" else _BY_STATUS.get(status, ApiError)
    return cls(message, status, reason, _causes(document), _FIX.get(cls, ""))


def _causes(document: dict[str, Any]) -> tuple[Cause, ...]:
    details = document.get("details")
    entries = details.get("causes") if isinstance(details, dict) else None
    return tuple(
        Cause(str(entry.get("field") or ""), str(entry.get("message") or ""), str(entry.get("reason") or ""))
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict)
    )


def _cause_text(cause: Cause) -> str:
    return f"{cause.field}: {cause.message}" if cause.field else cause.message
