"""The console in a real terminal on the real lab, with keys only: make a Network, edit it, attach a NIC, move a VM,
freeze and filter flows, undo. The witness is curl on the API and the terminal's own screen."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests_lab import BIN, PREFIX, STATE, Lab, until
from tests_terminal import Terminal

pytestmark = [pytest.mark.root, pytest.mark.qemu]

NETWORKS = "/apis/projectcalico.org/v3/networks"
VMS = "/apis/kubevirt.io/v1/namespaces/vms/virtualmachines"
VMIS = "/apis/kubevirt.io/v1/namespaces/vms/virtualmachineinstances"
NAME, VM, MOVED, TMUX = "e2e-net", "legacy-2", "db-2", f"{PREFIX}-console"


def curl(path: str, *options: str) -> Any:
    """The API's answer as curl gets it; None for 404."""
    config = yaml.safe_load((STATE / "kubeconfig").read_text())
    context = next(c["context"] for c in config["contexts"] if c["name"] == "lab-admin")
    server = next(c["cluster"]["server"] for c in config["clusters"] if c["name"] == context["cluster"])
    token = next(u["user"]["token"] for u in config["users"] if u["name"] == context["user"])
    command = ["curl", "-sk", *options, "-H", f"Authorization: Bearer {token}", server + path]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return None if found.get("code") == 404 else found


def vlans() -> list[int]:
    """The Network's VLANs, [] without it."""
    found = curl(f"{NETWORKS}/{NAME}")
    return [entry["vlan"]["id"] for entry in found["spec"]["l2Bridge"]["vlans"]] if found else []


def nics() -> list[str]:
    """The NADs of the VM's template."""
    spec = curl(f"{VMS}/{VM}")["spec"]["template"]["spec"]
    return [network["multus"]["networkName"] for network in spec["networks"] if "multus" in network]


def node() -> str:
    """Where the VM that is moved runs."""
    found: str = curl(f"{VMIS}/{MOVED}")["status"]["nodeName"]
    return found


class Console(Terminal):
    """The terminal with the console in it. `goto` types without waiting: keys in a burst must all arrive."""

    def until(self, what: str, probe: Callable[[], Any]) -> None:
        """`until` that shows what stands on the screen instead."""
        try:
            until(what, probe)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen()}") from None

    def goto(self, mode: str, title: str) -> None:
        """`:mode`, and its crumb."""
        self.type(f":{mode}")
        self.press("Enter")
        self.see(f"› {title}")

    def filter(self, text: str) -> None:
        """`/text` on the active table."""
        self.press("/", "C-u")
        self.type(text)
        self.press("Enter")
        self.see(f"/{text.strip()}")

    def apply(self) -> None:
        """The review that stands on the screen."""
        self.see("a apply")
        self.press("a")


@pytest.fixture
def terminal(lab: Lab) -> Iterator[Console]:
    """A terminal; afterwards neither the Network nor the second NIC is left, whatever happened."""
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    found, before = Console(TMUX), curl(f"{VMS}/{VM}")["spec"]
    try:
        yield found
    finally:
        found.close()
        curl(f"{NETWORKS}/{NAME}", "-X", "DELETE")
        if len(nics()) > 1:
            whole = json.dumps({**curl(f"{VMS}/{VM}"), "spec": before})
            curl(f"{VMS}/{VM}", "-X", "PUT", "-H", "Content-Type: application/json", "-d", whole)


def test_an_hour_at_the_console(lab: Lab, terminal: Console, tmp_path: Path) -> None:
    terminal.start(f"env -u COLUMNS -u LINES XDG_STATE_HOME={tmp_path} {BIN / 'bascule'} --lab")
    terminal.see("✓ Running")
    running = len([guest for guest in lab.status()["guests"] if guest["state"] == "running"])
    terminal.goto("overview", "Overview")
    terminal.see(f"{running} of {running} VMs running")
    terminal.see("✓ 3/3")
    make_and_edit(terminal)
    attach(terminal)
    move(terminal)
    freeze_and_filter(terminal)
    undo(terminal)
    delete(terminal)
    terminal.press("q")
    terminal.see("ended with 0")
    chain = subprocess.run(
        [str(BIN / "bascule"), "journal", "verify"], env={"XDG_STATE_HOME": str(tmp_path), "PATH": "/usr/bin"}
    )
    assert chain.returncode == 0


def make_and_edit(terminal: Console) -> None:
    """A Network through the form; what the agents say of it comes back on the same screen; then one VLAN more."""
    terminal.goto("networks", "Networks")
    terminal.see("dc1")
    terminal.press("n")
    terminal.see("New Network")
    terminal.type(NAME)
    terminal.press("Tab")
    terminal.type("trunk9")
    terminal.press("Tab", "Tab", "Tab", "Tab")
    terminal.type("300 10.30.0.0/24")
    terminal.press("C-s")
    terminal.see("+    - subnets:")
    assert vlans() == [], "a look changed something"
    terminal.apply()
    until("the Network is there", lambda: vlans() == [300])
    terminal.see("✗ 0/3")

    terminal.filter(NAME)
    terminal.see("1 of 2")
    terminal.press("Enter")
    terminal.see(f"› {NAME}")
    terminal.see("TrunkMissing")
    terminal.press("e")
    terminal.see("Edit Network")
    terminal.press("Tab", "Tab", "Tab", "Tab")
    terminal.type("301 10.31.0.0/24")
    terminal.press("Enter", "C-s")
    terminal.see("10.31.0.0/24")
    terminal.apply()
    until("the edit is there", lambda: vlans() == [301, 300])
    terminal.see("10.31.0.0/24")


def attach(terminal: Console) -> None:
    """A second NIC, on VLAN 110."""
    assert nics() == ["vms/vlan-100"]
    terminal.goto("vms", "VMs")
    terminal.filter(VM)
    terminal.see(" 1 of ")
    terminal.press("a", "Down", "Enter")
    terminal.type("10.110.0.77")
    terminal.press("Enter")
    terminal.apply()
    until("the NIC is there", lambda: nics() == ["vms/vlan-100", "vms/vlan-110"])


def move(terminal: Console) -> None:
    """A live move with its record."""
    before = node()
    terminal.see("› VMs")
    terminal.filter(MOVED)
    terminal.see(MOVED)
    terminal.press("m")
    terminal.see(f"Move vms/{MOVED} away from")
    terminal.press("Enter")
    terminal.see(f"Live-migrate {MOVED}")
    terminal.press("y")
    shown = terminal.see("r on the VM shows this again", 120)
    # What the move did to the connection is judged where nothing else runs (test_e2e_6_moves).
    assert "Succeeded" in shown and "IP " in shown and "unchanged" in shown, shown
    assert node() != before
    terminal.press("Escape")  # a key right after Escape would be read as Alt and that key
    terminal.until("the record is closed", lambda: "esc close" not in terminal.screen())


def freeze_and_filter(terminal: Console) -> None:
    """Flows of one VLAN, held while more come."""
    terminal.goto("flows", "Flows")
    terminal.see("following")
    terminal.filter("vlan:110 verdict:allow")
    terminal.until("flows of the VLAN are on the screen", lambda: rows(terminal))
    terminal.press("Space")
    terminal.see("frozen")
    held = painted(terminal)
    assert held and all(" 110 " in line for line in held), terminal.screen()
    terminal.until(
        "flows still come in: freezing does not stop the intake", lambda: "+0 newer" not in terminal.screen()
    )
    assert rows(terminal) == held, "the view moved while frozen"
    terminal.press("Space")
    terminal.until("the view runs again", lambda: "frozen" not in terminal.screen())


def painted(terminal: Console) -> list[str]:
    """The flows on the screen once the frame that was on its way has been painted: two looks that are alike."""
    looks: list[list[str]] = [[]]

    def alike() -> bool:
        looks.append(rows(terminal))
        return bool(looks[-1]) and looks[-1] == looks[-2]

    terminal.until("the frozen view stands still", alike)
    return looks[-1]


def rows(terminal: Console) -> list[str]:
    """The flows on the screen."""
    return [line for line in terminal.screen().splitlines() if "✓ allow" in line]


def undo(terminal: Console) -> None:
    """The newest change is the NIC; the one before it the edit."""
    terminal.goto("journal", "Journal")
    terminal.see(f"VirtualMachine/vms/{VM}")
    terminal.press("u")
    terminal.see("Undo record 3")
    terminal.apply()
    until("the NIC is gone", lambda: nics() == ["vms/vlan-100"])
    terminal.see("by #4")
    terminal.press("j", "u")
    terminal.see("Undo record 2")
    terminal.apply()
    until("the edit is gone", lambda: vlans() == [300])
    terminal.see("by #5")


def delete(terminal: Console) -> None:
    """The Network goes, since nothing hangs on it."""
    terminal.goto("networks", "Networks")
    terminal.see(NAME)
    terminal.press("C-d")
    terminal.see(f"Delete Network/{NAME}")
    terminal.apply()
    until("the Network is gone", lambda: curl(f"{NETWORKS}/{NAME}") is None)
