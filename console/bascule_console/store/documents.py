"""API objects as a person writes them, and the difference of two of them by lines of YAML. Pure."""

from __future__ import annotations

import difflib
from typing import Any

import yaml

from bascule_console.store.inventory import Object

SERVER_METADATA = ("managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink")


def portable(obj: Object) -> dict[str, Any]:
    """The object as one would write it: without status and what the server fills in. Shares its parts with `obj`."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in SERVER_METADATA}
    return {key: metadata if key == "metadata" else value for key, value in obj.items() if key != "status"}


def diff(before: Object | None, after: Object | None, label: str, words: tuple[str, str] = ("live", "new")) -> str:
    """Unified diff of the two, `portable`, "" when they are equal; `words` head its two sides."""
    old, new = (as_yaml(obj, sort=True).splitlines() if obj is not None else [] for obj in (before, after))
    before_word, after_word = words
    lines = difflib.unified_diff(old, new, f"{before_word}/{label}", f"{after_word}/{label}", lineterm="", n=3)
    return "\n".join(lines)


def as_yaml(obj: Object, *, sort: bool = False) -> str:
    """The object, `portable`, as YAML; in its own order unless `sort`."""
    return yaml.safe_dump(portable(obj), sort_keys=sort, default_flow_style=False, allow_unicode=False)
