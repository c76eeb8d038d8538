"""What a parsed selector is made of: `matches(labels)` and the canonical text (`str(node)`).

A missing label makes ==, in, contains, starts/ends with and has false, but != and not in true (Calico's rule).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """One expression. `str()` gives Calico's canonical text, which parses to an expression with the same meaning."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Everything(Node):
    """`all()` or `global()`; which objects `global()` stands for is decided by the field it is in, not here."""

    name: str = "all"

    def matches(self, labels: Mapping[str, str]) -> bool:
        return True

    def __str__(self) -> str:
        return f"{self.name}()"


@dataclass(frozen=True, slots=True)
class Has(Node):
    label: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        return self.label in labels

    def __str__(self) -> str:
        return f"has({self.label})"


COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "==": lambda have, want: have == want,
    "!=": lambda have, want: have != want,
    "contains": lambda have, want: want in have,
    "starts with": lambda have, want: have.startswith(want),
    "ends with": lambda have, want: have.endswith(want),
}


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """`label <operator> "value"` with an operator of COMPARISONS."""

    label: str
    operator: str
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        have = labels.get(self.label)
        return self.operator == "!=" if have is None else COMPARISONS[self.operator](have, self.value)

    def __str__(self) -> str:
        return f"{self.label} {self.operator} {_quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class Member(Node):
    """`label in {…}`, or `label not in {…}` when `negated`; values sorted and unique."""

    label: str
    values: tuple[str, ...]
    negated: bool

    def matches(self, labels: Mapping[str, str]) -> bool:
        return (labels.get(self.label) in self.values) != self.negated

    def __str__(self) -> str:
        inside = ", ".join(_quoted(value) for value in self.values)
        return f"{self.label} {'not in' if self.negated else 'in'} {{{inside}}}"


@dataclass(frozen=True, slots=True)
class Not(Node):
    operand: Node

    def matches(self, labels: Mapping[str, str]) -> bool:
        return not self.operand.matches(labels)

    def __str__(self) -> str:
        return f"!{self.operand}"


@dataclass(frozen=True, slots=True)
class And(Node):
    operands: tuple[Node, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(operand.matches(labels) for operand in self.operands)

    def __str__(self) -> str:
        return f"({' && '.join(map(str, self.operands))})"


@dataclass(frozen=True, slots=True)
class Or(Node):
    operands: tuple[Node, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        return any(operand.matches(labels) for operand in self.operands)

    def __str__(self) -> str:
        return f"({' || '.join(map(str, self.operands))})"


def _quoted(value: str) -> str:
    quote = "'" if '"' in value else '"'
    return f"{quote}{value}{quote}"
