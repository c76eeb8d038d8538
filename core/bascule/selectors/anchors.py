"""What a label set must contain for a selector to leave its usual answer: the key to looking at few selectors.

Every selector has a usual answer (`default`) and a short list of literals, such that without one of those literals
among the labels the answer is the usual one. `app == 'web' && has(x)` is usually false, and only labels with app=web
(or with x: the rarer is chosen) can make it true; `app != 'web'` is usually true, and only app=web makes it false.
One side always exists: each comparison has it, `!` swaps it, && and || hand on that of an operand or of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bascule.selectors.ast import And, Compare, Everything, Has, Member, Node, Not, Or

Literal = tuple[str, str | None]
"""A label and its value; None stands for any value."""
Cost = Callable[[frozenset[Literal]], float]


@dataclass(frozen=True, slots=True)
class Anchor:
    """Labels without any of `literals` give the answer `default`."""

    default: bool
    literals: frozenset[Literal]


def anchor(node: Node, cost: Cost) -> Anchor:
    """The anchor of a selector; where there is a choice, the one for which `cost` of its literals is least."""
    true, false = _both(node, cost)
    if true is not None and (false is None or cost(true) <= cost(false)):
        return Anchor(False, true)
    assert false is not None
    return Anchor(True, false)


def mentioned(node: Node) -> frozenset[str]:
    """The names of the labels that a selector looks at."""
    if isinstance(node, (Has, Compare, Member)):
        return frozenset((node.label,))
    if isinstance(node, Not):
        return mentioned(node.operand)
    if isinstance(node, (And, Or)):
        return frozenset().union(*map(mentioned, node.operands))
    return frozenset()


_Side = frozenset[Literal] | None


def _both(node: Node, cost: Cost) -> tuple[_Side, _Side]:
    """(what truth needs, what falsehood needs): one of these literals; None where no literal is needed."""
    if isinstance(node, Not):
        true, false = _both(node.operand, cost)
        return false, true
    if isinstance(node, And):
        sides = [_both(operand, cost) for operand in node.operands]
        return _cheapest((true for true, _ in sides), cost), _all(false for _, false in sides)
    if isinstance(node, Or):
        sides = [_both(operand, cost) for operand in node.operands]
        return _all(true for true, _ in sides), _cheapest((false for _, false in sides), cost)
    return _leaf(node)


def _leaf(node: Node) -> tuple[_Side, _Side]:
    if isinstance(node, Everything):
        return None, frozenset()
    if isinstance(node, Member):
        found: _Side = frozenset((node.label, value) for value in node.values)
        return (None, found) if node.negated else (found, None)
    if isinstance(node, Compare) and node.operator in ("==", "!="):
        found = frozenset(((node.label, node.value),))
        return (None, found) if node.operator == "!=" else (found, None)
    assert isinstance(node, (Has, Compare))
    return frozenset(((node.label, None),)), None


def _cheapest(sides: Iterable[_Side], cost: Cost) -> _Side:
    return min((side for side in sides if side is not None), key=cost, default=None)


def _all(sides: Iterable[_Side]) -> _Side:
    found: set[Literal] = set()
    for side in sides:
        if side is None:
            return None
        found |= side
    return frozenset(found)
