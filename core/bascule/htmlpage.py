"""Reports as one self-contained page: no script, nothing loaded from elsewhere, every text from outside escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from bascule.text import escape as visible


def page(title: str, parts: Iterable[str], style: str) -> str:
    """A whole HTML document, UTF-8 text. `parts` are HTML already; `style` is CSS of the report's own."""
    return _PAGE.format(title=text(title), style=style.strip(), body="\n".join(parts))


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], classes: Sequence[str]) -> str:
    """A table with one class per row; texts are escaped here."""
    if not rows:
        return "<p>Nothing.</p>"
    head = "".join(f"<th>{text(title)}</th>" for title in titles)
    body = "\n".join(
        f'<tr class="{kind}">' + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>"
        for row, kind in zip(rows, classes, strict=True)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def text(value: str) -> str:
    """Escaped, control bytes made visible, a line break for each newline."""
    return "<br>".join(escape(visible(line)) for line in value.split("\n"))


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #1c1f23; }}
table {{ border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; font-size: 14px; }}
th, td {{ text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #d5d9de; }}
th {{ border-bottom: 2px solid #8a929b; }}
tr.error td:first-child {{ color: #a4161a; font-weight: 700; }}
tr.warning td:first-child {{ color: #8a5300; font-weight: 700; }}
{style}
</style></head><body>
{body}
</body></html>
"""
