"""Trunks in the lab with real guests: the matrix, a fault at the switch, a refused attach, the doctor."""

from __future__ import annotations

from typing import Any

import pytest
from tests_lab import Lab, until

pytestmark = [pytest.mark.root, pytest.mark.qemu]


def matrix(lab: Lab, check: int) -> dict[tuple[str, int], dict[str, Any]]:
    """`trunks prove -o json` by node and VLAN."""
    cells = lab.cli("trunks", "prove", "-o", "json", check=check).json
    return {(cell["node"], cell["vlan"]): cell for cell in cells}


def condition(lab: Lab, node: str) -> dict[str, Any]:
    """What a node says about dc1."""
    found = next(n for n in lab.cli("nodes", "list", "-o", "json").json if n["name"] == node)
    return next(c for c in found["conditions"] if c["message"].startswith("dc1:"))


def test_one_vlan_off_one_switch_port_changes_exactly_that_cell_and_is_named(lab: Lab) -> None:
    node = lab.node_of("web-1")
    good = matrix(lab, 0)
    assert len(good) == 9 and {cell["verdict"] for cell in good.values()} == {"proven"}
    lab.lab("fault", "vlan", node, "110", "off")
    try:
        bad = matrix(lab, 1)
        assert [key for key, cell in bad.items() if cell != good[key]] == [(node, 110)]
        until("the node names it", lambda: condition(lab, node)["reason"] == "VlanSilent", 5)
        found = lab.cli("doctor", "-o", "json", check=1).json
        assert {(f["id"], f["object"]) for f in found} >= {("vlan-missing-on-trunk", f"Node/{node}")}
    finally:
        lab.lab("fault", "vlan", node, "110", "on")
    until("it is clear", lambda: condition(lab, node)["status"] == "True", 5)
    assert matrix(lab, 0) == good
    assert not [f for f in lab.cli("doctor", "-o", "json", check=None).json if f["severity"] == "error"]


def test_a_bad_attach_is_refused_and_nothing_stays(lab: Lab) -> None:
    words = ("trunks", "attach", "--network", "dc1", "--node", "node1", "--interface")
    assert "--confirm-name node1" in lab.cli(*words, "mgmt0", check=4).err
    before = lab.cli("networks", "show", "dc1", "-o", "json").json
    done = lab.cli(*words, "mig0", check=1)
    assert "refused" in done.out and "goes back" in done.err
    after = lab.cli("networks", "show", "dc1", "-o", "json").json
    assert after["trunks"] == before["trunks"]
    guest = next(g["name"] for g in lab.status()["guests"] if g["node"] == "node1" and g["name"].startswith("web"))
    assert " 0% packet loss" in lab.guest(guest, "ping -c 2 -W 2 10.110.0.1")


def test_candidates_say_what_speaks_against_a_link(lab: Lab) -> None:
    rows = {(r["node"], r["name"]): r for r in lab.cli("trunks", "list", "-o", "json", "--listen", "2").json}
    trunk, management = rows["node1", "trunk0"], rows["node1", "mgmt0"]
    assert trunk["network"] == "dc1" and {110, 120} >= set(trunk["vlans"]) and trunk["vlans"]
    assert management["default_route"] and "default route" in management["problem"]
