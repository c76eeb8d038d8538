"""Query parameters of writes, lists and watches: parsed once, refused in Kubernetes' words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bascule_lab.apiserver.kinds import Kind
from bascule_lab.apiserver.selectors import Selector, parse
from bascule_lab.apiserver.status import (
    ApiError,
    FieldError,
    bad_request,
    forbidden_field,
    invalid,
    invalid_value,
    required,
    unsupported,
)

Query = Mapping[str, str]
_META = "meta.k8s.io"
_MAX = 2**63


@dataclass
class WriteOptions:
    """`validation` is Strict, Warn or Ignore; `warnings` collects what the answer's Warning headers will say."""

    dry_run: bool = False
    validation: str = "Warn"
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ListOptions:
    """`version` is the resourceVersion asked for (None: unset); `timeout` in seconds, None when unset."""

    selector: Selector
    limit: int = 0
    token: str = ""
    version: int | None = None
    exact: bool = False
    timeout: int | None = None
    bookmarks: bool = False


def write_options(query: Query, kind_name: str) -> WriteOptions:
    """From `dryRun`, `fieldValidation`; `kind_name` is CreateOptions, UpdateOptions or PatchOptions."""
    dry_run = dry_run_of(query.get("dryRun", ""), kind_name)
    validation = query.get("fieldValidation") or "Warn"
    if validation not in ("Strict", "Warn", "Ignore"):
        error = unsupported("fieldValidation", validation, ["Ignore", "Strict", "Warn"])
        raise invalid(_META, kind_name, "", [error])
    return WriteOptions(dry_run, validation)


def dry_run_of(value: str, kind_name: str) -> bool:
    """True for `All`, False for nothing."""
    if value not in ("", "All"):
        raise invalid(_META, kind_name, "", [unsupported("dryRun", value, ["All"])])
    return value == "All"


def apply_options(query: Query, is_apply: bool) -> None:
    """An apply names its field manager; `force` belongs to apply alone."""
    errors: list[FieldError] = []
    if is_apply and not query.get("fieldManager"):
        errors.append(required("fieldManager", "is required for apply patch"))
    if not is_apply and "force" in query:
        errors.append(forbidden_field("force", "may not be specified for non-apply patch"))
    if errors:
        raise invalid(_META, "PatchOptions", "", errors)


def list_options(query: Query, kind: Kind) -> ListOptions:
    """For list, watch and deletecollection."""
    if "sendInitialEvents" in query:
        text = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
        raise invalid(_META, "ListOptions", "", [forbidden_field("sendInitialEvents", text)])
    match = query.get("resourceVersionMatch", "")
    version = _number(query, "resourceVersion")
    if match not in ("", "Exact", "NotOlderThan") or (match and version is None):
        choices = ["Exact", "NotOlderThan"]
        error = unsupported("resourceVersionMatch", match, choices)
        if match in choices:
            error = forbidden_field("resourceVersionMatch", "is forbidden unless resourceVersion is provided")
        raise invalid(_META, "ListOptions", "", [error])
    return ListOptions(
        selector=parse(query.get("labelSelector", ""), query.get("fieldSelector", ""), kind.selectable),
        limit=_number(query, "limit") or 0,
        token=query.get("continue", ""),
        version=version,
        exact=match == "Exact",
        timeout=_number(query, "timeoutSeconds"),
        bookmarks=truth(query, "allowWatchBookmarks"),
    )


def truth(query: Query, name: str) -> bool:
    """Go's strconv.ParseBool; a bare `?watch` counts as true."""
    if name not in query:
        return False
    value = query[name]
    if value in ("", "1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise bad_request(f'{name}: "{value}" is no boolean')


def _number(query: Query, name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < _MAX):
        raise _not_a_number(name, text)
    return int(text)


def _not_a_number(name: str, text: str) -> ApiError:
    return invalid(_META, "ListOptions", "", [invalid_value(name, text, "must be a decimal number")])
