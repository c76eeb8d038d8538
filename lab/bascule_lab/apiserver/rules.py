"""The CEL rules of CRDs (`x-kubernetes-validations`), evaluated after the structure is found valid.

Transition rules (oldSelf) run on updates, where an old value can be found: fields by name, items of keyed lists by key,
never items of atomic lists. A rule that the library cannot run is named by `unchecked` and told to the client in a
Warning header, never skipped silently.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bascule_lab.apiserver.apply.typed import MISSING, element_of
from bascule_lab.apiserver.cel_values import CelError, bind, cannot_run, evaluate
from bascule_lab.apiserver.kinds import Schema
from bascule_lab.apiserver.schema import children, join, type_name
from bascule_lab.apiserver.status import FieldError

__all__ = ["MISSING", "check", "unchecked"]
_WORD = "x-kubernetes-validations"


def check(schema: Schema, value: Any, old: Any = MISSING, path: str = "") -> Iterator[FieldError]:
    """Complaints of the rules at `value` and below; `old` is MISSING when there is nothing to compare with."""
    if _WORD in schema and value is not None:
        bound = {"self": bind(schema, value)}
        if old is not MISSING and old is not None:
            bound["oldSelf"] = bind(schema, old)
        for rule in schema[_WORD]:
            error = _fails(rule, bound, value, path)
            if error is not None:
                yield error
    for where, below, item in children(schema, value, path):
        yield from check(below, item, _old_item(schema, old, item, where[len(path) :]), where)


def _old_item(schema: Schema, old: Any, item: Any, step: str) -> Any:
    if isinstance(old, dict):
        return old.get(step.removeprefix("."), MISSING)
    if isinstance(old, list) and schema.get("x-kubernetes-list-type") == "map" and isinstance(item, dict):
        wanted = element_of(schema, item)
        return next((was for was in old if isinstance(was, dict) and element_of(schema, was) == wanted), MISSING)
    return MISSING


def _fails(rule: dict[str, Any], bound: dict[str, Any], value: Any, path: str) -> FieldError | None:
    text = rule["rule"]
    if _why_not(rule) or ("oldSelf" not in bound and "oldSelf" in text):
        return None
    try:
        holds = evaluate(text, bound)
        problem = "" if isinstance(holds, bool) else f"rule does not give a boolean: {text}"
    except CelError as error:
        holds, problem = False, f"rule execution error: {error}: {text}"
    if holds is True:
        return None
    message = problem or _message(rule, bound)
    where = join(path, rule["fieldPath"].lstrip(".")) if rule.get("fieldPath") else path
    reason = rule.get("reason", "FieldValueInvalid")
    if reason == "FieldValueForbidden":
        return FieldError(reason, where, f"Forbidden: {message}")
    if reason == "FieldValueRequired":
        return FieldError(reason, where, f"Required value: {message}")
    return FieldError(reason, where, f'Invalid value: "{type_name(value)}": {message}')


def _message(rule: dict[str, Any], bound: dict[str, Any]) -> str:
    expression = rule.get("messageExpression")
    if expression and not cannot_run(expression):
        try:
            said = evaluate(expression, bound)
            if isinstance(said, str) and said.strip() and "\n" not in said:
                return said
        except CelError:
            pass
    return rule.get("message") or f"failed rule: {rule['rule']}"


def _why_not(rule: dict[str, Any]) -> str:
    if rule.get("optionalOldSelf"):
        return "no optional types here"
    return cannot_run(rule.get("rule", ""))


def unchecked(schema: Any, path: str = "") -> Iterator[str]:
    """Every rule under a schema that cannot be run, as `path: text (why)`."""
    if not isinstance(schema, dict):
        return
    for rule in schema.get(_WORD) or ():
        why = _why_not(rule) if isinstance(rule, dict) else ""
        if why:
            yield f"{path or '<root>'}: {rule.get('rule', '')} ({why})"
    for name, below in (schema.get("properties") or {}).items():
        yield from unchecked(below, join(path, name))
    yield from unchecked(schema.get("items"), f"{path}[*]")
    yield from unchecked(schema.get("additionalProperties"), f"{path}[*]")
