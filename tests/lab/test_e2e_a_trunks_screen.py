"""The trunk screens in a real terminal on the real lab, with keys only. The witnesses are the guest's own ping and what
iproute2 says of the node."""

from __future__ import annotations

import asyncio
import copy
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests_lab import BIN, PREFIX, STATE, Lab, until
from tests_terminal import Terminal

from bascule_kube import Cluster
from bascule_kube.kinds import NETWORK

pytestmark = [pytest.mark.root, pytest.mark.qemu]


def network(document: dict[str, Any] | None = None) -> dict[str, Any]:
    """dc1 as the API has it, or put back as it was."""

    async def act() -> dict[str, Any]:
        async with await Cluster.open(STATE / "kubeconfig") as cluster:
            live = await cluster.get(NETWORK, "dc1")
            if document is None or live["spec"] == document["spec"]:
                return live
            return await cluster.replace({**live, "spec": document["spec"]})

    return asyncio.run(act())


@pytest.fixture
def terminal(lab: Lab, tmp_path: Path) -> Iterator[Terminal]:
    """The console on the trunk screen; afterwards dc1 is as it was."""
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    before, found = copy.deepcopy(network()), Terminal(f"{PREFIX}-trunks")
    try:
        found.start(f"env -u COLUMNS -u LINES XDG_STATE_HOME={tmp_path} {BIN / 'bascule'} --lab")
        found.see("✓ Running")
        found.goto("trunks", "Trunks")
        found.see("trunk of dc1")
        yield found
    finally:
        found.close()
        network(before)


def matrix(terminal: Terminal) -> dict[tuple[int, str], str]:
    """(VLAN, node) → verdict, as they stand on the screen."""
    lines = terminal.screen().splitlines()
    nodes: list[str] = next((line.split()[2:] for line in lines if line.startswith("NETWORK")), [])
    rows = [re.findall(r"\d+|proven|unproven|failed", line[len("dc1") :]) for line in lines if line.startswith("dc1 ")]
    return {(int(row[0]), node): verdict for row in rows for node, verdict in zip(nodes, row[1:], strict=False)}


def test_one_vlan_off_one_switch_port_changes_exactly_that_cell_on_screen(lab: Lab, terminal: Terminal) -> None:
    terminal.see("9 proven")
    terminal.press("m")
    terminal.see("› Matrix")
    terminal.see("VLAN 100 of dc1")
    until("every node is across", lambda: len(matrix(terminal)) == 9)
    good = matrix(terminal)
    assert set(good.values()) == {"proven"}
    lab.lab("fault", "vlan", "node2", "110", "off")
    try:
        terminal.press("p")
        terminal.see("1 unproven")
        until("the cell is there", lambda: "unproven" in matrix(terminal).values())
        bad = matrix(terminal)
        assert [place for place in bad if bad[place] != good[place]] == [(110, "node2")]
        terminal.press("Down", "Right")
        terminal.see("VLAN 110 of dc1 on node2")
        terminal.see("nobody answered tagged on trunk0")
        terminal.press("Escape")
        terminal.leave("› Matrix")
        terminal.see("VLAN 110 of Network dc1 is unproven")
    finally:
        lab.lab("fault", "vlan", "node2", "110", "on")
    terminal.press("p")
    terminal.see("9 proven")


def choose(terminal: Terminal, node: str, link: str) -> None:
    """Put the cursor on a link by filtering for it."""
    terminal.press("/")
    terminal.leave("esc back")
    terminal.press("C-u")
    terminal.see("/ regular expression")
    terminal.type(f"{node} {link} ")
    terminal.see(f"/ {node} {link}")
    terminal.press("Enter")
    terminal.see("esc back")
    terminal.see(f"{node} {link}")


def order(terminal: Terminal, key: str, *more: str) -> None:
    """Through the form to the plan."""
    terminal.press(key)
    terminal.see("hostConfig as it will apply")
    terminal.press(*more, "C-s")
    terminal.see("nothing is changed yet")


@pytest.mark.long
def test_detach_then_attach_by_hand_taken_back_and_kept(lab: Lab, terminal: Terminal) -> None:
    """On a node that is emptied for it; a VM moved there without trunk is what the attach is for."""
    guests = {guest["name"]: guest["node"] for guest in lab.status()["guests"]}
    node = min(("node1", "node2", "node3"), key=list(guests.values()).count)
    away = next(other for other in ("node1", "node2", "node3") if other != node)
    for name, where in guests.items():
        if where == node:
            lab.cli("vms", "move", name, "--to", away)
    vm = next(name for name in guests if name.startswith("db-"))
    home = lab.node_of(vm)
    try:
        choose(terminal, node, "trunk0")
        order(terminal, "x")
        terminal.press("A")
        terminal.see("kept by every node")
        terminal.press("Escape")
        terminal.leave("› Detach")
        lab.cli("vms", "move", vm, "--to", node, check=None)  # its record says that the gateway was lost: no trunk
        until("the VM is there", lambda: lab.node_of(vm) == node)
        assert not reaches(lab, vm)
        attach_by_hand(terminal, node, "R")
        terminal.see("the Network is as it was, on every node")
        assert not reaches(lab, vm) and "direct-action" not in filters(node)
        terminal.press("Escape")
        terminal.leave("› Attach")
        attach_by_hand(terminal, node, "K")
        terminal.see("kept by every node")
        until("the VM reaches its gateway", lambda: reaches(lab, vm))
        assert "direct-action" in filters(node)
    finally:
        lab.cli("vms", "move", vm, "--to", home, check=None)
        for name, where in guests.items():
            if where == node:
                lab.cli("vms", "move", name, "--to", node, check=None)


def attach_by_hand(terminal: Terminal, node: str, word: str) -> None:
    """Attach trunk0, confirmed by hand; then that word."""
    terminal.see("usable")
    choose(terminal, node, "trunk0")
    order(terminal, "a", "Down")
    terminal.press("A")
    shown = terminal.see("waits for your word")
    assert "unless it is kept" in shown and "dead-man process holds their inverses" in shown
    terminal.press(word)


def reaches(lab: Lab, vm: str) -> bool:
    """The guest's own word."""
    return " 0% packet loss" in lab.guest(vm, "ping -c 2 -W 1 10.120.0.1", check=None)


def filters(node: str) -> str:
    """What tc says is attached to the node's trunk."""
    command = ["ip", "netns", "exec", f"{PREFIX}-{node}", "tc", "filter", "show", "dev", "trunk0", "ingress"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
