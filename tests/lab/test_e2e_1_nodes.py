"""The lab as an operator sees it: nodes, ports, guests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests_lab import Lab

pytestmark = [pytest.mark.root, pytest.mark.qemu]


def test_nodes_list_matches_the_plan_and_iproute2(lab: Lab) -> None:
    status = lab.status()
    nodes = {n["name"]: n for n in lab.cli("nodes", "list", "-o", "json").json}
    assert sorted(nodes) == ["node1", "node2", "node3"]
    for name, node in nodes.items():
        assert node["agent"]["mode"] == "manage"
        assert node["trunk"] | {"name": "trunk0", "carrier": True} == node["trunk"]
        here = {g["name"] for g in status["guests"] if g["node"] == name}
        assert {p["vm"] for p in node["ports"]} == here
        assert all(p["state"] == "live" for p in node["ports"])
        needed = {p["vlan"] for p in node["ports"]}
        assert {b["vlan"] for b in node["bridges"]} == needed
        assert set(node["trunk"]["vlans"]) == needed
        shown = lab.lab("exec", name, "--", "ip", "-j", "-d", "link").json
        bridges = {link["ifname"] for link in shown if link.get("linkinfo", {}).get("info_kind") == "bridge"}
        assert bridges == {b["name"] for b in node["bridges"]}
        locked = [x for x in shown if x.get("linkinfo", {}).get("info_slave_data", {}).get("locked")]
        assert len(locked) == len(node["ports"])


def test_status_gives_pid_and_qmp_socket_of_each_guest(lab: Lab) -> None:
    guests = lab.status()["guests"]
    assert len(guests) == 12
    for guest in guests:
        assert guest["kind"] == "qemu"
        assert b"qemu" in Path(f"/proc/{guest['pid']}/cmdline").read_bytes()
        assert os.path.exists(guest["qmp"])


def test_every_guest_answers_the_gateway_and_echoes(lab: Lab) -> None:
    vms = lab.cli("vms", "list", "-o", "json").json
    assert len(vms) == 12
    for vm in vms:
        ip = vm["nics"][0]["ip"] if "nics" in vm else vm["ip"]
        lab.lab("exec", "gateway", "--", "ping", "-c", "1", "-W", "5", ip)
    echo = "import socket,sys; s=socket.create_connection((sys.argv[1],7),5); s.send(b'bascule'); print(s.recv(7))"
    assert "bascule" in lab.lab("exec", "gateway", "--", "python3", "-c", echo, "10.110.0.11").out
