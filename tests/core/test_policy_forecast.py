"""Recorded flows as conversations, and the forecast of a change by talker."""

from __future__ import annotations

from typing import Any

import numpy as np

from bascule.flows.record import ALLOW, DROP, EGRESS, INGRESS, RECORD
from bascule.policy.conversations import conversations
from bascule.policy.endpoints import Endpoint
from bascule.policy.forecast import forecast
from bascule.policy.model import PolicySet
from bascule.policy.whatif import WhatIf

WEB, DB, OUT = "10.110.0.11", "10.120.0.11", "198.51.100.10"
ENDPOINTS = [
    Endpoint("vms", "p1", "i", "web", "net-0", "dc1", 110, (WEB,), {"app": "web"}),
    Endpoint("vms", "p2", "i", "db", "net-0", "dc1", 120, (DB,), {"app": "db"}),
]


def record(
    direction: int, src: str, dst: str, first: int, sport: int = 0, dport: int = 0, proto: int = 6, **more: Any
) -> Any:
    found = np.zeros(1, RECORD)
    values = {
        "direction": direction, "verdict": ALLOW, "ethertype": 0x0800, "proto": proto, "src_port": sport,
        "dst_port": dport, "packets": 10, "bytes": 1000, "first": first, "last": first + 5, **more,
    }  # fmt: skip
    for name, value in values.items():
        found[name] = value
    found["src_ip"], found["dst_ip"] = ([int(part) for part in ip.split(".")] for ip in (src, dst))
    return found


def seen_at_both_ends(first: int, sport: int, dport: int, proto: int = 6) -> Any:
    """Web talks to db: four records, each node's clock its own."""
    there, back = (WEB, DB), (DB, WEB)
    return np.concatenate([
        record(EGRESS, *there, first, sport, dport, proto), record(INGRESS, *back, first + 2, dport, sport, proto),
        record(INGRESS, *there, first - 900, sport, dport, proto, packets=9),
        record(EGRESS, *back, first - 899, dport, sport, proto, packets=7),
    ])  # fmt: skip


def began(records: Any) -> list[tuple[str, str, int, int]]:
    flows = conversations(records).flows
    ends = [[".".join(map(str, flow[name])) for name in ("src_ip", "dst_ip")] for flow in flows]
    return [(a, b, int(f["dst_port"]), int(f["packets"])) for (a, b), f in zip(ends, flows, strict=True)]


def test_four_records_are_one_conversation_from_who_began() -> None:
    assert began(seen_at_both_ends(1000, 40000, 443)) == [(WEB, DB, 443, 20)]
    assert began(seen_at_both_ends(1000, 0, 0, proto=1)) == [(WEB, DB, 0, 20)]
    assert began(seen_at_both_ends(1000, 179, 179)) == [(WEB, DB, 179, 20)]


def test_ports_tell_the_client_even_when_the_reply_was_seen_first() -> None:
    late = np.concatenate([record(INGRESS, DB, WEB, 5, 443, 40000), record(EGRESS, WEB, DB, 9, 40000, 443)])
    assert began(late) == [(WEB, DB, 443, 20)]
    assert began(record(INGRESS, DB, WEB, 5, 443, 40000)) == [(WEB, DB, 443, 10)]


def test_without_ports_the_first_seen_at_the_same_port_began() -> None:
    pings = np.concatenate([record(INGRESS, DB, WEB, 5, proto=1), record(EGRESS, WEB, DB, 9, proto=1)])
    assert began(pings) == [(DB, WEB, 0, 20)]


def test_what_policy_never_sees_is_skipped_and_counted() -> None:
    others = np.concatenate([record(EGRESS, WEB, DB, 1, ethertype=0x0806), record(EGRESS, WEB, DB, 1, verdict=DROP)])
    found = conversations(others)
    assert (len(found.flows), found.skipped) == (0, 2)


def test_newly_denied_and_newly_allowed_by_talker() -> None:
    def policies(*rules: dict[str, Any]) -> PolicySet:
        spec = {"selector": "app == 'db'", "types": ["Ingress"], "ingress": list(rules)}
        meta = {"name": "db", "namespace": "vms"}
        document = {"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}
        return PolicySet.of([document])

    def allow(port: int) -> dict[str, Any]:
        return {"action": "Allow", "protocol": "TCP", "destination": {"ports": [port]}}

    records = np.concatenate([
        *(seen_at_both_ends(1000, 40000 + n, 443) for n in range(3)), seen_at_both_ends(1000, 41000, 22),
        record(INGRESS, OUT, DB, 1, 50000, 80), record(EGRESS, WEB, OUT, 1, 50000, 80),
    ])  # fmt: skip
    before, after = (WhatIf(policies(allow(port)), ENDPOINTS) for port in (443, 22))
    found = forecast(records, before, after)
    assert (found.judged, found.changed, found.skipped) == (6, 4, 0)
    assert found.counts == {("allow", "deny"): 3, ("deny", "allow"): 1, ("deny", "deny"): 1, ("allow", "allow"): 1}
    assert [(t.source, t.destination, t.port, t.before, t.after, t.flows, t.packets) for t in found.talkers] == [
        (WEB, DB, 443, "allow", "deny", 3, 60),
        (WEB, DB, 22, "deny", "allow", 1, 20),
    ]
    assert found.talkers[0].rule_before == "default/NetworkPolicy/vms/db ingress[0]"
    assert found.talkers[0].rule_after == "default/EndOfTier/default ingress end"
    assert found.talkers[0].as_dict()["bytes"] == 6000


def test_no_flows_and_no_endpoints() -> None:
    empty = WhatIf(PolicySet(), [])
    assert forecast(np.zeros(0, RECORD), empty, empty).counts == {}
    found = forecast(record(EGRESS, WEB, DB, 1, 40000, 443), empty, WhatIf(PolicySet(), ENDPOINTS))
    assert found.counts == {("unknown", "allow"): 1}
