"""Refusals as Kubernetes says them: ApiError carries a code, a reason and details, and becomes a Status body.

Wording follows kube-apiserver (k8s.io/apimachinery pkg/api/errors and pkg/util/validation/field), because clients
and people match on it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bascule.errors import BasculeError

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class ApiError(BasculeError):
    """A request that is answered with a Status of `code` and `reason`."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details or {}
        self.metadata: dict[str, Any] = {}

    def status(self) -> dict[str, Any]:
        """The Status body, as metav1.Status."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }


@dataclass(frozen=True)
class FieldError:
    """One complaint about one field; `body` is the text without the path."""

    reason: str
    field: str
    body: str

    def __str__(self) -> str:
        return f"{self.field}: {self.body}" if self.field else self.body


def show(value: Any) -> str:
    """A value as it stands in a message: JSON, cut at 200 characters."""
    text = json.dumps(value)
    return text if len(text) <= 200 else text[:197] + "..."


def invalid_value(field: str, value: Any, detail: str) -> FieldError:
    return FieldError("FieldValueInvalid", field, f"Invalid value: {show(value)}: {detail}")


def required(field: str, detail: str = "") -> FieldError:
    return FieldError("FieldValueRequired", field, "Required value" + (f": {detail}" if detail else ""))


def unsupported(field: str, value: Any, choices: Sequence[Any]) -> FieldError:
    names = ", ".join(show(choice) for choice in choices)
    return FieldError("FieldValueNotSupported", field, f"Unsupported value: {show(value)}: supported values: {names}")


def forbidden_field(field: str, detail: str) -> FieldError:
    return FieldError("FieldValueForbidden", field, f"Forbidden: {detail}")


def invalid(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> ApiError:
    """422 Invalid with one cause per field."""
    texts = [str(error) for error in errors]
    text = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    what = f"{kind}.{group}" if group else kind
    causes = [{"reason": e.reason, "message": e.body, "field": e.field} for e in errors]
    details = {"name": name, "group": group, "kind": kind, "causes": causes}
    return ApiError(422, "Invalid", f'{what} "{name}" is invalid: {text}', _kept(details))


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def not_found(group: str, plural: str, name: str) -> ApiError:
    what = f"{plural}.{group}" if group else plural
    return ApiError(404, "NotFound", f'{what} "{name}" not found', _details(group, plural, name))


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(group: str, plural: str, name: str) -> ApiError:
    what = f"{plural}.{group}" if group else plural
    return ApiError(409, "AlreadyExists", f'{what} "{name}" already exists', _details(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str = MODIFIED) -> ApiError:
    what = f"{plural}.{group}" if group else plural
    message = f'Operation cannot be fulfilled on {what} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(group, plural, name))


def forbidden(group: str, plural: str, name: str, why: str) -> ApiError:
    what = f"{plural}.{group}" if group else plural
    named = f'{what} "{name}"' if name else what
    return ApiError(403, "Forbidden", f"{named} is forbidden: {why}", _details(group, plural, name))


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def not_offered(what: str) -> ApiError:
    return ApiError(501, "NotImplemented", f"{what} is not offered by the lab's API (docs/lab-api.md)")


def expired(message: str, token: str = "") -> ApiError:
    """410; `token` is a list's fresh continue, to go on with an inconsistent rest."""
    error = ApiError(410, "Expired", message)
    if token:
        error.metadata["continue"] = token
    return error


def unsupported_media(accepted: Sequence[str]) -> ApiError:
    text = ", ".join(accepted)
    message = f"the body of the request was in an unknown format - accepted media types include: {text}"
    return ApiError(415, "UnsupportedMediaType", message)


def _details(group: str, plural: str, name: str) -> dict[str, Any]:
    return _kept({"name": name, "group": group, "kind": plural})


def _kept(details: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in details.items() if value}
