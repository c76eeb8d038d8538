"""What the trunk screens are made of: how hostConfig applies, rows of the tables, words of a change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.doctor import Finding
from bascule.errors import RefusedError, UsageError
from bascule.resources.network import Network
from bascule.resources.node import Node
from bascule.trunks import change as c
from bascule_console.screens.trunks import words
from bascule_console.screens.trunks.changewords import countdown, state
from bascule_console.screens.trunks.form import _number
from bascule_console.screens.trunks.preview import preview
from bascule_console.services.trunks import Order, edited
from bascule_console.store.hostconfig import entries, left_out, of_node, turns
from bascule_console.store.store import Store
from bascule_console.store.trunks import Asked, candidate_rows, trunk_findings, verdicts, vlan_lines
from bascule_console.widgets.glyphs import ASCII, UNICODE

HOST = "kubernetes.io/hostname"


def node(name: str) -> Node:
    return Node.of({"metadata": {"name": name, "labels": {HOST: name}}})


def entry(selector: str, link: str = "", native: int = 0) -> dict[str, Any]:
    port: dict[str, Any] = {"interface": {"name": link}} | ({"nativeVLAN": native} if native else {})
    found: dict[str, Any] = {"nodeSelector": selector, "bridge": {"managedBridge": {}}}
    return found | ({"hostConnections": [{"trunkPort": port}]} if link else {})


def network(*host_configs: dict[str, Any], name: str = "dc1") -> dict[str, Any]:
    vlans = [{"vlan": {"id": vid}} for vid in (100, 110, 120)]
    return {"metadata": {"name": name}, "spec": {"l2Bridge": {"hostConfig": [*host_configs], "vlans": vlans}}}


NAMES = ["node1", "node2", "node3", "node4"]
SELECTORS = [
    "",
    "all()",
    *(f'{HOST} == "{name}"' for name in NAMES),
    f'{HOST} in {{"node1", "node3"}}',
    "has(gone)",
    "(",
]
ENTRIES = st.lists(
    st.builds(entry, st.sampled_from(SELECTORS), st.sampled_from(["", "eth0", "eth1"]), st.sampled_from([0, 100])),
    max_size=5,
)


@given(ENTRIES)
def test_every_node_gets_the_entry_that_first_selects_it(configs: list[dict[str, Any]]) -> None:
    document, nodes = network(*configs), [node(name) for name in NAMES]
    found = entries(document, nodes)
    assert [each.index for each in found] == list(range(len(configs)))
    if any(config["nodeSelector"] == "(" for config in configs):
        return  # a selector that does not parse: config_for raises where the entry is tried, the screen shows nobody
    for each in nodes:
        mine = [one for one in found if each.name in one.nodes]
        config = Network.of(document).config_for(each.meta.labels)
        if config is None:
            assert not mine and each.name in left_out(document, nodes)
        else:
            (one,) = mine
            assert Network.of(document).host_configs[one.index] == config
            assert each.name not in left_out(document, nodes)


@given(
    ENTRIES, st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=3), st.sampled_from(["eth0", "eth1"])
)
def test_an_attach_turns_the_chosen_nodes_and_no_other(
    configs: list[dict[str, Any]], picked: list[str], to: str
) -> None:
    before, nodes = network(*configs), [node(name) for name in NAMES]
    try:
        after = edited(before, nodes, [node(name) for name in picked], Order("dc1", dict.fromkeys(picked, to)))
    except (RefusedError, UsageError):
        return
    changed = turns(before, after, nodes)
    assert {turn.node for turn in changed} <= set(picked)
    assert all(turn.after == to and turn.before != to for turn in changed)
    for name in picked:
        assert [one.trunk for one in entries(after, nodes, before) if name in one.nodes] == [to]


def test_nodes_with_different_links_are_attached_in_one_change() -> None:
    nodes = [node(name) for name in NAMES]
    order = Order("dc1", {"node1": "eth0", "node2": "eth1", "node3": "eth0"}, native=100)
    after = edited(network(), nodes, nodes[:3], order)
    found = {name: one.trunk for one in entries(after, nodes) for name in one.nodes}
    assert found == {"node1": "eth0 native 100", "node2": "eth1 native 100", "node3": "eth0 native 100"}
    assert left_out(after, nodes) == ("node4",)


def test_the_preview_names_who_gets_what_and_who_is_shadowed() -> None:
    nodes = [node(name) for name in NAMES[:3]]
    before = network(entry("", "trunk0", 100))
    after = network(entry(f'{HOST} == "node3"', "eth1"), entry("", "trunk0", 100))
    lines = ["".join(text for text, _ in parts) for parts in preview(before, after, nodes, UNICODE)]
    assert lines[1:] == [
        f'[0] new    {HOST} == "node3": eth1, for node3',
        "[1]        all(): trunk0 native 100, for node1, node2; earlier entries take node3",
        "node3      trunk0 native 100 → eth1",
    ]
    assert of_node([after], nodes[0])[0][1].index == 1


def test_silent_nodes_are_rows_and_what_answered_stays_as_it_came() -> None:
    rows = ({"node": "node2", "name": "b"}, {"node": "node2", "name": "a"}, {"node": "node1", "name": "a"})
    found = candidate_rows(Asked(rows, {"node3": "no answer"}, 1))
    assert list(found) == [("node1", "a"), ("node2", "b"), ("node2", "a"), ("node3", "")]
    assert found["node2", "b"] is rows[0] and found["node3", ""]["problem"] == "no answer"


def test_a_round_that_could_not_be_made_keeps_the_rows_and_says_why() -> None:
    book = Store().trunks
    book.keep_proof(Asked(({"node": "node1"},), {}, 7))
    book.keep_proof(Asked(problem="the cluster does not answer"))
    assert (book.proof.rows, book.proof.at_ns) == (({"node": "node1"},), 7)
    assert book.proof.problem == "the cluster does not answer" and not book.proving


CELLS = [
    {
        "node": n,
        "network": "dc1",
        "vlan": v,
        "verdict": "unproven" if (n, v) == ("node2", 110) else "proven",
        "evidence": "",
    }
    for n in ("node1", "node2")
    for v in (100, 110)
]


def test_the_matrix_has_each_cell_once() -> None:
    lines = vlan_lines(CELLS)
    assert [cell for line in lines.values() for cell in line.cells.values()] == sorted(CELLS, key=lambda x: x["vlan"])
    assert verdicts(CELLS) == {"proven": 3, "unproven": 1}


def test_only_what_concerns_trunks_is_at_the_foot(scene: Any) -> None:
    inventory = scene.cluster().store.inventory
    inventory.put("networks", network(entry("", "trunk0", 100)))
    report = {
        "agent": {},
        "networks": [{"name": "dc1", "ready": False, "reason": "TrunkMissing", "message": "dc1: no eth"}],
    }
    found = trunk_findings(inventory, {"node1": report, "node3": {"agent": None}}, CELLS)
    assert [(one.id, one.object) for one in found] == [
        ("network-not-ready", "Network/dc1"),
        ("vlan-missing-on-trunk", "Node/node2"),
    ]
    proof = Asked(tuple(CELLS), {}, 1)
    lines = ["".join(text for text, _ in parts) for parts in words.foot(found, proof, UNICODE)]
    assert lines[0].startswith("doctor     ✗ Network/dc1") and lines[-1].startswith("next")
    note = Finding("trunk-drift-repaired", "info", "Node/node1", "repaired", "", "")
    (line,) = words.foot([note], proof, UNICODE)
    assert line[1][0] == "✓ nothing wrong with trunks; 1 notes: bascule doctor"


@pytest.mark.parametrize(
    ("now", "bar", "left"), [(0, 20, 10), (5_000_000_000, 10, 5), (10_000_000_000, 0, 0), (99_000_000_000, 0, 0)]
)
def test_the_countdown_runs_down_and_never_below_nothing(now: int, bar: int, left: int) -> None:
    shown = countdown(0, 10_000_000_000, now, ASCII)
    assert shown.startswith("-" * bar + "." * (20 - bar)) and f"in {left} s" in shown


def test_a_failed_probe_is_named() -> None:
    found = {
        "state": c.ROLLED_BACK,
        "why": "taken back: x",
        "checks": {"gateway": "", "vlan 110": "no answer"},
        "steps": ["a"],
    }
    lines = ["".join(text for text, _ in parts) for parts in state("node1", found, 0, UNICODE)]
    assert "state      ✗ rolled back" in lines
    assert any("1 of 2 pass" in line for line in lines) and any("vlan 110: no answer" in line for line in lines)


@pytest.mark.parametrize(("typed", "number"), [("", 0), (" 7 ", 7), ("600", 600)])
def test_numbers_of_the_form(typed: str, number: int) -> None:
    assert _number("seconds", typed, 2, 600) == number


@pytest.mark.parametrize("typed", ["1", "601", "x", "-3", "1.5", "٣٠٠٠"])
def test_what_is_no_number_there(typed: str) -> None:
    with pytest.raises(UsageError, match="is no number from 2 to 600"):
        _number("seconds", typed, 2, 600)
