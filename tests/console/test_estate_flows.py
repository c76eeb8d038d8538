"""A recording of `flows record` as the evidence of `assess`: the same bytes an agent sends, through the same file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bascule.flows.ledger import Ledger
from bascule.flows.record import RECORD
from bascule.flows.store import Batch
from bascule.flows.surroundings import Surroundings
from bascule.migration.talk import Talk, of_records, pairs
from bascule_console.cli.main import main
from bascule_console.services.flowfile import FlowWriter

EXAMPLES = Path(__file__).parents[2] / "examples/estate"


def records() -> np.ndarray:
    found = np.zeros(4, RECORD)
    found["ethertype"] = [0x0800, 0x0800, 0x0800, 0x0806]
    found["src_ip"] = [[10, 110, 0, 11], [10, 110, 0, 11], [10, 120, 0, 11], [10, 110, 0, 11]]
    found["dst_ip"] = [[10, 120, 0, 11], [10, 120, 0, 11], [224, 0, 0, 18], [10, 110, 0, 1]]
    found["proto"] = [6, 6, 112, 0]
    found["src_port"], found["dst_port"] = [40000, 40001, 0, 0], [5432, 5432, 0, 0]
    found["packets"], found["bytes"] = [1, 2, 3, 4], [100, 200, 300, 400]
    return found


def test_records_become_conversations_without_their_client_ports() -> None:
    none = "00:00:00:00:00:00"
    talks = of_records(records())
    assert talks == [
        Talk("10.110.0.11", "10.120.0.11", 6, 5432, 3, 300, none, none),
        Talk("10.120.0.11", "224.0.0.18", 112, 0, 3, 300, none, none),
    ]
    assert pairs(talks, {"10.110.0.11": "b", "10.120.0.11": "a"}) == {("a", "b"): 300}
    assert of_records(records()[:0]) == []


def test_a_recording_answers_what_was_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = FlowWriter(tmp_path / "monday.flows", Surroundings())
    writer.add_flows(Batch("node1", 1, records(), (), Ledger(4, 4, {})))
    writer.close()
    main(["assess", str(EXAMPLES / "vms.csv"), "--flows", str(tmp_path / "monday.flows"), "-o", "json"])
    found = json.loads(capsys.readouterr().out)
    checks = {check["id"]: check for check in found["checks"]}
    assert checks["vrrp"]["verdict"] == "error" and checks["vrrp"]["results"][0]["object"] == "db-1"
    assert checks["multicast"]["verdict"] == "ok"
    (policy,) = [each for each in found["questions"] if each["id"] == "vlan-policy"]
    assert policy["answer"] == "yes" and policy["vms"] == ["db-1", "web-1"]
