"""What is shown when Bascule itself breaks: the calls that led there, never the values in them."""

from __future__ import annotations

import traceback

from rich.text import Text

from bascule.text import escape


def report(error: BaseException | None) -> Text:
    """A traceback without local variables, with what to do; control characters in it are written out."""
    lines = "".join(traceback.format_exception(error)).splitlines() if error else ["an unknown fault"]
    head = "error: a fault in bascule itself; it ended, and the terminal is yours again"
    fix = "  fix: report it with these lines and the keys you pressed"
    return Text("\n".join([head, *(escape(line) for line in lines), fix]))
