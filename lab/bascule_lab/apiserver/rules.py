"""The CEL rules that matter here, as named Python validators found by the rule's exact text.

CEL itself is a later issue. Until then a CRD's `x-kubernetes-validations` work when their text stands in RULES (those
of deploy/crds do); every other rule is named by `unchecked` and told to the client in a Warning header, never skipped
silently. Rules run only on objects whose structure is valid, and transition rules (oldSelf) only on updates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bascule_lab.apiserver.kinds import Schema
from bascule_lab.apiserver.schema import children, join
from bascule_lab.apiserver.status import FieldError

MISSING: Any = object()
_WORD = "x-kubernetes-validations"


def range_in_order(self: Any, _old: Any) -> bool:
    """A VLAN range does not run backwards."""
    return bool(self["start"] <= self["end"])


def not_calicos_bridge(self: Any, _old: Any) -> bool:
    """`calb-` and `calq-` devices belong to Calico; a user's bridge has another name."""
    return not self.startswith(("calb-", "calq-"))


def same_presence(field: str) -> Callable[[Any, Any], bool]:
    """`field` is neither added nor removed by an update: a Network's type never changes."""

    def check(self: Any, old: Any) -> bool:
        return (field in self) == (field in old)

    return check


def unchanged(self: Any, old: Any) -> bool:
    """The value is immutable."""
    return bool(self == old)


def l2_alone(self: Any, _old: Any) -> bool:
    """L2Workload cannot be combined with another use of a pool."""
    return "L2Workload" not in self.get("allowedUses", []) or len(self["allowedUses"]) == 1


def l2_not_exported(self: Any, _old: Any) -> bool:
    """An L2 pool is never advertised over BGP."""
    return "L2Workload" not in self.get("allowedUses", []) or self.get("disableBGPExport") is True


def l2_no_overlay(self: Any, _old: Any) -> bool:
    """An L2 pool has no IPIP or VXLAN."""
    modes = (self.get("ipipMode", "Never"), self.get("vxlanMode", "Never"))
    return "L2Workload" not in self.get("allowedUses", []) or modes == ("Never", "Never")


_L2 = "!has(self.allowedUses) || !self.allowedUses.exists(u, u == 'L2Workload') || "
RULES: dict[str, Callable[[Any, Any], bool]] = {
    "self.start <= self.end": range_in_order,
    "!self.startsWith('calb-') && !self.startsWith('calq-')": not_calicos_bridge,
    "has(self.vrf) == has(oldSelf.vrf)": same_presence("vrf"),
    "has(self.l2Bridge) == has(oldSelf.l2Bridge)": same_presence("l2Bridge"),
    "self == oldSelf": unchanged,
    _L2 + "self.allowedUses.size() == 1": l2_alone,
    _L2 + "(has(self.disableBGPExport) && self.disableBGPExport)": l2_not_exported,
    _L2
    + "((!has(self.ipipMode) || self.ipipMode == 'Never') && (!has(self.vxlanMode) || self.vxlanMode == 'Never'))": (
        l2_no_overlay
    ),
}


def check(schema: Schema, value: Any, old: Any = MISSING, path: str = "") -> Iterator[FieldError]:
    """Complaints of the known rules at `value` and below; lists have no old values here (they are atomic)."""
    for rule in schema.get(_WORD, ()):
        validator = RULES.get(rule.get("rule", ""))
        transition = "oldSelf" in rule["rule"]
        if validator is None or value is None or (transition and (old is MISSING or old is None)):
            continue
        if not _holds(validator, value, old):
            message = rule.get("message") or f"failed rule: {rule['rule']}"
            where = join(path, rule["fieldPath"].lstrip(".")) if rule.get("fieldPath") else path
            what = '"object"' if isinstance(value, dict) else repr(value)
            yield FieldError(rule.get("reason", "FieldValueInvalid"), where, f"Invalid value: {what}: {message}")
    for where, below, item in children(schema, value, path):
        name = where[len(path) :].lstrip(".")
        before = old.get(name, MISSING) if isinstance(old, dict) and isinstance(value, dict) else MISSING
        yield from check(below, item, before, where)


def _holds(validator: Callable[[Any, Any], bool], value: Any, old: Any) -> bool:
    try:
        return validator(value, old)
    except (KeyError, TypeError, AttributeError):  # a foreign schema uses the text on another shape: CEL fails too
        return False


def unchecked(schema: Any, path: str = "") -> Iterator[str]:
    """Every rule under a schema that RULES does not know, as `path: text`."""
    if not isinstance(schema, dict):
        return
    for rule in schema.get(_WORD) or ():
        text = rule.get("rule", "") if isinstance(rule, dict) else ""
        if text not in RULES:
            yield f"{path or '<root>'}: {text}"
    for name, below in (schema.get("properties") or {}).items():
        yield from unchecked(below, join(path, name))
    yield from unchecked(schema.get("items"), f"{path}[*]")
    yield from unchecked(schema.get("additionalProperties"), f"{path}[*]")
