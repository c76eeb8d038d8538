"""Taking one change back: what it changed and nothing else, on random documents and on the lab's API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule_console.services.undo import drift, restored
from bascule_kube.kinds import NETWORK

leaves = st.one_of(st.integers(0, 3), st.lists(st.integers(0, 2), max_size=2))
documents = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), leaves, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), st.one_of(leaves, inner), max_size=3),
    max_leaves=8,
)


@given(documents, documents)
def test_what_nobody_touched_since_goes_back_whole(before: Any, after: Any) -> None:
    assert drift(before, after, after) == []
    assert restored(before, after, after) == before


@given(documents, documents, st.sampled_from("wxyz"), leaves)
def test_what_others_added_since_stays(before: Any, after: Any, key: str, value: Any) -> None:
    now = {**after, key: value}
    assert drift(before, after, now) == []
    assert restored(before, after, now) == {**before, key: value}


@given(documents, documents, documents)
def test_without_drift_every_changed_path_is_as_before(before: Any, after: Any, now: Any) -> None:
    if drift(before, after, now):
        return
    back = restored(before, after, now)
    assert drift(after, before, back) == []
    # And it can be done again: redoing from there leads to where it was.
    assert restored(after, before, back) == now


def test_a_later_change_of_the_same_list_is_drift() -> None:
    assert drift({"v": [1]}, {"v": [1, 2]}, {"v": [1, 2, 3]}) == [("v",)]
    assert drift({"v": [1], "t": 1}, {"v": [2], "t": 1}, {"v": [2], "t": 9}) == []


def network(vlans: tuple[int, ...], trunk: str = "trunk0") -> dict[str, Any]:
    host = {
        "nodeSelector": "",
        "bridge": {"managedBridge": {"stp": "Disabled"}},
        "hostConnections": [{"trunkPort": {"interface": {"name": trunk}}}],
    }
    entries = [{"vlan": {"id": vlan}, "subnets": [{"cidr": f"10.{vlan}.0.0/24"}]} for vlan in vlans]
    return NETWORK.of("dc9") | {"spec": {"l2Bridge": {"hostConfig": [host], "vlans": entries}}}


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


async def apply(live: Any, folder: Path, document: dict[str, Any]) -> None:
    file = folder / "network.json"
    file.write_text(json.dumps(document))
    code, _, err = await live.bascule("apply", "-f", str(file))
    assert code == 0, err


async def test_undo_of_an_edit_of_a_creation_and_of_a_deletion(live: Any, state: Path) -> None:
    await live.start(nodes=1)
    await apply(live, state, network((10,)))
    await apply(live, state, network((10, 20)))
    await live.cluster.merge_patch(NETWORK, "dc9", {"metadata": {"labels": {"who": "else"}}})
    code, out, err = await live.bascule("journal", "undo", "2", "--dry-run", "-o", "json")
    assert code == 0 and json.loads(out)[0]["done"] is False and "-        id: 20" in err
    code, out, err = await live.bascule("journal", "undo", "2", "-o", "json")
    assert code == 0, err
    assert json.loads(out) == [{"seq": 2, "verb": "apply", "object": "Network/dc9", "done": True}]
    found = await live.cluster.get(NETWORK, "dc9")
    assert [entry["vlan"]["id"] for entry in found["spec"]["l2Bridge"]["vlans"]] == [10]
    assert found["metadata"]["labels"] == {"who": "else"}, "undo took away what another changed"
    code, _, err = await live.bascule("journal", "undo", "2")
    assert code == 4 and "undone already" in err

    code, _, err = await live.bascule("journal", "undo", "1")
    assert code == 4 and "changed again since" in err and "metadata" in err
    await live.cluster.merge_patch(NETWORK, "dc9", {"metadata": {"labels": None}})
    assert (await live.bascule("journal", "undo", "1"))[0] == 0
    assert await live.cluster.list(NETWORK) == []

    code, out, _ = await live.bascule("journal", "list", "-o", "json")
    rows = json.loads(out)
    assert [(row["what"], row["undone_by"]) for row in rows] == [
        ("apply", 4), ("apply", 3), ("undo #2", None), ("undo #1", None)
    ]  # fmt: skip
    assert (await live.bascule("journal", "undo", "4"))[0] == 0, "made again"
    assert [obj["metadata"]["name"] for obj in await live.cluster.list(NETWORK)] == ["dc9"]
    code, out, _ = await live.bascule("journal", "verify", "-o", "json")
    assert code == 0 and json.loads(out)["whole"] and json.loads(out)["intact"] == 5


async def test_a_later_change_of_the_same_field_is_named(live: Any, state: Path) -> None:
    await live.start(nodes=1)
    for vlans in ((10,), (10, 20), (10, 20, 30)):
        await apply(live, state, network(vlans))
    code, out, err = await live.bascule("journal", "undo", "2")
    assert (code, out) == (4, "") and "spec.l2Bridge.vlans" in err and "undo the later changes first" in err
    assert len((await live.cluster.get(NETWORK, "dc9"))["spec"]["l2Bridge"]["vlans"]) == 3


async def test_what_undo_refuses(live: Any, state: Path) -> None:
    await live.start(nodes=1)
    await apply(live, state, network((10,)))
    for arguments, word in (
        (("journal", "undo", "9"), "no record 9"),
        (("journal", "undo", "1", "--read-only"), "read-only"),
        (("journal", "undo", "1", "--context", "lab-viewer"), "forbidden"),
        (("journal", "show", "0"), "no record 0"),
    ):
        code, out, err = await live.bascule(*arguments)
        assert (code, out) == (4, "") and word in err and "Traceback" not in err, arguments
    assert len(await live.cluster.list(NETWORK)) == 1
    journal = state / "state" / "bascule" / "journal.jsonl"
    elsewhere = json.loads(journal.read_bytes())
    assert elsewhere["who"]["server"].startswith("https://127.0.0.1:")


async def test_show_and_verify(live: Any, state: Path) -> None:
    await live.start(nodes=1)
    await apply(live, state, network((10,)))
    await apply(live, state, network((10,), trunk="trunk7"))
    code, out, _ = await live.bascule("journal", "show", "2", "-o", "json")
    shown = json.loads(out)
    assert code == 0 and "+            name: trunk7" in shown["diff"] and shown["undone_by"] is None
    code, out, _ = await live.bascule("journal", "show", "2")
    assert code == 0 and "+            name: trunk7" in out
    journal = state / "state" / "bascule" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b"trunk7", b"trunk8"))
    code, out, _ = await live.bascule("journal", "verify", "-o", "json")
    broken = json.loads(out)
    assert code == 1 and broken["intact"] == 1 and "record 2" in broken["problem"]
    assert broken["whole"] is False


async def test_one_can_go_back_to_what_lint_complains_about(live: Any, state: Path) -> None:
    await live.start(nodes=1)
    await live.cluster.create(network((10,), trunk="trunk0") | {"metadata": {"name": "dc8"}})
    await live.cluster.apply(network((11,), trunk="trunk0"))  # two Networks on one trunk
    await apply(live, state, network((11,), trunk="trunk1"))
    code, _, err = await live.bascule("journal", "undo", "1")
    assert code == 0 and "network-trunk-shared" in err
    host = (await live.cluster.get(NETWORK, "dc9"))["spec"]["l2Bridge"]["hostConfig"][0]
    assert host["hostConnections"][0]["trunkPort"]["interface"]["name"] == "trunk0"
