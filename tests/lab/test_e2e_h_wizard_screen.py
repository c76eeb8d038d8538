"""The wizard walked in a real terminal by keys alone, with a run: from a live libvirt to VMs on their old addresses.

Witnesses that are not Bascule: ping from the gateway and the outside host, the gateway's neighbour table, virsh.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from tests_lab import BIN, Lab
from tests_old import Old, old_side, reached
from tests_terminal import Terminal

pytestmark = [pytest.mark.root, pytest.mark.qemu, pytest.mark.long]
VLANS = {"archives": "100", "ledgers": "120", "shops": "110"}


@pytest.fixture
def old(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Old]:
    with old_side(lab, tmp_path_factory.mktemp("wizard")) as found:
        yield found


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    found = Terminal(f"wizard-{os.getpid()}")
    try:
        yield found
    finally:
        found.close()


def do(terminal: Terminal, *numbers: str) -> None:
    """`a`, then the entries of the lists that come up; the last one is confirmed."""
    terminal.press("a")
    for number, title in zip(numbers, ("What is to be done", "which one"), strict=False):
        terminal.see(title)
        terminal.press(number)
        terminal.leave(title)
    terminal.see("y do it")
    terminal.press("y")


def test_from_libvirt_to_accepted_by_keys_alone(lab: Lab, old: Old, terminal: Terminal) -> None:
    listed = old.folder / "addresses.csv"
    rows = (f'"{vm["name"]}",{vm["mac"]},{vm["ip"]}\n' for vm in old.vms.values())
    listed.write_text("vm,mac,ip\n" + "".join(rows))
    terminal.start(f"XDG_STATE_HOME={old.folder}/state env -u COLUMNS -u LINES {BIN}/bascule --lab wizard")
    terminal.tmux("resize-window", "-t", "t", "-x", "160", "-y", "45")
    terminal.see("1 of 9  Source")
    terminal.type(str(listed))
    terminal.press("Enter")
    terminal.see("addresses.csv csv")
    terminal.type(old.uri)
    terminal.press("C-n")
    terminal.see("2 of 9  Assess")
    terminal.press("n")
    terminal.see("3 of 9  Networks")
    for group, vlan in VLANS.items():
        terminal.press("m")
        terminal.see("1 to 4094")
        terminal.type(vlan)
        terminal.press("Escape")
        terminal.leave(f"VLAN of port group {group} is not known")
    terminal.press("n")
    terminal.see(f"{len(old.vms)} VMs to move, 0 held back")
    terminal.press("n")
    terminal.see("5 of 9  Policies")
    terminal.press("n")
    terminal.see("6 of 9  Waves")
    terminal.press("e")
    terminal.see("VMs in one wave")
    terminal.type("3")
    terminal.press("Escape")
    terminal.see("2 waves, 6 VMs")
    terminal.press("n")
    terminal.see("7 of 9  Review")
    terminal.press("n")
    terminal.see("8 of 9  Run")
    for wave in (1, 2):
        do(terminal, "2", "1")  # start; the first wave that is open
        terminal.see(f"{3 * wave} of 6 VMs moved", 240)
        terminal.see(f"the run of wave {wave} has ended")
    assert {old.state(name) for name in old.vms} == {"shut off"}
    for vm in old.vms.values():
        reached(vm)
    do(terminal, "5", "1")  # roll the first one back
    terminal.see("1 rolled back", 120)
    back = [name for name in old.vms if old.state(name) == "running"]
    assert len(back) == 1
    reached(old.vms[back[0]])
    terminal.press("n")
    terminal.see("9 of 9  Accept")
    terminal.press("a")
    terminal.see("What is to be done")
    terminal.press("1")
    terminal.see("Each VM, compared at", 60)
    do(terminal, "2", "1")  # sign wave 1 off
    terminal.see("accepted", 60)
    terminal.press("q")
    terminal.see("ended with 0")
    states = {row["target"]: row["state"] for row in old.plan("status", "-o", "json").json}
    assert sorted(states.values()).count("rolled back") == 1 and "accepted" in states.values()
