"""Split a filter into tokens, each with the character where it starts.

A value runs to the next blank or parenthesis, so that `host:52:54:00:00:6e:01` and `label:app=web` need no quotes;
between double quotes everything is itself, `\\"` and `\\\\` are the two escapes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bascule.flows.filter.errors import FilterError

KEYWORDS = {"and": "and", "&&": "and", "or": "or", "||": "or", "not": "not", "!": "not"}
_TERM = re.compile(r"([A-Za-z][A-Za-z_.]*)(:|!=|>=|<=|=|>|<)")
_WORD = re.compile(r"[^\s()\"!,]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_SIGNS = re.compile(r"\(|\)|&&|\|\||!")
_PLAIN = re.compile(r"[^\s()\",]+")


class Value(NamedTuple):
    """One of a term's values; `quoted` ones have no globs."""

    text: str
    at: int
    quoted: bool = False


class Token(NamedTuple):
    """`kind`: and, or, not, (, ), term, end. A term has a field ("" for a bare word), an operator and values."""

    kind: str
    at: int
    length: int = 1
    field: str = ""
    operator: str = ":"
    values: tuple[Value, ...] = ()


def tokenize(text: str) -> list[Token]:
    """All tokens, the last of kind `end`. Raises FilterError."""
    found: list[Token] = []
    at = 0
    while True:
        at = _skip(text, at)
        if at >= len(text):
            return [*found, Token("end", len(text))]
        token = _sign(text, at) or _term(text, at)
        found.append(token)
        at += token.length


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _sign(text: str, at: int) -> Token | None:
    sign = _SIGNS.match(text, at)
    if sign:
        return Token(KEYWORDS.get(sign[0], sign[0]), at, len(sign[0]))
    word = _WORD.match(text, at)
    if word and word[0].lower() in ("and", "or", "not"):
        return Token(word[0].lower(), at, len(word[0]))
    return None


def _term(text: str, at: int) -> Token:
    head = _TERM.match(text, at)
    if head is None:
        values, end = _values(text, at, _WORD)
        return Token("term", at, end - at, "", ":", values)
    values, end = _values(text, head.end(), _PLAIN)
    if not values[0].text and not values[0].quoted:
        raise FilterError(text, head.end(), f"{head[1]}{head[2]} has no value", f'{head[1]}{head[2]}VALUE, or ""')
    return Token("term", at, end - at, head[1].lower(), head[2], values)


def _values(text: str, at: int, plain: re.Pattern[str]) -> tuple[tuple[Value, ...], int]:
    """The values from `at`, separated by commas, and where they end."""
    found: list[Value] = []
    while True:
        quoted = _QUOTED.match(text, at)
        word = None if quoted else plain.match(text, at)
        if quoted:
            found.append(Value(re.sub(r"\\(.)", r"\1", quoted[1]), at, True))
            at = quoted.end()
        elif word:
            found.append(Value(word[0], at))
            at = word.end()
        elif at < len(text) and text[at] == '"':
            raise FilterError(text, at, "the quote is never closed", 'end it with "')
        elif found or (at < len(text) and text[at] == ","):
            raise FilterError(text, at, "a value is missing after the comma" if found else "a value is missing")
        else:
            found.append(Value("", at))
        if not text.startswith(",", at):
            return tuple(found), at
        at += 1
