"""Objects in the forms that a client may ask for instead of the whole: rows of a Table, or metadata alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bascule_lab.apiserver.body import Document, encode
from bascule_lab.apiserver.kinds import Kind
from bascule_lab.apiserver.negotiate import Form
from bascule_lab.apiserver.status import FieldError, invalid, unsupported
from bascule_lab.apiserver.table.columns import columns

_META = "meta.k8s.io/v1"
INCLUDES = ("None", "Metadata", "Object")


class Renderer:
    """Turns encoded objects of one kind into one form; `include` is a Table's includeObject."""

    def __init__(self, kind: Kind, form: Form, include: str) -> None:
        self._form = form
        self._include = include or "Metadata"
        self._columns = columns(kind) if form is Form.TABLE else []
        self._first = True
        if self._include not in INCLUDES:
            errors: list[FieldError] = [unsupported("includeObject", include, list(INCLUDES))]
            raise invalid("meta.k8s.io", "TableOptions", "", errors)

    def one(self, body: bytes) -> bytes:
        """A single object; a watch's tables name their columns only in the first event, as kube-apiserver's."""
        document: Document = json.loads(body)
        if self._form is Form.METADATA:
            return encode(_metadata(document))
        meta = {"resourceVersion": document["metadata"].get("resourceVersion", "")}
        table = self._table([document], meta, named=self._first)
        self._first = False
        return encode(table)

    def bookmark(self, document: Document) -> bytes:
        """A watch's bookmark in this form."""
        if self._form is Form.METADATA:
            return encode(_metadata(document))
        return encode(self._table([], document["metadata"], named=False))

    def many(self, bodies: Sequence[bytes], meta: dict[str, Any]) -> bytes:
        """A list's answer; `meta` is its ListMeta."""
        documents = [json.loads(body) for body in bodies]
        if self._form is Form.TABLE:
            return encode(self._table(documents, meta, named=True))
        items = [_metadata(document) for document in documents]
        head = {"kind": "PartialObjectMetadataList", "apiVersion": _META, "metadata": meta}
        return encode({**head, "items": items})

    def _table(self, documents: list[Document], meta: dict[str, Any], named: bool) -> Document:
        return {
            "kind": "Table",
            "apiVersion": _META,
            "metadata": meta,
            "columnDefinitions": [column.definition() for column in self._columns] if named else [],
            "rows": [self._row(document) for document in documents],
        }

    def _row(self, document: Document) -> Document:
        row: Document = {"cells": [column.cell(document) for column in self._columns]}
        if self._include == "Metadata":
            row["object"] = _metadata(document)
        elif self._include == "Object":
            row["object"] = document
        return row


def _metadata(document: Document) -> Document:
    return {"kind": "PartialObjectMetadata", "apiVersion": _META, "metadata": document["metadata"]}


def renderer(kind: Kind, form: Form, include: str) -> Renderer | None:
    """None for whole objects, which need no work at all."""
    return None if form is Form.PLAIN else Renderer(kind, form, include)
