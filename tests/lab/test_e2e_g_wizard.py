"""The wizard walked from a live hypervisor to the last signature, in lines, by a script that answers its questions.

Witnesses that are not Bascule: virsh, and ping from the gateway's and the outside host's namespaces.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator

import pytest
from tests_lab import BIN, Lab
from tests_old import Old, old_side, reached

pytestmark = [pytest.mark.root, pytest.mark.qemu, pytest.mark.long]


@pytest.fixture(scope="module")
def old(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Old]:
    """Two VMs on two VLANs under libvirt."""
    with old_side(lab, tmp_path_factory.mktemp("wizard"), "--vms", "2") as found:
        yield found


def walk(*lines: str, seconds: float = 240.0) -> str:
    """What `bascule --lab wizard --plain` writes when it is told these lines."""
    command = [str(BIN / "bascule"), "--lab", "wizard", "--plain"]
    text = "\n".join(lines) + "\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    return done.stdout


def test_from_the_hypervisor_to_the_signature(lab: Lab, old: Old) -> None:
    shop, ledger = old.vms["shop-1"], old.vms["ledger-1"]
    groups = ("set vlan.shops 110", "set vlan.ledgers 120")
    addresses = [f"set identity.address.'0 {key}' {ip}" for key, ip in _keys(old).items()]
    out = walk(f"set live {old.uri}", "next", "next", *groups, "next", *addresses, "go assess", "do prove", "do seen",
               "go identity", "next", "next", "set vms 1", "next", "do try", "next")  # fmt: skip
    assert "\nerror: " not in out, out
    assert re.search(r"(\d+) of \1 proofs \(VLAN and trunk\) hold", out) and "2 of 2 addresses answer now" in out
    assert "Step 8 of 9: Run - 0 of 2 VMs moved" in out
    assert (old.state("shop-1"), old.state("ledger-1")) == ("running", "running")
    first = next(name for name in ("shop-1", "ledger-1") if re.search(rf"^  1 +{name} +waiting", out, re.MULTILINE))
    out = walk("do rehearse 1", "wait", "do start 1", "yes", "wait")
    assert f"{first}: is ready" in out and f"wave 1, {first}: moved, 6 of 6 steps" in out
    assert old.state(first) == "shut off"
    reached(old.vms[first])
    out = walk(f"do rollback {first}", "yes", "wait", "do start 2", "yes", "wait")
    assert f"wave 1, {first}: rolled back" in out and "median of" in out
    assert old.state(first) == "running"
    reached(shop)
    reached(ledger)
    out = walk("next", "do compare", "do sign 'wave 2'", "yes", "show", "back")
    assert "signed off by" in out and "Accept - 1 of 1 VM signed off" in out
    assert re.search(r"^  2 .* accepted ", out, re.MULTILINE)


def _keys(old: Old) -> dict[str, str]:
    """Key in the estate → address, of every VM whose guest did not tell it: that is asked."""
    rows = old.lab.cli("estate", "import", old.uri, "--to", str(old.folder / "estate.json"), check=None)
    assert "2 vms" in rows.err
    listed = old.lab.cli("estate", "show", str(old.folder / "estate.json"), "-o", "json").json
    truth = {row["key"]: old.vms[row["name"]]["ip"] for row in listed}
    return {row["key"]: truth[row["key"]] for row in listed if truth[row["key"]] not in json.dumps(row)}
