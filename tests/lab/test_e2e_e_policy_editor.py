"""A policy from its first line to its end, with keys in a real terminal on the real lab: staged, what-if, promoted,
reverted. The witnesses are the guest's own ping and curl on the API; the forecast must be what then happens."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests_lab import BIN, STATE, Lab, until
from tests_terminal import Terminal

pytestmark = [pytest.mark.root, pytest.mark.qemu, pytest.mark.long]

NAME, VM, GATEWAY = "h9-noping", "web-1", "10.110.0.1"
V3 = "/apis/projectcalico.org/v3/namespaces/vms"
ENFORCED, STAGED = f"{V3}/networkpolicies/{NAME}", f"{V3}/stagednetworkpolicies/{NAME}"


def curl(path: str, *options: str) -> Any:
    """The API's answer as curl gets it; None for 404."""
    config = yaml.safe_load((STATE / "kubeconfig").read_text())
    context = next(c["context"] for c in config["contexts"] if c["name"] == "lab-admin")
    server = next(c["cluster"]["server"] for c in config["clusters"] if c["name"] == context["cluster"])
    token = next(u["user"]["token"] for u in config["users"] if u["name"] == context["user"])
    command = ["curl", "-sk", *options, "-H", f"Authorization: Bearer {token}", server + path]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return None if found.get("code") == 404 else found


def answered(lab: Lab) -> int:
    """How many of the guest's three echo requests the gateway answers."""
    out = lab.guest(VM, f"ping -c 3 -i 0.2 -W 1 {GATEWAY}", check=None)
    return int(re.findall(r"(\d+) packets received", out)[0])


@pytest.fixture
def terminal(lab: Lab) -> Iterator[Terminal]:
    """A terminal; afterwards no policy of the test is left, whatever happened."""
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    found = Terminal("h9-policy")
    try:
        yield found
    finally:
        found.close()
        for path in (ENFORCED, STAGED):
            curl(path, "-X", "DELETE")


def test_staged_looked_at_promoted_reverted(lab: Lab, terminal: Terminal, tmp_path: Path) -> None:
    assert answered(lab) == 3
    terminal.start(f"env -u COLUMNS -u LINES XDG_STATE_HOME={tmp_path} {BIN / 'bascule'} --lab")
    terminal.see("✓ Running")
    terminal.goto("policies", "Policies")
    terminal.see("default")
    stage(terminal)
    assert curl(ENFORCED) is None and answered(lab) == 3, "a staged policy was enforced"
    look(terminal)
    promote(terminal)
    until("the guest's ping is denied, as forecast", lambda: answered(lab) == 0)
    terminal.goto("policies", "Policies")
    filter_rows(terminal, "Deny")
    until("hits are counted", lambda: re.search(r"Deny +[1-9]", terminal.screen()))
    revert(terminal)
    until("the guest's ping is answered again", lambda: answered(lab) == 3)
    terminal.press("q")
    terminal.see("ended with 0")


def stage(terminal: Terminal) -> None:
    """The form: staged, because nothing else is said."""
    terminal.press("n")
    terminal.see("New policy")
    terminal.type(NAME)
    terminal.press("Tab")
    terminal.type("vms")
    terminal.press("Tab", "Tab")
    terminal.type("10")
    terminal.press("Tab")
    terminal.type("vm.kubevirt.io/name == 'w")
    terminal.press("C-n")  # what the cluster has completes it
    terminal.see(f"vm.kubevirt.io/name == '{VM}'")
    terminal.press("Tab", "Tab", "Tab")
    terminal.type("out Deny icmp")
    terminal.press("Enter")
    terminal.type("out Allow")
    terminal.see(f"1 NIC: vms/{VM}/net-0")
    terminal.see("newly denied")
    terminal.press("C-s")
    terminal.see("a apply")
    terminal.see("stagedAction: Set")
    terminal.press("a")
    until("the staged policy is there", lambda: curl(STAGED))
    terminal.see(f"~ vms/{NAME}")


def look(terminal: Terminal) -> None:
    """What it would have done: the ping before is among it."""
    on_the_policy(terminal)
    terminal.press("w")
    terminal.see(f"what if {NAME}")
    shown = terminal.see("allow → deny")
    assert GATEWAY in shown and "icmp" in shown
    terminal.press("Escape")
    terminal.leave(f"what if {NAME}")


def promote(terminal: Terminal) -> None:
    """Into force; the staged one goes."""
    on_the_policy(terminal)
    terminal.press("P")
    terminal.see(f"Promote StagedNetworkPolicy/vms/{NAME}")
    terminal.see("newly denied")
    terminal.see("a apply")
    terminal.press("a")
    until("the policy is in force", lambda: curl(ENFORCED) and curl(STAGED) is None)
    terminal.see("✓ enforced")


def revert(terminal: Terminal) -> None:
    """From the journal: as it was before the promotion."""
    on_the_policy(terminal)
    terminal.press("u")
    terminal.see("Take back promote")
    terminal.see("a apply")
    terminal.press("a")
    until("it is staged again", lambda: curl(STAGED) and curl(ENFORCED) is None)
    terminal.see(f"~ vms/{NAME}")


def on_the_policy(terminal: Terminal) -> None:
    """The cursor on the policy: the tree shows nothing else."""
    filter_rows(terminal, NAME)
    terminal.press("g")
    terminal.see(f"NetworkPolicy/vms/{NAME}")


def filter_rows(terminal: Terminal, text: str) -> None:
    """`/text` on the tree."""
    terminal.see("esc back")
    terminal.press("/")
    until("the prompt is open", lambda: "esc back" not in terminal.screen())
    terminal.press("C-u")
    terminal.see("/ regular expression")
    terminal.type(text)
    terminal.see(f"/ {text}")
    terminal.press("Enter")
    terminal.see("esc back")
