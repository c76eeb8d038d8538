"""A policy's short form: a few fields and a line for each rule, to a manifest and back. Pure.

What the form cannot say is left to YAML, and `from_policy` names it. A new policy is staged unless somebody says
otherwise: staged first, promoted once its effect was looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from bascule.resources.policy import (
    CALICO,
    EGRESS,
    GLOBAL_POLICY,
    INGRESS,
    NETWORK_POLICY,
    STAGED_GLOBAL,
    STAGED_POLICY,
    STAGES,
)  # fmt: skip
from bascule.resources.read import dig, items, mapping, text
from bascule_console.services.networkform import Mistake
from bascule_console.services.policyrule import RuleError, line_of, parse_line
from bascule_console.store.documents import portable

Obj = dict[str, Any]
STAGED, ENFORCED = "staged", "enforced"
_KINDS = {(True, True): STAGED_POLICY, (True, False): STAGED_GLOBAL, (False, True): NETWORK_POLICY,
          (False, False): GLOBAL_POLICY}  # fmt: skip
_WAYS = (("ingress", INGRESS), ("egress", EGRESS))
FORMABLE = tuple(_KINDS.values())
_FIELDS = ("tier", "order", "selector", "types", "ingress", "egress", "stagedAction")


@dataclass(frozen=True, slots=True)
class PolicyForm:
    """The fields as typed. `namespace` empty is a global policy; `types` empty follows from the rules; `rules` has one
    rule a line (services.policyrule)."""

    name: str = ""
    namespace: str = ""
    tier: str = ""
    order: str = ""
    selector: str = ""
    types: str = ""
    state: str = STAGED
    rules: str = ""


FIELDS = tuple(field.name for field in fields(PolicyForm))


def to_policy(form: PolicyForm, base: Obj | None = None) -> tuple[Obj, list[Mistake]]:
    """The manifest, and what the form itself gets wrong (lint says the rest). `base` is the object being edited."""
    mistakes = [] if form.name.strip() else [Mistake("name", "a policy needs a name")]
    state, namespace = form.state.strip().lower() or STAGED, form.namespace.strip()
    if state not in (STAGED, ENFORCED):
        mistakes.append(Mistake("state", f"{form.state.strip()} is neither {STAGED} nor {ENFORCED}"))
    spec: Obj = {}
    if form.tier.strip():
        spec["tier"] = form.tier.strip()
    order, wrong = _order(form.order.strip())
    if order is not None:
        spec["order"] = order
    if form.selector.strip():
        spec["selector"] = form.selector.strip()
    if types := [word for word in re.split(r"[,\s]+", form.types.strip()) if word]:
        spec["types"] = types
    rules, bad = _rules(form.rules)
    spec |= {
        name: rules[direction] for name, direction in (("ingress", INGRESS), ("egress", EGRESS)) if rules[direction]
    }
    if state == STAGED:
        spec["stagedAction"] = "Set"
    kind = _KINDS[state == STAGED, bool(namespace)]
    metadata = {**(portable(base)["metadata"] if base else {}), "name": form.name.strip()}
    metadata.pop("namespace", None)
    if namespace:
        metadata["namespace"] = namespace
    obj = {"apiVersion": f"{CALICO}/v3", "kind": kind, "metadata": metadata, "spec": spec}
    return obj, [*mistakes, *wrong, *bad]


def from_policy(obj: Mapping[str, Any]) -> tuple[PolicyForm, str]:
    """The form of a policy, and why the form cannot hold all of it ("" when it can)."""
    kind, spec = text(obj.get("kind")), mapping(obj.get("spec"))
    order = spec.get("order")
    form = PolicyForm(
        name=text(dig(obj, "metadata", "name")),
        namespace=text(dig(obj, "metadata", "namespace")),
        tier=text(spec.get("tier")),
        order="" if order is None else f"{order:g}" if isinstance(order, (int, float)) else str(order),
        selector=text(spec.get("selector")),
        types=", ".join(map(str, items(spec.get("types")))),
        state=STAGED if kind in STAGES else ENFORCED,
        rules="\n".join(
            line_of(mapping(rule), direction) for name, direction in _WAYS for rule in items(spec.get(name))
        ),
    )
    if kind not in FORMABLE:
        return form, f"the form has no {kind}"
    if text(spec.get("stagedAction")) not in ("", "Set"):
        return form, f"the form has no stagedAction {spec['stagedAction']}"
    for name, value in spec.items():
        if name not in _FIELDS and value is not None:
            return form, f"the form cannot say spec.{name}"
    again, mistakes = to_policy(form)
    if mistakes:
        return (
            form,
            f"the form cannot say all of rule {mistakes[0].line}: {form.rules.splitlines()[mistakes[0].line - 1]}",
        )
    for name in ("ingress", "egress"):
        for at, (one, two) in enumerate(zip(items(spec.get(name)), items(again["spec"].get(name)), strict=True)):
            if _plain(one) != _plain(two):
                return form, f"the form cannot say spec.{name}[{at}]"
    return form, ""


def field_of(path: str, form: PolicyForm) -> tuple[str, int]:
    """The form's field, and the line in it, that a field path of the manifest (a finding's) is about."""
    rule = re.match(r"spec\.(ingress|egress)(?:\[(\d+)\])?", path)
    if rule:
        way = "in" if rule[1] == "ingress" else "out"
        lines = [at for at, line in enumerate(form.rules.splitlines(), 1) if line.split()[:1] == [way]]
        at = int(rule[2] or 0)
        return "rules", lines[at] if at < len(lines) else 0
    for name in ("tier", "order", "selector", "types"):
        if path.startswith(f"spec.{name}"):
            return name, 0
    if path == "metadata.namespace":
        return "namespace", 0
    return ("state", 0) if path.startswith("spec.stagedAction") else ("name", 0)


def _order(word: str) -> tuple[float | int | None, list[Mistake]]:
    if not word:
        return None, []
    try:
        number = float(word)
    except ValueError:
        return None, [Mistake("order", f"{word} is no number; lower comes first, empty is last")]
    if number != number or number in (float("inf"), float("-inf")):
        return None, [Mistake("order", f"{word} is not finite; leave it empty for the last place")]
    return (int(number) if number.is_integer() else number), []


def _rules(words: str) -> tuple[dict[str, list[Obj]], list[Mistake]]:
    rules: dict[str, list[Obj]] = {INGRESS: [], EGRESS: []}
    mistakes = []
    for number, line in enumerate(words.splitlines(), 1):
        if not line.strip():
            continue
        try:
            direction, rule = parse_line(line)
            rules[direction].append(rule)
        except RuleError as error:
            mistakes.append(Mistake("rules", str(error), number))
    return rules, mistakes


def _plain(rule: Any) -> Any:
    """A rule without what means nothing: absent values, and the spelling of its protocol."""
    if isinstance(rule, Mapping):
        return {
            key: str(value).lower() if key == "protocol" else _plain(value)
            for key, value in rule.items() if value not in (None, {}, [], "")
        }  # fmt: skip
    return [_plain(each) for each in rule] if isinstance(rule, list) else rule
