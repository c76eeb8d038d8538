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
_MANAGER_CHARS = 128


@dataclass
class WriteOptions:
    """`validation` is Strict, Warn or Ignore; `warnings` collects what the answer's Warning headers will say.

    `manager` is who owns the fields written; `force` lets an apply take them from others.
    """

    dry_run: bool = False
    validation: str = "Warn"
    manager: str = "bascule-lab"
    force: bool = False
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
    initial: bool = False


def write_options(query: Query, kind_name: str, agent: str = "") -> WriteOptions:
    """`kind_name` is CreateOptions, UpdateOptions or PatchOptions; `agent` is the User-Agent, a manager by default."""
    dry_run = dry_run_of(query.get("dryRun", ""), kind_name)
    validation = query.get("fieldValidation") or "Warn"
    if validation not in ("Strict", "Warn", "Ignore"):
        error = unsupported("fieldValidation", validation, ["Ignore", "Strict", "Warn"])
        raise invalid(_META, kind_name, "", [error])
    manager = query.get("fieldManager") or agent.partition("/")[0][:_MANAGER_CHARS] or "unknown"
    errors = []
    if len(manager) > _MANAGER_CHARS:
        text = f"Too long: may not be more than {_MANAGER_CHARS} bytes"
        errors.append(FieldError("FieldValueTooLong", "fieldManager", text))
    elif not manager.isprintable():
        errors.append(invalid_value("fieldManager", manager, "should only contain printable characters"))
    if errors:
        raise invalid(_META, kind_name, "", errors)
    return WriteOptions(dry_run, validation, manager)


def dry_run_of(value: str, kind_name: str) -> bool:
    """True for `All`, False for nothing."""
    if value not in ("", "All"):
        raise invalid(_META, kind_name, "", [unsupported("dryRun", value, ["All"])])
    return value == "All"


def apply_options(query: Query, is_apply: bool) -> bool:
    """Whether to force; an apply names its field manager, and `force` belongs to apply alone."""
    errors: list[FieldError] = []
    if is_apply and not query.get("fieldManager"):
        errors.append(required("fieldManager", "is required for apply patch"))
    if not is_apply and "force" in query:
        errors.append(forbidden_field("force", "may not be specified for non-apply patch"))
    if errors:
        raise invalid(_META, "PatchOptions", "", errors)
    return truth(query, "force")


def list_options(query: Query, kind: Kind) -> ListOptions:
    """For list, watch and deletecollection."""
    initial = truth(query, "sendInitialEvents")
    match = query.get("resourceVersionMatch", "")
    version = _number(query, "resourceVersion")
    if match not in ("", "Exact", "NotOlderThan") or (match and version is None and not initial):
        choices = ["Exact", "NotOlderThan"]
        error = unsupported("resourceVersionMatch", match, choices)
        if match in choices:
            error = forbidden_field("resourceVersionMatch", "is forbidden unless resourceVersion is provided")
        raise invalid(_META, "ListOptions", "", [error])
    _check_initial(query, match)
    return ListOptions(
        selector=parse(query.get("labelSelector", ""), query.get("fieldSelector", ""), kind.selectable),
        limit=_number(query, "limit") or 0,
        token=query.get("continue", ""),
        version=version,
        exact=match == "Exact",
        timeout=_number(query, "timeoutSeconds"),
        bookmarks=truth(query, "allowWatchBookmarks"),
        initial=initial,
    )


def _check_initial(query: Query, match: str) -> None:
    """sendInitialEvents belongs to watches, with resourceVersionMatch=NotOlderThan (apimachinery's validation)."""
    if "sendInitialEvents" not in query:
        return
    errors = []
    if not truth(query, "watch"):
        errors.append(forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    elif match != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        errors.append(forbidden_field("resourceVersionMatch", text))
    if errors:
        raise invalid(_META, "ListOptions", "", errors)


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
