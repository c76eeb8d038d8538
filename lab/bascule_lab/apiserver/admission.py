"""What a document must pass before it is stored: its schema, its kind's hook, CEL rules and admission policies."""

from __future__ import annotations

from bascule_lab.apiserver import crds, meta, policies, rules, schema
from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.builtin import CRDS
from bascule_lab.apiserver.hooks import HOOKS
from bascule_lab.apiserver.kinds import Kind
from bascule_lab.apiserver.options import WriteOptions
from bascule_lab.apiserver.status import FieldError, bad_request, invalid
from bascule_lab.apiserver.store import Store


class Admission:
    """Checks and completes documents in place."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def prune(self, kind: Kind, document: Document, options: WriteOptions, patching: bool) -> None:
        """Take out what the schema does not know, telling the client as it asked to be told."""
        unknown = schema.prune(kind.root, document)
        if unknown and options.validation != "Ignore":
            _unknown(kind, unknown, options, patching)
        schema.drop_nulls(kind.root, document)

    def admit(self, kind: Kind, new: Document, old: Document | None, options: WriteOptions, patching: bool) -> None:
        """Raises ApiError 422 with every complaint, 400 for unknown fields under Strict."""
        unknown = schema.prune(kind.root, new)
        if unknown and options.validation != "Ignore":
            _unknown(kind, unknown, options, patching)
        schema.set_defaults(kind.root, new)
        schema.drop_nulls(kind.root, new)
        own, was = new["metadata"], old["metadata"] if old else None
        errors = meta.check(kind, own, was) + schema.validate(kind.root, new)
        hook = HOOKS.get(kind.resource)
        if hook and not errors:
            errors = hook(new, old)
        if not errors:
            errors = list(rules.check(kind.schema, new, old if old is not None else rules.MISSING))
        if errors:
            raise invalid(kind.group, kind.kind, own["name"], errors)
        policies.admit(self._store, kind, new, old, options)
        if kind.resource == CRDS:
            options.warnings += crds.warnings(new)
        if kind.unchecked:
            text = "; ".join(kind.unchecked)
            options.warnings.append(f"validation rules of {kind.resource} not evaluated by the lab: {text}")


def _unknown(kind: Kind, unknown: list[str], options: WriteOptions, patching: bool) -> None:
    texts = [f'unknown field "{path}"' for path in unknown]
    if options.validation == "Warn":
        options.warnings += texts
        return
    text = f"strict decoding error: {', '.join(texts)}"
    if patching:
        raise invalid("", "", "", [FieldError("FieldValueInvalid", "patch", f"Invalid value: {text}")])
    raise bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {text}')
