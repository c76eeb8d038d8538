"""Replies, errors and pieces follow the first packet's verdict; a swap judges again; a restart keeps it."""

from __future__ import annotations

import struct

import pytest
from tests.agent.policy.conftest import ACK, DROP, FIN, PASS, SYN, icmp, ip4, put_in_force, tcp, udp

from bascule.policy.endpoints import Endpoint
from bascule_agent.bpf.layout import CONNTRACK_ENTRIES
from bascule_agent.policy import connections
from bascule_agent.policy.enforce import Enforcer
from bascule_agent.policy.maps import PolicyMaps
from bascule_agent.policy.memory import Memory

pytestmark = pytest.mark.root

NIC = Endpoint("vms", "p1", "pod1", "web-1", "net-0", "dc1", 110, ("10.110.0.11",), {"app": "web"})
PEER = "10.110.0.12"


def policy(
    name: str, ingress: list | None = None, egress: list | None = None, kind: str = "GlobalNetworkPolicy"
) -> dict:
    spec: dict = {"selector": "app == 'web'", "types": []}
    if ingress is not None:
        spec |= {"ingress": ingress, "types": ["Ingress"]}
    if egress is not None:
        spec |= {"egress": egress, "types": [*spec["types"], "Egress"]}
    return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": name}, "spec": spec}


def allow(protocol: str, *ports: int) -> dict:
    return {"action": "Allow", "protocol": protocol, **({"destination": {"ports": list(ports)}} if ports else {})}


OUT_ONLY = policy("out", ingress=[], egress=[{"action": "Allow"}])


@pytest.fixture
def force(bench, enforcer):
    return lambda *documents: put_in_force(bench, enforcer, list(documents), [NIC], NIC)


def test_replies_pass_and_what_nobody_asked_for_does_not(bench, force):
    force(OUT_ONLY)
    assert bench.receive(PEER, 17, udp(53, 4000)) == DROP
    assert bench.send(PEER, 17, udp(4000, 53)) == PASS
    assert bench.receive(PEER, 17, udp(53, 4000)) == PASS
    assert bench.receive(PEER, 17, udp(53, 4001)) == bench.receive("10.110.0.13", 17, udp(53, 4000)) == DROP
    assert bench.send(PEER, 6, tcp(4000, 80)) == PASS
    assert bench.receive(PEER, 6, tcp(80, 4000, SYN | ACK)) == bench.receive(PEER, 6, tcp(80, 4000, ACK)) == PASS
    assert bench.send(PEER, 1, icmp(8, ident=5)) == bench.receive(PEER, 1, icmp(0, ident=5)) == PASS
    assert bench.receive(PEER, 1, icmp(0, ident=6)) == bench.receive(PEER, 1, icmp(8, ident=5)) == DROP


def test_an_open_connection_is_no_way_in(bench, force):
    """A SYN against the direction in which it was opened is another connection."""
    force(OUT_ONLY)
    assert bench.send(PEER, 6, tcp(4000, 80)) == PASS
    assert bench.receive(PEER, 6, tcp(80, 4000, SYN)) == DROP
    assert bench.receive(PEER, 6, tcp(80, 4000, ACK)) == PASS
    for direction in (bench.send, bench.receive):
        ports = (4000, 80) if direction == bench.send else (80, 4000)
        assert direction(PEER, 6, tcp(*ports, FIN | ACK)) == PASS
    assert bench.send(PEER, 6, tcp(4000, 80)) == PASS


def test_an_icmp_error_about_a_connection_passes_and_no_other(bench, force):
    force(OUT_ONLY)
    mine = ip4(bench.ip, PEER, 17, udp(4000, 53))
    other = ip4(bench.ip, PEER, 17, udp(4001, 53))
    assert bench.send(PEER, 17, udp(4000, 53)) == PASS
    assert bench.receive("10.110.0.1", 1, icmp(3, 4, data=mine)) == PASS
    assert bench.receive("10.110.0.1", 1, icmp(3, 4, data=other)) == DROP
    assert bench.receive("10.110.0.1", 1, icmp(5, 0, data=mine)) == DROP  # a redirect is no error
    assert bench.receive("10.110.0.1", 1, icmp(3, 4, data=mine[:10])) == DROP


def test_pieces_pass_with_their_first_fragment(bench, force):
    force(policy("dns", ingress=[allow("UDP", 53)]))
    assert bench.receive(PEER, 17, b"x" * 64, frag=8, ident=9) == DROP
    assert bench.receive(PEER, 17, udp(4000, 53), frag=0x2000, ident=9) == PASS
    assert bench.receive(PEER, 17, b"x" * 64, frag=8, ident=9) == PASS
    assert bench.receive(PEER, 17, b"x" * 64, frag=8, ident=10) == DROP
    assert bench.receive(PEER, 17, udp(4000, 54), frag=0x2000, ident=11) == DROP
    assert bench.receive(PEER, 17, b"x" * 64, frag=8, ident=11) == DROP


def test_a_session_lives_through_a_swap_that_allows_it_and_ends_with_one_that_does_not(bench, force):
    force(policy("in", ingress=[allow("TCP", 80)], egress=[]))
    assert bench.receive(PEER, 6, tcp(4000, 80)) == PASS
    assert bench.send(PEER, 6, tcp(80, 4000, SYN | ACK)) == PASS
    force(policy("in", ingress=[allow("UDP"), allow("TCP", 80, 443)], egress=[]))
    assert bench.send(PEER, 6, tcp(80, 4000, ACK)) == bench.receive(PEER, 6, tcp(4000, 80, ACK)) == PASS
    force(policy("in", ingress=[allow("TCP", 443)], egress=[{"action": "Allow"}]))
    assert bench.receive(PEER, 6, tcp(4000, 80, ACK)) == DROP
    # Egress would allow the pieces of the other side, were they taken for a connection of their own.
    assert bench.send(PEER, 6, tcp(80, 4000, ACK)) == DROP
    assert bench.send(PEER, 6, tcp(80, 4000, SYN)) == PASS


def test_a_reply_is_judged_by_the_rules_of_who_asked(bench, force):
    """After a swap the first packet may be a reply: it is the question that is judged again, not the answer."""
    force(policy("one", ingress=[], egress=[allow("TCP", 80)]))
    assert bench.send(PEER, 6, tcp(4000, 80)) == PASS
    force(policy("one", ingress=[], egress=[allow("TCP", 80), allow("TCP", 81)]))
    assert bench.receive(PEER, 6, tcp(80, 4000, ACK)) == PASS
    force(policy("one", ingress=[{"action": "Allow"}], egress=[allow("TCP", 81)]))
    assert bench.receive(PEER, 6, tcp(80, 4000, ACK)) == DROP


def test_a_restarted_agent_adopts_what_is_in_force(bench, force, enforcer, tmp_path):
    force(OUT_ONLY)
    assert bench.send(PEER, 6, tcp(4000, 80)) == PASS
    bench.maps.close()
    bench.maps = PolicyMaps(bench.objects)
    again = Enforcer(bench.maps, Memory(tmp_path / "policy.json"))
    assert bench.receive(PEER, 6, tcp(80, 4000, ACK)) == PASS
    assert bench.receive(PEER, 6, tcp(81, 4000, ACK)) == DROP
    nic = again.bind(NIC.key, bench.slot)
    assert not isinstance(nic, str) and nic.slot == bench.slot
    put_in_force(bench, again, [OUT_ONLY], [NIC], NIC)
    assert again.rules.names == enforcer.rules.names
    assert bench.receive(PEER, 6, tcp(80, 4000, ACK)) == PASS
    assert {int(slot) for slot in bench.objects.rows("ports")[1]["slot"]} == {bench.slot}


BAD = policy("bad", ingress=[{"action": "Allow", "destination": {"ports": [80]}}])


def test_a_refused_policy_leaves_the_last_good_one_also_over_a_restart(bench, force, enforcer, tmp_path):
    force(policy("in", ingress=[allow("TCP", 80)]))
    force(policy("in", ingress=[allow("TCP", 80)]), BAD)
    nic = enforcer.nics[NIC.key]
    assert "GlobalNetworkPolicy/bad" in nic.reason and "spec.ingress[0]" in nic.reason
    bench.maps.close()
    bench.maps = PolicyMaps(bench.objects)
    again = Enforcer(bench.maps, Memory(tmp_path / "policy.json"))
    put_in_force(bench, again, [policy("in", ingress=[allow("TCP", 81)]), BAD], [NIC], NIC)
    assert not isinstance(again.bind(NIC.key, bench.slot), str)
    assert bench.receive(PEER, 6, tcp(4000, 80)) == PASS
    assert bench.receive(PEER, 6, tcp(4000, 81)) == DROP
    put_in_force(bench, again, [policy("in", ingress=[allow("TCP", 81)])], [NIC], NIC)
    assert bench.receive(PEER, 6, tcp(4001, 81)) == PASS
    assert bench.receive(PEER, 6, tcp(4001, 80)) == DROP


def test_a_nic_that_never_had_a_policy_gets_no_slot_while_its_policy_is_refused(enforcer):
    from bascule.policy.model import PolicySet

    enforcer.load(PolicySet.of([BAD]), [NIC])
    why = enforcer.bind(NIC.key)
    assert isinstance(why, str) and "GlobalNetworkPolicy/bad" in why
    enforcer.load(PolicySet.of([]), [NIC])
    assert not isinstance(enforcer.bind(NIC.key), str)


def test_what_staged_policies_would_say_is_counted_and_not_done(bench, force, enforcer):
    staged = policy("stop", ingress=[{"action": "Deny", "protocol": "UDP"}, {"action": "Allow"}],
                    kind="StagedGlobalNetworkPolicy")  # fmt: skip
    force(staged)
    for _ in range(3):
        assert bench.receive(PEER, 17, udp(4000, 53)) == PASS
    assert bench.receive(PEER, 6, tcp(4000, 80)) == PASS
    keys, values = bench.objects.rows("hits")
    found = {(int(key["kind"]), int(value["packets"])) for key, value in zip(keys, values, strict=True)}
    assert found == {(2, 3), (1, 1)}
    assert {enforcer.rules.name(int(key["rule"])).action for key in keys} == {"Deny", "Allow"}


def test_connections_are_handed_over_and_judged_again(bench, force):
    force(OUT_ONLY)
    assert bench.send(PEER, 6, tcp(4000, 80)) == PASS
    assert bench.send(PEER, 17, udp(4000, 53)) == PASS
    rows = connections.take(bench.objects, 1)
    assert len(rows) == 2 and not rows["state"]["program"].any()
    bench.forget()
    assert bench.receive(PEER, 6, tcp(80, 4000, ACK)) == DROP
    assert connections.give(bench.objects, 1, rows.tobytes()) == 2
    assert bench.receive(PEER, 6, tcp(80, 4000, ACK)) == bench.receive(PEER, 17, udp(53, 4000)) == PASS
    assert connections.give(bench.objects, 1, rows.tobytes()) == 0  # what was seen here since stays
    force(policy("out", ingress=[], egress=[]))
    bench.forget()
    connections.give(bench.objects, 1, rows.tobytes())
    assert bench.receive(PEER, 6, tcp(80, 4000, ACK)) == DROP
    assert len(rows) < CONNTRACK_ENTRIES


def test_mid_stream_tcp_is_admitted_for_a_time_where_nothing_was_handed_over(bench, force):
    force(policy("none", ingress=[], egress=[]))
    bench.maps.admit(bench.slot, 2**64 - 1)
    assert bench.receive(PEER, 6, tcp(80, 4000, ACK)) == bench.send(PEER, 6, tcp(4000, 80, ACK)) == PASS
    assert bench.receive(PEER, 6, tcp(81, 4000, SYN)) == bench.receive(PEER, 17, udp(81, 4000)) == DROP
    bench.maps.admit(bench.slot, 1)
    assert bench.receive(PEER, 6, tcp(80, 4000, ACK)) == PASS
    assert bench.receive(PEER, 6, tcp(80, 4001, ACK)) == DROP


def test_a_log_row_tells_the_ring(bench, force, enforcer):
    from bascule_agent.bpf.layout import LOG_EVENT
    from bascule_agent.bpf.ring import Ring

    ring = Ring(bench.objects.maps["logs"], LOG_EVENT)
    ring.read()
    force(policy("log", ingress=[{"action": "Log", "protocol": "TCP"}, {"action": "Allow"}]))
    assert bench.receive(PEER, 6, tcp(4000, 80)) == bench.receive(PEER, 6, tcp(4000, 80, ACK)) == PASS
    assert bench.receive(PEER, 17, udp(4000, 80)) == PASS
    (event,) = ring.read()
    assert (int(event["src_port"]), int(event["dst_port"]), int(event["proto"])) == (4000, 80, 6)
    assert bytes(event["src"]) == struct.pack("4B", 10, 110, 0, 12)
    assert enforcer.rules.name(int(event["rule"])).action == "Log"
    ring.close()
