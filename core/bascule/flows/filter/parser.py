"""Parse a filter: `or` binds least, then `and` (also by standing side by side), then `not` and `!`.

The grammar is docs/reference/flow-filters.md's.
"""

from __future__ import annotations

from bascule.flows.filter import match
from bascule.flows.filter.errors import FilterError
from bascule.flows.filter.fields import FIELDS, Field, field_of
from bascule.flows.filter.nodes import And, End, Everything, Node, Not, Number, Or, PortLabel, Text
from bascule.flows.filter.tokens import Token, Value, tokenize

DEEPEST = 100


def parse(text: str) -> Node:
    """The filter's tree; an empty text keeps everything. Raises FilterError."""
    reader = _Reader(text)
    if reader.now.kind == "end":
        return Everything()
    tree = reader.either(0)
    if reader.now.kind != "end":
        raise FilterError(text, reader.now.at, "there is no parenthesis to close", "remove it")
    return tree


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self._tokens, self._at = text, tokenize(text), 0

    @property
    def now(self) -> Token:
        return self._tokens[self._at]

    def take(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def either(self, depth: int) -> Node:
        parts = [self.every(depth)]
        while self.now.kind == "or":
            self.take()
            parts.append(self.every(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def every(self, depth: int) -> Node:
        parts = [self.one(depth)]
        while self.now.kind in ("and", "not", "(", "term"):
            if self.now.kind == "and":
                self.take()
            parts.append(self.one(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def one(self, depth: int) -> Node:
        token = self.take()
        if depth > DEEPEST:
            raise FilterError(self.text, token.at, f"more than {DEEPEST} levels", "leave out parentheses")
        if token.kind == "not":
            return Not(self.one(depth + 1))
        if token.kind == "(":
            tree = self.either(depth + 1)
            if self.now.kind != ")":
                raise FilterError(self.text, token.at, "the parenthesis is never closed", "end it with )")
            self.take()
            return tree
        if token.kind == "term":
            return _term(self.text, token)
        problem = "the filter ends where a term should stand" if token.kind == "end" else "a term should stand here"
        raise FilterError(self.text, token.at, problem, "a term is field:value, for example vlan:110", token.length)


def _term(text: str, token: Token) -> Node:
    field = field_of(token.field) if token.field else FIELDS["host"]
    if field is None:
        import difflib  # half a megabyte that an agent without a typing error does not need

        near = difflib.get_close_matches(token.field, FIELDS, 1)
        fix = f"{near[0]}{token.operator}…" if near else f"one of {', '.join(FIELDS)}"
        raise FilterError(text, token.at, f"no field {token.field!r}", fix, len(token.field))
    if field.kind != "number" and token.operator not in (":", "=", "!="):
        sign = token.at + len(token.field)
        raise FilterError(text, sign, f"{field.name} is no number", f"{field.name}:VALUE", len(token.operator))
    if field.kind == "number":
        tree: Node = _any([Number(c, tuple(match.number_ranges(text, token, field.unit))) for c in field.columns])
    else:
        tree = _any([_one(text, field, token, value, c) for value in token.values for c in field.columns])
    return Not(tree) if token.operator == "!=" else tree


def _any(parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


def _one(text: str, field: Field, token: Token, value: Value, column: str) -> Node:
    side, _, what = column.partition(".")
    if field.kind == "label":
        test = match.label_test(value)
        if column == "vm":
            return PortLabel(test)
        return End(side, lambda point: test(dict(point.who.labels)), by_name=True)
    if field.kind == "text" and what in ("ns", "kind"):
        accepts = match.text_test(value, token.operator)
        return End(side, lambda p: accepts(p.who.namespace if what == "ns" else p.who.kind), by_name=True)
    if field.kind == "text":
        return Text(column, match.text_test(value, token.operator))
    net = match.address_net(text, value)
    if field.kind == "ip":
        return Text(column, match.in_net(net) if net else match.text_test(value, token.operator))
    if net is not None:
        within = match.in_net(net)
        return End(side, lambda point: within(point.ip), by_name=False)
    passes = match.text_test(value, token.operator)
    return End(side, lambda p: passes(p.who.name) or passes(p.ip) or passes(p.mac), by_name=True)
