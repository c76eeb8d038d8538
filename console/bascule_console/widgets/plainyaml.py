"""The few lines of YAML that a theme is made of, read without YAML's parser, which costs 12 ms before the first paint.

Whatever is not such lines, also what is broken, is left to the parser: None.
"""

from __future__ import annotations

import re
from typing import Any

_LINE = re.compile(r'(  )?([a-z][a-z-]*):(?: (?:"([^"\\]*)"|([a-z][a-z_-]*)))?')
_NOT_TEXT = frozenset({"null", "yes", "no", "on", "off", "y", "n"})
_BOOL = {"true": True, "false": False}


def plain_yaml(text: str) -> dict[str, Any] | None:
    """Names with words, booleans, quoted text, or one level of the same below them; None where there is more."""
    document: dict[str, Any] = {}
    inner = document
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            return None
        indent, name, quoted, word = found.groups()
        if name in _BOOL or name in _NOT_TEXT or word in _NOT_TEXT or (indent and inner is document):
            return None
        into = inner if indent else document
        if name in into:
            return None
        if quoted is None and word is None:
            if indent:
                return None
            into[name] = inner = {}
        else:
            into[name] = quoted if quoted is not None else _BOOL.get(word, word)
            inner = inner if indent else document
    return document if all(value != {} for value in document.values()) else None
