"""The journal on disk: who may read it, two writers at once, a crash in the middle of a record, and tampering."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from bascule.journal.chain import BrokenRecord
from bascule_console.cli.main import main
from bascule_console.services.journal import Journal, JournalError, journal_path


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Journal:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert journal_path() == tmp_path / "bascule" / "journal.jsonl"
    return Journal(journal_path(), "ctx", "https://x")


def obj(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "uid": "u"}, **more}


def write_many(path: Path, who: str) -> None:
    for number in range(20):
        Journal(path).append("apply", None, obj(f"{who}-{number}"))


def test_records_with_their_undo(journal: Journal) -> None:
    journal.ready()
    journal.append("apply", None, obj("a"))
    journal.append("apply", obj("a", data={"x": "1"}, status={}), obj("a", data={"x": "2"}))
    journal.append("delete", obj("a"), None)
    undone = [record.content["undo"] for record in journal.records()]
    plain = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    assert undone == [
        {"verb": "delete", "object": None},
        {"verb": "apply", "object": plain | {"data": {"x": "1"}}},
        {"verb": "create", "object": plain},
    ]
    first = next(journal.records()).content
    assert first["target"] == {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "", "name": "a"}
    assert first["who"].keys() == {"user", "host", "context", "server"} and first["who"]["context"] == "ctx"
    assert journal.path.stat().st_mode & 0o777 == 0o600 and journal.path.parent.stat().st_mode & 0o777 == 0o700


def test_two_processes_append_one_chain(journal: Journal) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(journal.path, who)) for who in ("p", "q")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    verdict = journal.verify()
    assert (verdict.intact, verdict.fault, verdict.torn) == (40, None, 0)


def test_a_torn_record_is_cut_off_by_the_next(journal: Journal) -> None:
    journal.append("apply", None, obj("a"))
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + whole[:40])
    assert journal.verify().torn == 40
    journal.append("apply", None, obj("b"))
    assert [record.content["target"]["name"] for record in journal.records()] == ["a", "b"]


def test_a_broken_journal_stops_changes_and_lists_what_is_intact(
    journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b", "c"):
        journal.append("apply", None, obj(name))
    assert main(["journal", "list", "-o", "json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["a", "b", "c"]
    journal.path.write_bytes(journal.path.read_bytes().replace(b'"name":"b"', b'"name":"z"', 1))
    with pytest.raises(JournalError, match="broken at record 2") as caught:
        journal.ready()
    assert caught.value.exit_code == 4
    with pytest.raises(BrokenRecord):
        list(journal.records())
    assert main(["journal", "list", "-o", "json"]) == 1
    out, err = capsys.readouterr()
    assert [row["name"] for row in json.loads(out)] == ["a"] and "record 2" in err


def test_a_secret_is_journalled_without_its_data(journal: Journal) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "hunter2"}}
    journal.append("apply", secret, secret)
    assert b"hunter2" not in journal.path.read_bytes()
    assert next(journal.records()).content["undo"] is None


def test_an_unwritable_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="cannot write"):
        Journal(tmp_path / "file" / "journal.jsonl").ready()
