"""Label and field selectors of list and watch requests, parsed once and matched against an object's index.

Grammar: k8s.io/apimachinery pkg/labels (=, ==, !=, in, notin, exists, !exists) and pkg/fields (=, ==, !=).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from bascule_lab.apiserver.status import bad_request

_KEY = r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
LABEL_KEY = re.compile(_KEY)
LABEL_VALUE = re.compile(_VALUE)
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(([^()]*)\)")
_EQUAL = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")
_FIELD = re.compile(r"((?:[^=!\\]|\\.)+?)(==|=|!=)((?:[^=\\]|\\.)*)", re.DOTALL)


@dataclass(frozen=True)
class Requirement:
    """`key` among `values` (None: any value), or not, when `negated` (absent keys count as not)."""

    key: str
    values: frozenset[str] | None
    negated: bool

    def matches(self, have: Mapping[str, str]) -> bool:
        found = self.key in have and (self.values is None or have[self.key] in self.values)
        return found != self.negated


@dataclass(frozen=True)
class Selector:
    """Both selectors of a request; without requirements it matches everything."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    @property
    def everything(self) -> bool:
        return not self.labels and not self.fields

    def matches(self, labels: Mapping[str, str], fields: Mapping[str, str]) -> bool:
        return all(r.matches(labels) for r in self.labels) and all(r.matches(fields) for r in self.fields)


def parse(label_selector: str, field_selector: str, known_fields: Collection[str]) -> Selector:
    """Raises ApiError 400 naming the part that does not parse, or the field this kind cannot be selected by."""
    labels = tuple(_label(part) for part in _split(label_selector))
    return Selector(labels, tuple(_field(part, known_fields) for part in _split_fields(field_selector)))


def matches_labels(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """A LabelSelector object (matchLabels and matchExpressions) on labels; an empty one matches everything."""
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    for part in selector.get("matchExpressions") or ():
        values, operator = part.get("values") or (), part.get("operator")
        exists = operator in ("Exists", "DoesNotExist")
        requirement = Requirement(
            part.get("key", ""), None if exists else frozenset(values), operator in ("NotIn", "DoesNotExist")
        )
        if not requirement.matches(labels):
            return False
    return True


def _split(text: str) -> list[str]:
    parts = [part.strip() for part in re.split(r",(?![^(]*\))", text)]
    if parts == [""]:
        return []
    return parts


def _label(part: str) -> Requirement:
    if match := _SET.fullmatch(part):
        values = [value.strip() for value in match[3].split(",")]
        if all(LABEL_VALUE.fullmatch(value) for value in values):
            return Requirement(match[1], frozenset(values), match[2] == "notin")
    if match := _EQUAL.fullmatch(part):
        return Requirement(match[1], frozenset([match[3]]), match[2] == "!=")
    if match := _EXISTS.fullmatch(part):
        return Requirement(match[2], None, match[1] == "!")
    raise bad_request(f'unable to parse requirement: "{part}" is no label requirement')


def _split_fields(text: str) -> list[str]:
    return [part for part in re.findall(r"(?:[^,\\]|\\.)+", text, re.DOTALL) if part]


def _field(part: str, known: Collection[str]) -> Requirement:
    match = _FIELD.fullmatch(part)
    if match is None:
        raise bad_request(f"invalid field selector: {part!r}; can't understand it")
    key = re.sub(r"\\(.)", r"\1", match[1]).strip()
    if key not in known:
        raise bad_request(f'field label not supported: "{key}"; supported here: {", ".join(sorted(known))}')
    return Requirement(key, frozenset([re.sub(r"\\(.)", r"\1", match[3])]), match[2] == "!=")
