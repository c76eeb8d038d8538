"""Recursive descent over the tokens: `||` binds loosest, then `&&`, then `!`; an empty selector is `all()`."""

from __future__ import annotations

from functools import lru_cache

from bascule.selectors.ast import COMPARISONS, And, Compare, Everything, Has, Member, Node, Not, Or
from bascule.selectors.tokens import SelectorError, Token, tokenize

_MAX_DEPTH = (
    100  # parentheses; keeps hostile input from exhausting Python's stack, Calico's API stops at 1024 characters
)


@lru_cache(maxsize=1024)
def parse(selector: str) -> Node:
    """Parse a Calico selector (grammar: reference/calico-l2.md 7.1). Raises SelectorError with the position."""
    tokens = tokenize(selector)
    if tokens[0].kind == "end":
        return Everything()
    parser = _Parser(selector, tokens)
    node = parser.either(0)
    if parser.kind != "end":
        raise parser.error("expected && or || or the end")
    return node


class _Parser:
    def __init__(self, selector: str, tokens: list[Token]) -> None:
        self.selector, self.tokens, self.at = selector, tokens, 0

    @property
    def kind(self) -> str:
        return self.tokens[self.at].kind

    def error(self, problem: str) -> SelectorError:
        return SelectorError(self.selector, self.tokens[self.at].position, problem)

    def take(self, *kinds: str) -> Token | None:
        token = self.tokens[self.at]
        if token.kind not in kinds:
            return None
        self.at += 1
        return token

    def expect(self, kind: str, wording: str) -> Token:
        token = self.take(kind)
        if token is None:
            raise self.error(f"expected {wording}")
        return token

    def either(self, depth: int) -> Node:
        operands = [self.both(depth)]
        while self.take("||"):
            operands.append(self.both(depth))
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def both(self, depth: int) -> Node:
        operands = [self.operation(depth)]
        while self.take("&&"):
            operands.append(self.operation(depth))
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def operation(self, depth: int) -> Node:
        negated = False
        while self.take("!"):
            negated = not negated
        node = self.primary(depth)
        return Not(node) if negated else node

    def primary(self, depth: int) -> Node:
        if token := self.take("all", "global"):
            return Everything(token.kind)
        if token := self.take("has"):
            return Has(token.value)
        if token := self.take("label"):
            return self.comparison(token.value)
        if self.kind == "(" and depth >= _MAX_DEPTH:
            raise self.error(f"more than {_MAX_DEPTH} nested parentheses")
        if self.take("("):
            node = self.either(depth + 1)
            self.expect(")", ")")
            return node
        raise self.error("expected a label, has(…), all() or (")

    def comparison(self, label: str) -> Node:
        if token := self.take(*COMPARISONS):
            return Compare(label, token.kind, self.expect("string", "a text in quotes").value)
        if token := self.take("in", "not in"):
            return Member(label, self.values(), token.kind == "not in")
        raise self.error("expected an operator after the label")

    def values(self) -> tuple[str, ...]:
        self.expect("{", "a set such as {'a', 'b'}")
        values: set[str] = set()
        while token := self.take("string"):
            values.add(token.value)
            if not self.take(","):
                break
        self.expect("}", "a text in quotes, or }")
        return tuple(sorted(values))
