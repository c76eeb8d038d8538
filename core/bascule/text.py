"""Make untrusted text (names, labels, DNS, guest data) safe to print on a terminal or in one line of a table."""

from __future__ import annotations


def escape(text: str) -> str:
    r"""The text with everything that is not printable written out: ESC as \x1b, newline as \n, U+202E as \u202e.

    Covers control characters, bidirectional and zero-width format characters, lone surrogates, private use and every
    space but the plain one (str.isprintable). Markup is not touched: print with markup switched off.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
