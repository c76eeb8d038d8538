"""Media types: JSON out, in three forms; JSON or YAML in; which patches are understood."""

from __future__ import annotations

from enum import Enum

from bascule_lab.apiserver.patch import APPLY, JSON_PATCH, MERGE, STRATEGIC
from bascule_lab.apiserver.status import ApiError, unsupported_media

_BODIES = ("application/json", "application/yaml")


class Form(Enum):
    """How objects are shown: whole, as rows of a table, or with their metadata alone."""

    PLAIN = "plain"
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"


_FORMS = {"Table": Form.TABLE, "PartialObjectMetadata": Form.METADATA, "PartialObjectMetadataList": Form.METADATA}


def wanted_form(header: str) -> Form:
    """The first form in an Accept header that is served; 406 when there is none."""
    if not header:
        return Form.PLAIN
    for offer in header.split(","):
        media, *parameters = (part.strip() for part in offer.split(";"))
        if media.lower() not in ("*/*", "application/*", "application/json"):
            continue
        given = dict(parameter.partition("=")[::2] for parameter in parameters)
        if "as" not in given:
            return Form.PLAIN
        if given.get("g") == "meta.k8s.io" and given.get("v") == "v1" and given["as"] in _FORMS:
            return _FORMS[given["as"]]
    message = "only the following media types are accepted: application/json"
    raise ApiError(406, "NotAcceptable", message)


def wants_aggregated(header: str) -> bool:
    """Whether discovery is asked for in its aggregated form, before any other JSON."""
    first = header.split(",")[0].replace(" ", "")
    return set(first.split(";")) >= {"application/json", "g=apidiscovery.k8s.io", "v=v2", "as=APIGroupDiscoveryList"}


def body_is_yaml(header: str) -> bool:
    """415 for bodies that are neither JSON nor YAML (kubectl's protobuf, forms)."""
    media = media_type(header)
    if media not in ("", *_BODIES):
        raise unsupported_media(_BODIES)
    return media == "application/yaml"


def patch_type(header: str, custom: bool) -> str:
    """The patch's media type; 415 for others, and for a strategic merge patch of a custom resource."""
    media = media_type(header)
    accepted = (JSON_PATCH, MERGE, APPLY) if custom else (JSON_PATCH, MERGE, STRATEGIC, APPLY)
    if media not in accepted:
        raise unsupported_media(accepted)
    return media


def media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()
