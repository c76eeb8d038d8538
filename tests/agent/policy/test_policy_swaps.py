"""Swaps under traffic: no packet is judged by a half-written program or set, and nothing is left behind."""

from __future__ import annotations

import threading

import pytest
from tests.agent.policy.conftest import DROP, PASS, put_in_force, udp
from tests.agent.policy.test_policy_connections import NIC, PEER, allow, policy

from bascule_agent.bpf import raw

pytestmark = pytest.mark.root


def version(number: int) -> dict:
    """Rows over two blocks; the one that allows comes last, by a set that only this version has."""
    filler = [allow("TCP", 1000 + each) for each in range(60 + number % 40)]
    nets = [f"10.9.{number % 250}.{number // 250}/32", "10.110.0.0/24"]
    return policy("swap", ingress=[*filler, {"action": "Allow", "protocol": "UDP", "source": {"nets": nets}}])


def entries(bench, name: str) -> int:
    info = bench.objects.info(name)
    return len(raw.entries(bench.objects.maps[name], info.key_size, info.value_size))


def swaps(bench, enforcer, count: int) -> int:
    put_in_force(bench, enforcer, [version(0)], [NIC], NIC)
    results: dict[int, int] = {PASS: 0, DROP: 0}
    stop = threading.Event()

    def traffic() -> None:
        port = 1024
        while not stop.is_set():
            port = port + 1 if port < 65000 else 1024
            results[bench.receive(PEER, 17, udp(port, 53))] += 1

    bench.records()
    sender = threading.Thread(target=traffic)
    sender.start()
    for number in range(1, count + 1):
        put_in_force(bench, enforcer, [version(number)], [NIC], NIC)
    stop.set()
    sender.join()
    records = bench.records()
    mine = records[records["proto"] == 17]
    assert results[DROP] == 0 and not (mine["verdict"] != 1).any()
    assert {enforcer.rules.name(int(rule)).name for rule in set(mine["rule"].tolist())} == {"swap"}
    assert (entries(bench, "blocks"), entries(bench, "sets")) == (3, 2)
    return results[PASS]


def test_no_packet_is_judged_by_a_half_written_policy(bench, enforcer):
    assert swaps(bench, enforcer, 100) > 100


@pytest.mark.long
def test_a_thousand_swaps(bench, enforcer):
    assert swaps(bench, enforcer, 1000) > 1000
