"""Untrusted text cannot move the cursor, hide itself, or break a line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bascule.text import escape


def test_what_is_escaped() -> None:
    assert escape("web-1 größe 東") == "web-1 größe 東"
    assert escape("\x1b[2J\n\t\x00") == r"\x1b[2J\n\t\x00"
    assert escape("a\u202eb\u200b\u2028\ud800\x9b\x7f") == r"a\u202eb\u200b\u2028\ud800\x9b\x7f"
    assert escape("[red]x[/red]") == "[red]x[/red]"


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_the_result_is_printable_and_encodes(text: str) -> None:
    result = escape(text)
    assert result.isprintable()
    assert result.encode().decode() == result
    assert escape(result) == result
