"""`bascule trunks` against real agents on a real switch: the matrix by node, attach and detach, guards, exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root
BASCULE = str(Path(sys.executable).with_name("bascule"))


async def bascule(park, *words: str, stdin: str = "") -> tuple[int, str, str]:
    command = [BASCULE, "--kubeconfig", str(park.state / "admin"), *words]
    environment = os.environ | {"XDG_STATE_HOME": str(park.state / "xdg")}
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, input=stdin, env=environment, timeout=90
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


async def started(park, kit) -> None:
    for node in park.nodes:
        park.start(node)
    for node in park.nodes:
        await kit.until(lambda node=node: park.condition(node))


@pytest.mark.parametrize("park", [2], indirect=True)
async def test_the_matrix_changes_in_exactly_one_cell(park, kit):
    await started(park, kit)
    code, out, err = await bascule(park, "trunks", "prove", "-o", "json")
    good = json.loads(out)
    assert code == 0, err
    assert [(c["node"], c["vlan"], c["verdict"]) for c in good] == [
        (node, vlan, "proven") for node in ("node1", "node2") for vlan in (100, 110, 120)
    ]
    assert set(good[0]) == {"node", "network", "vlan", "verdict", "evidence"}
    await park.fabric.deny_vlan("node2", 110)
    code, out, _ = await bascule(park, "trunks", "prove", "-o", "json")
    changed = [cell for before, cell in zip(good, json.loads(out), strict=True) if before != cell]
    assert code == 1 and [(c["node"], c["vlan"], c["verdict"]) for c in changed] == [("node2", 110, "unproven")]

    code, out, _ = await bascule(park, "trunks", "list", "-o", "json", "--listen", "0.1")
    links = {(row["node"], row["name"]): row for row in json.loads(out)}
    assert code == 0 and links["node1", "trunk0"]["network"] == "dc1" and links["node1", "mgmt0"]["default_route"]
    assert links["node1", "trunk0"]["speed"] == 10000 and links["node1", "mig0"]["mtu"] == 1500
    assert (await bascule(park, "trunks", "prove", "--network", "nope"))[0] in (2, 5)


async def test_attach_guards_commits_and_goes_back(park, kit):
    await started(park, kit)
    web = await park.guest("web", 110, 1)
    await park.live(1)
    change = ("trunks", "attach", "--network", "dc1", "--node", "node1")
    code, _, err = await bascule(park, *change, "--interface", "mgmt0")
    assert code == 4 and "--confirm-name node1" in err and "default route" in err
    assert (await bascule(park, *change, "--interface", "eth9"))[0] == 4
    assert (await bascule(park, "trunks", "attach", "--network", "dc1", "--node", "x", "--interface", "trunk0"))[0] == 2
    assert (await bascule(park, "--read-only", *change, "--interface", "mig0"))[0] == 4

    code, out, err = await bascule(park, *change, "--interface", "mig0", "-o", "json")
    (row,) = json.loads(out)
    assert code == 1 and row["state"] == "refused" and "goes back" in err, (out, err)
    live = await park.cluster.get(kit.NETWORK, "dc1")
    assert [entry["nodeSelector"] for entry in live["spec"]["l2Bridge"]["hostConfig"]] == [""]
    assert park.ping(web)

    code, out, err = await bascule(park, *change, "--interface", "trunk0", "--native", "100", "--dry-run", "-o", "json")
    (plan,) = json.loads(out)
    assert code == 0 and plan["blast"]["vms"] == [] and {c["verdict"] for c in plan["proof"]} == {"proven"}, err
    keep = (*change, "--interface", "trunk0", "--native", "100", "--confirm", "manual", "-o", "json")
    code, out, err = await bascule(park, *keep, stdin="y\n")
    assert out, err
    (row,) = json.loads(out)
    assert code == 0 and row["state"] == "confirmed", (out, err)
    live = await park.cluster.get(kit.NETWORK, "dc1")
    selectors = [entry["nodeSelector"] for entry in live["spec"]["l2Bridge"]["hostConfig"]]
    assert selectors == ['kubernetes.io/hostname == "node1"', ""]
    assert park.ping(web)
    code, _, err = await bascule(park, "trunks", "detach", "--network", "dc1", "--node", "node1")
    assert code == 4 and "vms/web" in err
    journal = (await bascule(park, "journal", "list", "-o", "json"))[1]
    assert len(json.loads(journal)) == 3  # the change that was refused, its return, the change that was kept
