"""Split a selector into tokens, each with the character position where it starts.

Label names are read greedily and keywords are only keywords after a label, so a label may be called `in` or `has`;
that, and words that may touch (`notin`), follow Calico's tokenizer to the letter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bascule.errors import UsageError

_LABEL = re.compile(r"[A-Za-z0-9_./-]+")
_BLANK = " \t"
_MAX_LABEL = 512
_PAIRS = {"==": "==", "!=": "!=", "&&": "&&", "||": "||"}
_SINGLES = {"(": "(", ")": ")", "{": "{", "}": "}", ",": ",", "!": "!"}
_OPERATORS = (
    ("contains", re.compile(r"contains")),
    ("starts with", re.compile(r"starts[ \t]*with")),
    ("ends with", re.compile(r"ends[ \t]*with")),
    ("not in", re.compile(r"not[ \t]*in")),
    ("in", re.compile(r"in")),
)
_CALLS = (("has", re.compile(r"has\(")), ("all", re.compile(r"all\(")), ("global", re.compile(r"global\(")))


class SelectorError(UsageError):
    """A selector that does not parse; `position` is the 0-based character where it went wrong."""

    def __init__(self, selector: str, position: int, problem: str) -> None:
        super().__init__(
            f"selector does not parse at character {position + 1}: {problem}",
            cause=f"{selector!r}",
            fix="write it as label == 'value', has(label), label in {'a', 'b'}, joined by && and ||",
        )
        self.position = position
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is the operator itself, or one of label, string, has, all, global, end; `value` is a name or a text."""

    kind: str
    value: str
    position: int


def tokenize(selector: str) -> list[Token]:
    """All tokens, the last of kind `end`. Raises SelectorError with the position."""
    tokens: list[Token] = []
    at = 0
    while True:
        at = _skip(selector, at)
        if at >= len(selector):
            tokens.append(Token("end", "", len(selector)))
            return tokens
        after_label = bool(tokens) and tokens[-1].kind == "label"
        token, at = _symbol(selector, at) or (_operator(selector, at) if after_label else _word(selector, at))
        tokens.append(token)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def _symbol(text: str, at: int) -> tuple[Token, int] | None:
    pair, char = text[at : at + 2], text[at]
    if pair in _PAIRS:
        return Token(pair, "", at), at + 2
    if char in _SINGLES:
        return Token(char, "", at), at + 1
    if char in "=&|":
        raise SelectorError(text, at, f"expected {char * 2}")
    if char in "\"'":
        end = text.find(char, at + 1)
        if end < 0:
            raise SelectorError(text, at, "string is not closed")
        return Token("string", text[at + 1 : end], at), end + 1
    return None


def _operator(text: str, at: int) -> tuple[Token, int]:
    for kind, pattern in _OPERATORS:
        if match := pattern.match(text, at):
            return Token(kind, "", at), match.end()
    raise SelectorError(text, at, "expected an operator after the label")


def _word(text: str, at: int) -> tuple[Token, int]:
    for kind, pattern in _CALLS:
        if match := pattern.match(text, at):
            return _call(text, kind, at, match.end())
    value, end = _label(text, at)
    return Token("label", value, at), end


def _call(text: str, kind: str, start: int, at: int) -> tuple[Token, int]:
    at, value = _skip(text, at), ""
    if kind == "has":
        value, at = _label(text, at)
        at = _skip(text, at)
    if text[at : at + 1] != ")":
        raise SelectorError(text, at, f"expected ) to close {kind}(")
    return Token(kind, value, start), at + 1


def _label(text: str, at: int) -> tuple[str, int]:
    match = _LABEL.match(text, at)
    if not match:
        found = repr(text[at]) if at < len(text) else "the end"
        raise SelectorError(text, at, f"expected a label name, found {found}")
    if len(match.group()) > _MAX_LABEL:
        raise SelectorError(text, at, f"a label name has at most {_MAX_LABEL} characters")
    return match.group(), match.end()
