"""The flow screen: filter language with caret and completion, facets, talkers, drops, ARP, numbers; as the verbs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from bascule.flows.drops import KERNEL, TRUNK, LinkDrop, LinkDrops
from bascule.flows.filter import read_filter
from bascule.flows.record import RECORD
from bascule.flows.store import Batch
from bascule_console.app import BasculeApp
from bascule_console.store.flowviews import drops, narrowed, talkers
from bascule_console.widgets.lines import Line
from bascule_console.widgets.table import GridTable


@pytest.fixture
async def shown(scene: Any) -> AsyncIterator[Pilot[None]]:
    scene.cluster().talk()
    scene.store.flows.stop_clock(scene.noon_ns)
    app = BasculeApp(scene.store, None)
    async with app.run_test(size=(160, 45)) as pilot:
        app.open("flows")
        await until(pilot, lambda: app.screen.id is None and app.screen.query("#flows"))
        await pilot.pause()
        yield pilot


async def until(pilot: Pilot[None], holds: Any) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await pilot.pause(0.02)


def table(pilot: Pilot[None], name: str = "flows") -> GridTable[Any]:
    return pilot.app.screen.query_one(f"#{name}", GridTable)


def rows(pilot: Pilot[None], name: str) -> list[Any]:
    view = table(pilot, name).view
    return [view.row(at) for at in range(len(view))]


async def type_filter(pilot: Pilot[None], text: str) -> None:
    await pilot.press("slash")
    await until(pilot, lambda: pilot.app.screen.query("#prompt"))
    pilot.app.screen.query_one("PromptInput").value = text  # type: ignore[attr-defined]
    await pilot.press("enter")


async def test_the_filter_is_the_language_and_keeps_what_the_verb_keeps(shown: Pilot[None], scene: Any) -> None:
    await type_filter(shown, "vlan:110 !proto:icmp src:web-*")
    await until(shown, lambda: not shown.app.screen.query("#prompt"))
    wanted = read_filter("vlan:110 !proto:icmp src:web-*")
    expected = scene.store.flows._store.recent(100, wanted)
    found = [line.row for line in rows(shown, "flows")]
    assert 0 < len(found) < 33
    assert sorted(map(str, found)) == sorted(map(str, expected))


async def test_a_broken_filter_points_at_the_character_and_stays_open(shown: Pilot[None]) -> None:
    await type_filter(shown, "vlan:110 vlna:3")
    await until(shown, lambda: shown.app.screen.query("#filter-caret"))
    caret = shown.app.screen.query_one("#filter-caret", Line)
    words = "".join(text for text, _ in caret._left)
    assert words.startswith("  " + " " * 9 + "^^^^") and "vlan:" in words
    assert shown.app.screen.query("#prompt")
    assert len(table(shown).view) == 32
    await shown.press("escape")


async def test_tab_completes_fields_and_values_seen(shown: Pilot[None]) -> None:
    await shown.press("slash", *"verdict:dr")
    await shown.press("tab")
    prompt: Any = shown.app.screen.query_one("PromptInput")
    assert prompt.value == "verdict:drop"
    prompt.value = "vm:lega"
    await shown.press("tab")
    assert prompt.value.startswith("vm:legacy-")
    await shown.press("escape")


async def test_drops_have_reason_and_place_and_lead_to_their_flows(shown: Pilot[None], scene: Any) -> None:
    await shown.press("3")
    await until(shown, lambda: len(table(shown, "drops").view) == 2)
    assert table(shown, "drops").has_focus and not shown.app.screen.query_one("#flows-block").display
    found = rows(shown, "drops")
    assert found == [*drops(scene.store.flows, read_filter("")).values()]
    assert (found[0].value("reason"), found[0].value("vm"), found[0].packets) == ("tagged", "db-4", 31)
    assert (found[1].value("reason"), found[1].value("vm"), found[1].packets) == ("", "web-2", 9)
    await shown.press("enter")
    await until(shown, lambda: shown.app.screen.query_one("#flows-block").display)
    assert [line.row["reason"] for line in rows(shown, "flows")] == ["tagged"]


async def test_what_a_link_dropped_stands_among_the_drops_and_leads_to_its_node(shown: Pilot[None], scene: Any) -> None:
    flows, port = scene.store.flows, next(line.row for line in scene.store.flows.rows().values() if line.row["vm"])
    node, ifindex = port["node"], next(i for (n, i), p in flows._store.names.ports.items() if p.vm == port["vm"])

    def told(packets: int, absent: str = "") -> None:
        found = (
            LinkDrop("veth7", ifindex, KERNEL, "QDISC_DROP", packets, 100 * packets, scene.noon_ns),
            LinkDrop("trunk0", 2, TRUNK, "trunk-not-carried", 3 * packets, 300 * packets),
        )
        drops = LinkDrops(scene.noon_ns - 10**12, absent, found)
        flows.add(Batch(node, scene.noon_ns, np.zeros(0, RECORD), flows._store._node_ports[node], drops=drops))

    told(0)
    told(40)
    await shown.press("3")
    await until(shown, lambda: len(table(shown, "drops").view) == 4)
    trunk, kernel = rows(shown, "drops")[:2]
    assert (trunk.value("reason"), trunk.value("vm"), trunk.packets) == ("trunk-not-carried", "trunk0", 120)
    assert (kernel.value("reason"), kernel.value("vm")) == ("kernel QDISC_DROP", f"{port['vm']} (veth7)")
    assert (kernel.packets, sum(kernel.series)) == (40, 40)
    assert kernel.note == "the link's queue is full, or shapes; 40 in all"
    told(40, absent="the kernel has no BTF")
    await until(shown, lambda: "not counted" in title(shown))
    assert f"{node}: the kernel has no BTF" in title(shown)
    await shown.press("enter")
    await until(shown, lambda: shown.app.screen.query_one("#flows-block").display)
    assert table(shown).view.filter.text == f"node:{node}"


def title(pilot: Pilot[None]) -> str:
    return "".join(text for text, _ in pilot.app.screen._about_groups())  # type: ignore[attr-defined]


async def test_talkers_by_any_column_over_any_span(shown: Pilot[None], scene: Any) -> None:
    await shown.press("2")
    await until(shown, lambda: len(table(shown, "talkers").view) > 0)
    first = rows(shown, "talkers")[0]
    assert (first.by, first.seconds) == (("src", "dst"), 10)
    assert first.byte_rate == first.bytes / 10
    await shown.press("b", "t")
    await until(shown, lambda: rows(shown, "talkers")[0].by == ("vm",))
    expected = talkers(scene.store.flows, read_filter(""), ("vm",), 60)
    assert rows(shown, "talkers") == [*expected.values()]
    assert sum(row.packets for row in expected.values()) == sum(scene.sent.values())


async def test_facets_count_and_narrow(shown: Pilot[None]) -> None:
    await until(shown, lambda: len(table(shown, "facets").view) > 0)
    facets = {(row.field, row.value): row.packets for row in rows(shown, "facets")}
    assert facets["verdict", "drop"] == 31 and facets["verdict", "deny"] == 9
    table(shown, "facets").focus()
    table(shown, "facets").show_key(("verdict", "drop"))
    await shown.press("enter")
    await until(shown, lambda: len(table(shown).view) == 1)
    assert table(shown).view.filter.text == "verdict:drop"


async def test_numbers_show_addresses(shown: Pilot[None]) -> None:
    source = table(shown).view.columns["src"]
    line = rows(shown, "flows")[0]
    assert source.text(line).startswith(line.row["src"]["name"])
    await shown.press("n")
    await until(shown, lambda: table(shown).view.columns["src"].text(line).startswith("10."))


async def test_arp_says_who_asks_for_whom(shown: Pilot[None], scene: Any) -> None:
    asks = scene.record(scene.ifindex("web-1"), "web-1", "web-2", packets=2, proto=0, ports=(0, 0), ethertype=0x0806)
    asks["dst_mac"] = 255
    scene.send(scene.placed["web-1"], asks)
    await shown.press("4")
    await until(shown, lambda: len(table(shown, "arp").view) == 1)
    (row,) = rows(shown, "arp")
    assert table(shown, "arp").view.columns["says"].text(row) == "asks for"
    assert (row.value("src"), row.value("dst.ip"), row.packets) == ("web-1", "10.110.0.12", 2)


async def test_control_bytes_from_outside_are_written_out(scene: Any) -> None:
    scene.cluster()
    name = "web-\x1b[31m9"
    scene.send("node1", scene.record(scene.ifindex("web-1"), "web-1", "web-2", packets=1))
    port = next(iter(scene.store.flows._store.names.ports.values()))
    assert port.vm
    from dataclasses import replace

    from bascule.flows.store import Batch

    records = scene.record(77, "web-1", "web-2", packets=1)
    scene.store.add_flows(Batch("node1", scene.noon_ns, records, (replace(port, ifindex=77, vm=name),)))
    app = BasculeApp(scene.store, None)
    async with app.run_test(size=(160, 45)) as pilot:
        app.open("flows")
        await until(pilot, lambda: app.screen.query("#flows") and len(table(pilot).view) > 0)
        await pilot.pause(0.2)
        lines = [table(pilot).render_line(y).text for y in range(6)]
    text = "\n".join(lines)
    assert "\\x1b[31m9" in text and "\x1b" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "vlan:110"),
        ("vm:a", "vm:a vlan:110"),
        ("vm:a or vm:b", "(vm:a or vm:b) vlan:110"),
        ("vm:a vlan:110", "vm:a"),
        ("vlan:110", ""),
    ],
)
def test_a_facet_narrows_and_taken_again_widens(text: str, expected: str) -> None:
    assert narrowed(text, "vlan", "110") == expected


async def test_a_prompt_that_was_left_by_a_click_gives_way_to_the_next(shown: Pilot[None]) -> None:
    await shown.press("slash")
    await until(shown, lambda: shown.app.screen.query("#prompt"))
    table(shown).focus()
    await shown.press("colon", *"nodes", "enter")
    await until(shown, lambda: shown.app.screen.query("#nodes"))
