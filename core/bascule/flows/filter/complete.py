"""Completion of a filter that is being typed: fields, fixed values, and values that have been seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from bascule.flows.filter.fields import FIELDS, Field, field_of

Seen = Callable[[Field], Sequence[str]]
_LAST = re.compile(r"([^\s()!]*)$")
_HEAD = re.compile(r"([A-Za-z][A-Za-z_.]*)(:|!=|=)(?:.*,)?")
_NEEDS_QUOTES = re.compile(r'[\s(),"*?\[]')
MOST = 50


def complete(text: str, seen: Seen = lambda field: ()) -> list[str]:
    """Whole filters that begin with `text`, likely ones first; `seen` gives a field's values, most frequent first."""
    found = _LAST.search(text)
    word = found[1] if found else ""
    before = text[: len(text) - len(word)]
    head = _HEAD.match(word)
    if head is None:
        return [f"{before}{name}:" for name in FIELDS if word and name.startswith(word.lower())][:MOST]
    field = field_of(head[1].lower())
    if field is None:
        return []
    typed = word[head.end() :].lstrip('"').casefold()
    values = dict.fromkeys([*field.values, *seen(field)])
    return [f"{before}{head[0]}{written(value)}" for value in values if value and value.casefold().startswith(typed)][
        :MOST
    ]


def written(value: str) -> str:
    """The value as it must stand in a filter."""
    if not _NEEDS_QUOTES.search(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
