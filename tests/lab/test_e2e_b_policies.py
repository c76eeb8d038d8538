"""Label policy on real guests: what is forecast is what happens, what is counted is what was sent, sessions live on.

Witnesses: the guests' own stacks, and sockets of the kernel at the gateway and the outside host.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests_lab import PREFIX, STATE, Lab, until
from tests_policies import Policies, tcp

from bascule_agent.netlink import in_netns
from bascule_kube import Cluster

pytestmark = [pytest.mark.root, pytest.mark.qemu]

GATEWAY, OUTSIDE = f"{PREFIX}-gw", f"{PREFIX}-out"
CALICO = "projectcalico.org/v3"
WEB, DB = "10.110.0.11", "10.120.0.11"
WEB_VLAN = "projectcalico.org/network-attachment == 'vlan-110'"
ANY = {"action": "Allow"}
PING = ("ping", "-c", "1", "-W", "1")


def document(kind: str, name: str, namespace: str = "", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": CALICO, "kind": kind, "metadata": metadata, "spec": spec}


SECURITY = document("Tier", "security", order=100)
PARTNER = document("GlobalNetworkSet", "partner", nets=["198.51.100.0/24"])
PARTNER["metadata"]["labels"] = {"role": "partner"}
NO_PEERS = document(
    *("GlobalNetworkPolicy", "security.no-peers"),
    tier="security",
    order=10,
    selector=WEB_VLAN,
    types=["Ingress"],
    ingress=[
        {"action": "Deny", "protocol": "ICMP", "source": {"selector": WEB_VLAN, "namespaceSelector": "all()"}},
        {"action": "Pass"},
    ],
)
ECHO = document(
    *("NetworkPolicy", "echo", "vms"),
    order=20,
    selector="app == 'web'",
    types=["Ingress"],
    ingress=[
        {
            "action": "Allow",
            "protocol": "TCP",
            "source": {"selector": "role == 'partner'", "namespaceSelector": "global()"},
            "destination": {"ports": [7]},
        },
        {"action": "Allow", "protocol": "ICMP"},
    ],
)


def ping(lab: Lab, vm: str, address: str) -> bool:
    return "1 packets received" in lab.guest(vm, f"ping -c 1 -W 1 {address}", check=None)


def connections(lab: Lab) -> dict[tuple[str, str, str], Callable[[], bool]]:
    """The scripted list: who asks whom for what, as `policies explain` takes it, and how it is tried."""
    return {
        ("198.51.100.10", WEB, "tcp/7"): lambda: tcp(OUTSIDE, WEB),
        ("198.51.100.10", WEB, "tcp/9"): lambda: tcp(OUTSIDE, WEB, 9),
        ("10.110.0.1", WEB, "tcp/7"): lambda: tcp(GATEWAY, WEB),
        ("10.120.0.1", DB, "tcp/7"): lambda: tcp(GATEWAY, DB),
        ("vms/web-2", "vms/web-1", "icmp/8/0"): lambda: ping(lab, "web-2", WEB),
        ("198.51.100.10", WEB, "icmp/8/0"): lambda: "1 received" in lab.lab("exec", "outside", "--", *PING, WEB).out,
    }


def datagrams(address: str, port: int, count: int) -> bool:
    """Send so many from the gateway to a port that nobody listens on; did the guest's kernel say so?"""

    def go() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect((address, port))
            refused = False
            for number in range(count):
                try:
                    sender.send(b"counted %d" % number)
                except ConnectionRefusedError:  # about one before; this one was not sent
                    refused = True
                    sender.send(b"counted %d" % number)
            sender.settimeout(1.0)
            try:
                sender.recv(64)
            except (TimeoutError, ConnectionRefusedError) as error:
                refused = refused or isinstance(error, ConnectionRefusedError)
            return refused

    return in_netns(GATEWAY, go)


def test_what_is_forecast_is_what_happens(lab: Lab, policies: Policies) -> None:
    """Default allow; then tiers with Pass, a deny by VLAN and an allow by a set of outside addresses."""
    asked = connections(lab)
    before = {who: attempt() for who, attempt in asked.items()}
    assert [who for who, passed in before.items() if not passed] == []
    proposed = (SECURITY, PARTNER, NO_PEERS, ECHO)
    file = policies.write(*proposed)
    with ThreadPoolExecutor(3) as together:
        asks = {who: together.submit(lab.cli, "-o", "json", "policies", "explain", *who, "-f", file) for who in asked}
    told = {who: answer.result().json["verdict"] for who, answer in asks.items()}
    assert set(told.values()) == {"allow", "deny"}
    policies.apply(*proposed)
    policies.in_force("web-1", "GlobalNetworkPolicy/security.no-peers", "NetworkPolicy/vms/echo")
    after = {who: "allow" if attempt() else "deny" for who, attempt in asked.items()}
    assert after == told
    assert told["198.51.100.10", WEB, "tcp/7"] == told["198.51.100.10", WEB, "icmp/8/0"] == "allow"
    assert told["vms/web-2", "vms/web-1", "icmp/8/0"] == "deny"
    assert told["10.110.0.1", WEB, "tcp/7"] == told["198.51.100.10", WEB, "tcp/9"] == "deny"
    assert policies.hits("web-1", "security/GlobalNetworkPolicy/security.no-peers ingress[0]") == 1


def test_counters_are_the_packets_that_were_sent(lab: Lab, policies: Policies) -> None:
    rules = [{"action": "Deny", "protocol": "UDP", "destination": {"ports": [9001]}}, ANY]
    policies.apply(document("GlobalNetworkPolicy", "count", selector="app == 'web'", types=["Ingress"], ingress=rules))
    policies.in_force("web-1", "GlobalNetworkPolicy/count")

    assert not datagrams(WEB, 9001, 57)
    denied = "default/GlobalNetworkPolicy/count ingress[0]"
    until("57 packets at the rule", lambda: policies.hits("web-1", denied) == 57)
    rows = [json.loads(line) for line in lab.cli("-o", "jsonl", "flows", "--last", "30", "port:9001").out.splitlines()]
    mine = [row for row in rows if row["dst"]["port"] == 9001 and row["vm"] == "web-1"]
    assert sum(row["packets"] for row in mine) == 57
    assert {(row["verdict"], row["reason"]) for row in mine} == {("deny", "policy")}


def test_a_staged_policy_tells_what_it_would_do_and_does_nothing(lab: Lab, policies: Policies) -> None:
    rules = [{"action": "Deny", "protocol": "UDP", "destination": {"ports": [9002]}}, ANY]
    spec = {"selector": "app == 'web'", "types": ["Ingress"], "ingress": rules}
    policies.apply(document("StagedGlobalNetworkPolicy", "quiet", **spec))
    until("the staged rows", lambda: policies.nic("web-1")["staged"])
    assert datagrams(WEB, 9002, 11)
    (pending,) = [each for each in policies.nic("web-1")["pending"] if each["action"] == "deny"]
    assert pending["packets"] == 11 and pending["rule"] == "default/GlobalNetworkPolicy/quiet ingress[0]"


class Session:
    """A TCP session from the gateway to a guest's echo."""

    def __init__(self, address: str) -> None:
        self._socket = in_netns(GATEWAY, lambda: socket.create_connection((address, 7), 5))
        self._socket.settimeout(8)

    def alive(self, word: bytes) -> bool:
        try:
            self._socket.sendall(word)
            return self._socket.recv(len(word), socket.MSG_WAITALL) == word
        except OSError:
            return False

    def close(self) -> None:
        self._socket.close()


def only_echo(*more: dict[str, Any]) -> dict[str, Any]:
    allowed = {"action": "Allow", "protocol": "TCP", "destination": {"ports": [7]}}
    ingress, egress = [*more, allowed, {"action": "Allow", "protocol": "ICMP"}], list[Any]()
    spec = {"selector": "app == 'web'", "types": ["Ingress", "Egress"], "ingress": ingress, "egress": egress}
    return document("NetworkPolicy", "session", "vms", **spec)


def test_a_session_lives_through_a_swap_and_a_move_and_ends_when_it_is_denied(lab: Lab, policies: Policies) -> None:
    policies.apply(only_echo())
    policies.in_force("web-1", "NetworkPolicy/vms/session")
    session = Session(WEB)
    try:
        assert session.alive(b"before")
        generation = policies.nic("web-1")["applied"]
        policies.apply(only_echo({"action": "Allow", "protocol": "UDP", "destination": {"ports": [53]}}))
        until("the swap", lambda: policies.nic("web-1")["applied"] > generation)
        assert session.alive(b"swapped")
        target = next(name for name in ("node1", "node2", "node3") if name != lab.node_of("web-1"))
        record = lab.cli("-o", "json", "vms", "move", "web-1", "--to", target, timeout=120).json
        assert session.alive(b"moved")
        assert record["tcp"]["alive"] is True and "handover" not in record["missing"]
        assert record["handover"]["at_ready"]["connections"] > 0
        policies.in_force("web-1", "NetworkPolicy/vms/session")
        assert not tcp(GATEWAY, WEB, 9)
        policies.apply(only_echo({"action": "Deny", "protocol": "TCP"}))
        until("the denial", lambda: policies.hits("web-1", "default/NetworkPolicy/vms/session ingress[0]") > 0
              or not session.alive(b"denied"))  # fmt: skip
        assert not session.alive(b"again")
    finally:
        session.close()


def test_a_refused_policy_is_told_and_changes_nothing(lab: Lab, policies: Policies) -> None:
    policies.apply(only_echo())
    policies.in_force("web-1", "NetworkPolicy/vms/session")
    bad = document("NetworkPolicy", "bad", "vms", selector="app == 'web'", ingress=[ANY], tier="nowhere")

    async def create() -> None:
        async with await Cluster.open(STATE / "kubeconfig") as cluster:
            await cluster.create(bad)

    policies._applied.append(bad)
    asyncio.run(create())
    nic = until("the refusal", lambda: (found := policies.nic("web-1"))["state"] == "refused" and found)
    assert "NetworkPolicy/vms/bad" in nic["reason"] and "spec.tier" in nic["reason"]
    assert tcp(GATEWAY, WEB) and not tcp(GATEWAY, WEB, 9)
