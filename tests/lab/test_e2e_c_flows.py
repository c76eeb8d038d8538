"""Flow history on real guests: a drop is answered from the node's history after its agent was killed and came back."""

from __future__ import annotations

import pytest
from tests_frames import settle
from tests_lab import Lab, until

pytestmark = [pytest.mark.root, pytest.mark.qemu]

QUESTION = ("flows", "vlan:110 and verdict:drop", "--since", "10m", "-o", "json")
LIE = """arp -i eth0 -s 10.110.0.1 02:00:00:00:00:01
ip addr add 10.110.0.98/24 dev eth0
ping -c 3 -W 1 -I 10.110.0.98 10.110.0.1"""
UNDO = "ip addr del 10.110.0.98/24 dev eth0; arp -d 10.110.0.1"


def lies(document: dict) -> int:
    """Frames dropped from the address that web-1 does not have."""
    rows = [row for row in document["flows"] if row["src"]["ip"] == "10.110.0.98"]
    assert {row["verdict"] for row in document["flows"]} <= {"drop"}
    assert {row["vlan"] for row in document["flows"]} <= {110}
    assert all(row["reason"] == "spoofed-ip" and row["vm"] == "web-1" for row in rows)
    return sum(row["packets"] for row in rows)


def test_a_drop_is_answered_from_history_after_an_agent_restart(lab: Lab) -> None:
    node = lab.node_of("web-1")
    before = lies(lab.cli(*QUESTION).json)
    lab.guest("web-1", "; ".join(LIE.splitlines()), check=None)
    lab.guest("web-1", UNDO, check=None)
    settle(1.5)
    asked = lab.cli(*QUESTION)
    assert lies(asked.json) == before + 3
    ledger = asked.json["ledger"]
    assert ledger["seen"] == ledger["sent"] + ledger["filtered"] + sum(ledger["lost"].values())
    lab.lab("fault", "kill-agent", node, "--down", "1")
    until("it answers", lambda: lab.cli("flows", "--last", "1", check=None).code == 0, 30)
    again = lab.cli(*QUESTION)
    assert lies(again.json) == before + 3
    assert node in again.json["history"]
    # The last minute in the agent's memory knows nothing of it: the answer was the history's.
    assert lies(lab.cli("flows", "vlan:110 and verdict:drop", "--last", "999", "-o", "json").json) == 0


def test_a_recording_of_the_lab_answers_as_the_lab_did(lab: Lab, tmp_path) -> None:
    path = str(tmp_path / "lab.flows")
    lab.guest("web-1", "ping -c 2 -W 2 10.110.0.1")
    settle(1.5)
    lab.cli("flows", "record", path, "vm:web-1 proto:icmp host:10.110.0.1", "--since", "10m")
    there = {row["direction"]: row for row in lab.cli("flows", "--input", path, "-o", "json").json["flows"]}
    assert there["egress"]["dst"]["name"] == "gateway dc1/110" and there["egress"]["packets"] >= 2
    assert there["ingress"]["src"]["kind"] == "gateway" and there["ingress"]["verdict"] == "allow"
