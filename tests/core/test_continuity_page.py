"""The page and the plot: everything from outside is escaped, nothing is loaded, every probe is drawn."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.continuity import Change, Nic, Probe, Record, aftershock, folded
from bascule.continuity.page import html_page
from bascule.continuity.plot import svg, svg_aftershock

T0 = 1_790_000_000_000_000_000


def record(text: str = "web-1", lost: frozenset[int] = frozenset({100, 101})) -> dict[str, Any]:
    made = Record("uid", text, text, "node2", source=text, complete=True, failure=text)
    made.nics = [Nic(text, text, text, Change(text, text), Change(text, text), Change(110, 110))]
    points = [[k, T0 + k * 5_000_000, None if k in lost else T0 + k * 5_000_000 + 200_000] for k in range(300)]
    made.probes = [Probe("icmp", text, text, 5, points, error=text)]
    made.announcements = [{"kind": "rarp", "at": T0 + 510_000_000, "node": text, "port": text}]
    made.missing = {text: text}
    made.control = [{"vm": text, "probe": Probe("icmp", text, text, 5, points).to_json(None)}]
    made.aftershock = aftershock(
        "done", T0, T0 + 60_000_000_000, [folded("icmp", text, text, 5, points, T0, text, T0 + 9)]
    )
    return made.to_json()


def test_every_probe_is_a_tick() -> None:
    drawn = svg(record())
    ElementTree.fromstring(drawn)
    answered, lost = re.findall(r'<path d="((?:M[\d.]+ \d+v\d+)+)"', drawn)[:2]
    assert (answered.count("M"), lost.count("M")) == (298, 2)
    assert "12 to 20 s" in svg_aftershock(record())


def test_a_record_without_probes_is_drawn_as_that() -> None:
    empty = Record("uid", "web-1", "vms", "node2").to_json()
    assert "no probe was sent" in svg(empty) and "after-shock watch: none" in svg_aftershock(empty)
    assert "web-1" in html_page(empty)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=30))
def test_no_text_from_outside_becomes_markup(text: str) -> None:
    nasty = f'<script>alert("{text}")</script>&\'"\x00\x1b[2J'
    page = html_page(record(nasty))
    assert "<script" not in page and "\x1b" not in page and "\x00" not in page
    assert not re.search(r"(src|href)\s*=", re.sub(r"&[a-z#0-9]+;", "", re.sub(r">[^<]*<", "><", page)))
    for drawing in re.findall(r"<svg.*?</svg>", page, re.S):
        ElementTree.fromstring(drawing)
