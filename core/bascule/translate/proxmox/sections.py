"""The text of `.fw` and VM `.conf` files as sections of numbered lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_HEADER = re.compile(r"\[\s*(\S+?)(?:\s+(\S+?))?\s*\](?:\s*#(.*))?")


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its comment. `position` is `file:line`."""

    text: str
    comment: str
    position: str


@dataclass
class FirewallFile:
    """Sections by (kind, name): ("options", ""), ("rules", ""), ("aliases", ""), ("group", "web"), ("ipset", "a")."""

    name: str
    sections: dict[tuple[str, str], list[Line]] = field(default_factory=dict)
    stray: list[Line] = field(default_factory=list)

    def named(self, kind: str) -> Iterator[tuple[str, list[Line]]]:
        """The sections of a kind by name."""
        return ((name, lines) for (which, name), lines in self.sections.items() if which == kind)

    def options(self) -> dict[str, Line]:
        """`key: value` lines of [OPTIONS], keys in lower case."""
        lines = self.sections.get(("options", ""), ())
        pairs = ((line.text.partition(":"), line) for line in lines)
        return {
            key.strip().lower(): Line(value.strip(), line.comment, line.position) for (key, _, value), line in pairs
        }


def parse(name: str, text: str) -> FirewallFile:
    """Take a `.fw` file apart. Lines before the first header are `stray`."""
    found = FirewallFile(name)
    current: list[Line] | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        header = _HEADER.fullmatch(raw.strip())
        if header:
            key = header.group(1).lower(), (header.group(2) or "").lower()
            current = found.sections.setdefault(key, [])
            continue
        text_part, _, comment = raw.partition("#")
        if not text_part.strip():
            continue
        line = Line(text_part.strip(), comment.strip(), f"{name}:{number}")
        (found.stray if current is None else current).append(line)
    return found
