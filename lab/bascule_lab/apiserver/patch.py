"""Which kinds of patches there are, and JSON merge patch (RFC 7386)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bascule_lab.apiserver.body import Document, decode
from bascule_lab.apiserver.jsonpatch import apply_patch
from bascule_lab.apiserver.kinds import Kind
from bascule_lab.apiserver.status import bad_request
from bascule_lab.apiserver.strategic import strategic_merge

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
Change = Callable[[Document], Document]


def change_of(kind: Kind, media: str, body: bytes) -> Change:
    """What a patch body does to a document. ApiError 400 for a body of another shape."""
    if media == JSON_PATCH:
        try:
            operations = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise bad_request(f"the body is no JSON patch: {error}") from None
        return lambda document: apply_patch(document, operations)
    patch = decode(body)
    if media == STRATEGIC:
        return lambda document: strategic_merge(document, patch, kind.root)
    return lambda document: _object(merge(document, patch))


def merge(target: Any, patch: Any) -> Any:
    """`patch` merged into `target`, which is changed."""
    if not isinstance(patch, dict):
        return patch
    result = target if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def _object(merged: Any) -> Document:
    assert isinstance(merged, dict), "an object merged into an object"
    return merged
