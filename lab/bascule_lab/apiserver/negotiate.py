"""Media types: JSON out; JSON or YAML in; which patches are understood."""

from __future__ import annotations

from bascule_lab.apiserver.patch import APPLY, MERGE
from bascule_lab.apiserver.status import ApiError, unsupported_media

_BODIES = ("application/json", "application/yaml")


def accept_json(header: str) -> None:
    """406 unless the client takes plain JSON; Tables and metadata-only forms are a later issue."""
    if not header:
        return
    for offer in header.split(","):
        media, *parameters = (part.strip().lower() for part in offer.split(";"))
        plain = not any(parameter.startswith("as=") for parameter in parameters)
        if media in ("*/*", "application/*", "application/json") and plain:
            return
    message = "only the following media types are accepted: application/json"
    raise ApiError(406, "NotAcceptable", message)


def body_is_yaml(header: str) -> bool:
    """415 for bodies that are neither JSON nor YAML (kubectl's protobuf, forms)."""
    media = media_type(header)
    if media not in ("", *_BODIES):
        raise unsupported_media(_BODIES)
    return media == "application/yaml"


def patch_type(header: str) -> str:
    """The patch's media type; 415 for JSON patch and strategic merge patch, which are not implemented."""
    media = media_type(header)
    if media not in (MERGE, APPLY):
        raise unsupported_media((MERGE, APPLY))
    return media


def media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()
