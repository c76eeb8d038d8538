"""Label selectors as kubectl's `-l` takes them: `a=b`, `a!=b`, `a`, `!a`, `a in (x,y)`, `a notin (x,y)`. Pure.

All requirements must hold. As in Kubernetes, `!=` and `notin` also hold where the label is absent.
Source: kubernetes.io/docs/concepts/overview/working-with-objects/labels, "Label selectors".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_KEY = r"[A-Za-z0-9][A-Za-z0-9._/-]*"
_VALUE = r"[A-Za-z0-9._-]*"
_REQUIREMENT = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<no>{_KEY})"
    rf"|(?P<key>{_KEY})(?:\s*(?P<op>==|=|!=)\s*(?P<value>{_VALUE})"
    rf"|\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*(?P<end>,|$)"
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """`holds` when the label's value is one of `values` (None: when it is present), turned round by `inverted`."""

    key: str
    values: frozenset[str] | None
    inverted: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels meet it."""
        met = self.key in labels if self.values is None else labels.get(self.key) in self.values
        return met != self.inverted


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """The requirements of a selector. Raises ValueError with the place where it breaks."""
    found: list[Requirement] = []
    at = 0
    while at < len(text) or not found:
        match = _REQUIREMENT.match(text, at)
        if match is None:
            raise ValueError(f"no requirement at character {at + 1}: {text[at:] or 'the end'}")
        found.append(_requirement(match))
        at = match.end()
        if match["end"] == "," and not text[at:].strip():
            raise ValueError("nothing after the last comma")
    return tuple(found)


def _requirement(match: re.Match[str]) -> Requirement:
    if match["absent"]:
        return Requirement(match["no"], None, True)
    if match["set"]:
        values = frozenset(part.strip() for part in match["values"].split(","))
        return Requirement(match["key"], values, match["set"] == "notin")
    if match["op"]:
        return Requirement(match["key"], frozenset({match["value"]}), match["op"] == "!=")
    return Requirement(match["key"], None, False)
