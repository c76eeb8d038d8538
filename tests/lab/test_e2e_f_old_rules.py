"""The old firewall's rules enforced on real guests: every pair and port fares as the NSX document says.

The forecast is the test-only evaluator of the JSON (tests_nsx_cases.Naive), the witness the guests' own TCP and ICMP.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests_lab import PREFIX, STATE, Lab
from tests_nsx_cases import Naive
from tests_policies import Policies, tcp

from bascule_kube import Cluster
from bascule_kube.kinds import POD

pytestmark = [pytest.mark.root, pytest.mark.qemu, pytest.mark.long]

ESTATE = Path(__file__).parents[2] / "examples/old-firewall/nsx.json"
OUTSIDE = "198.51.100.10"
PORTS = (7, 22, 80, 443, 5432)
PING = (1, 8, 0)
PROBE = """
for ip in {addresses}; do
  for port in {ports}; do
    ( said=$(nc -w 3 $ip $port </dev/null 2>&1) && echo $ip $port allow && exit
      case "$said" in *refused*) echo $ip $port allow;; *) echo $ip $port deny;; esac ) &
  done
  ( ping -c 1 -W 3 -q $ip >/dev/null && echo $ip ping allow || echo $ip ping deny ) &
done; wait
"""


def label(labels: dict[str, dict[str, str]]) -> None:
    """Put the plan's labels on the running launcher pods, as the next start of each VM would."""

    async def act() -> None:
        async with await Cluster.open(STATE / "kubeconfig") as cluster:
            for pod in await cluster.list(POD, namespace="vms"):
                name = pod["metadata"]["labels"].get("vm.kubevirt.io/name", "")
                if name in labels:
                    patch = {"metadata": {"labels": labels[name]}}
                    await cluster.merge_patch(POD, pod["metadata"]["name"], patch, namespace="vms")

    asyncio.run(act())


def answers(lab: Lab, vm: str, addresses: list[str]) -> dict[tuple[str, str], str]:
    """What a guest reaches: {(address, port or "ping"): allow or deny}."""
    script = PROBE.format(addresses=" ".join(addresses), ports=" ".join(map(str, PORTS)))
    lines = (line.split() for line in lab.guest(vm, script, timeout=120).splitlines())
    return {(ip, port): verdict for ip, port, verdict in lines}


def forecast(naive: Naive, source: str, destination: str, port: str) -> str:
    return naive.connection(source, destination, PING if port == "ping" else (6, 0, int(port)))


def test_every_pair_and_port_fares_as_the_old_rules_say(lab: Lab, policies: Policies, tmp_path: Path) -> None:
    out = tmp_path / "carried"
    lab.cli("policies", "import", str(ESTATE), "--prove", "--namespace", "vms", "-o", str(out))
    given = {each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
             for each in yaml.safe_load_all((out / "labels.yaml").read_text())}  # fmt: skip
    label(given)
    documents: list[Any] = []
    for name in ("tiers", "sets", "policies"):
        documents += yaml.safe_load_all((out / f"{name}.yaml").read_text())
    policies.apply(*documents)
    naive = Naive(json.loads(ESTATE.read_text()))
    address = {vm["display_name"]: naive.address[vm["external_id"]] for vm in naive.vms}
    for vm in address:
        policies.some_in_force(vm)
    vlan = {vm: ip.rsplit(".", 1)[0] for vm, ip in address.items()}
    wanted: dict[tuple[str, str, str], str] = {}
    got: dict[tuple[str, str, str], str] = {}
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        asked = {}
        for vm, mine in address.items():
            there = [ip for other, ip in address.items() if other != vm and vlan[other] == vlan[vm]] + [OUTSIDE]
            asked[pool.submit(answers, lab, vm, there)] = (mine, there)
        for done in concurrent.futures.as_completed(asked):
            mine, there = asked[done]
            got |= {(mine, ip, port): verdict for (ip, port), verdict in done.result().items()}
            for ip in there:
                wanted |= {(mine, ip, p): forecast(naive, mine, ip, p) for p in (*map(str, PORTS), "ping")}
    for theirs in address.values():
        for port in PORTS:
            wanted[OUTSIDE, theirs, str(port)] = forecast(naive, OUTSIDE, theirs, str(port))
            got[OUTSIDE, theirs, str(port)] = "allow" if tcp(f"{PREFIX}-out", theirs, port) else "deny"
    assert len(wanted) == 12 * 4 * 6 + 12 * 5
    assert {each for each in wanted.values()} == {"allow", "deny"}
    differ = {key: (wanted[key], got.get(key, "no answer")) for key in wanted if got.get(key) != wanted[key]}
    assert not differ, f"{len(differ)} of {len(wanted)} fare differently: {dict(list(differ.items())[:8])}"
