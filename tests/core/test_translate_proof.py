"""The translation decides as the source does, by two judges made apart: the exact proof, and packets on the JSON."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import Any

import pytest
from tests_nsx_cases import OUTSIDE, PACKETS, Documents, Naive

from bascule.policy.flow import Flow
from bascule.policy.model import PolicySet
from bascule.policy.verdict import Judge
from bascule.translate.calico import Translation, translate
from bascule.translate.model import ALLOW, DROP, Nic, RuleBase
from bascule.translate.nsx import read_nsx
from bascule.translate.proof import DIFFERENT, EQUAL, NOT_PROVEN, Packet, prove
from bascule.translate.rows import endpoint

CASES, PACKETS_TRIED = 60, 60


def drawn(seed: object) -> tuple[dict[str, Any], RuleBase, Translation]:
    document = Documents(seed).draw()
    base = read_nsx([("nsx.json", document)])
    return document, base, translate(base)


def judge(base: RuleBase, translation: Translation) -> Judge:
    policies = PolicySet.of(translation.documents)
    assert not policies.refused
    return Judge(policies, [endpoint(base, at, translation) for at in range(len(base.nics))])


def flow(source: str, destination: str, packet: tuple[int, int, int]) -> Flow:
    protocol, low, high = packet
    if protocol == 1:
        return Flow.of(source, destination, 1, icmp=(low, high))
    return Flow.of(source, destination, protocol, high, low)


def test_packets_on_the_document_and_on_the_policies_fare_alike() -> None:
    denied = allowed = 0
    for seed in range(CASES):
        document, base, translation = drawn(seed)
        naive, judged = Naive(document), judge(base, translation)
        draw = random.Random(seed)
        ends = [*naive.address.values(), *OUTSIDE]
        for _ in range(PACKETS_TRIED):
            source, destination = draw.sample(ends, 2)
            packet = draw.choice(PACKETS)
            wanted = naive.connection(source, destination, packet)
            got = judged.connection(flow(source, destination, packet)).action
            if source in OUTSIDE and destination in OUTSIDE:
                continue
            assert got == wanted, f"seed {seed}: {source} → {destination} {packet}"
            denied, allowed = denied + (wanted == "deny"), allowed + (wanted == "allow")
    assert denied > 500 and allowed > 500


@pytest.mark.parametrize("seed", range(CASES))
def test_the_proof_says_equal(seed: int) -> None:
    _, base, translation = drawn(seed)
    proof = prove(base, translation)
    assert (proof.verdict, proof.reasons) == (EQUAL, ())
    assert proof.classes > proof.points == 16


def test_an_altered_rule_is_found_with_a_packet_that_shows_it() -> None:
    """The counter-example is judged again, by the JSON and by the policies' own judge."""
    found = 0
    for seed in range(CASES):
        document, base, translation = drawn(seed)
        altered = copy.deepcopy(translation.documents)
        rules = [
            rule
            for each in altered
            for name in ("ingress", "egress")
            for rule in each["spec"].get(name, [])
            if rule["action"] in ("Allow", "Deny")
        ]
        rule = random.Random(seed).choice(rules)
        rule["action"] = "Deny" if rule["action"] == "Allow" else "Allow"
        by_hand = replace(translation, documents=tuple(altered))
        proof = prove(base, by_hand)
        if proof.verdict == EQUAL:
            continue  # a rule that nothing reaches may say what it likes
        assert proof.verdict == DIFFERENT and proof.counterexample and proof.differing
        found += 1
        _shows(proof.counterexample.packet, proof.counterexample.old, proof.counterexample.new, document, base, by_hand)
    assert found >= 12


def _shows(packet: Packet, old: str, new: str, document: Any, base: RuleBase, by_hand: Translation) -> None:
    assert old != new
    ends = [".".join(map(str, each.to_bytes(4, "big"))) for each in (packet.source, packet.destination)]
    numbers = (packet.protocol, packet.source_port, packet.destination_port)
    naive = Naive(document)
    vm = next(vm for vm in naive.vms if vm["display_name"] == packet.vm)
    allowed = naive._at(vm, packet.direction, ends[0], ends[1], numbers)
    assert ("allow" if allowed else "deny") == old
    here = judge(base, by_hand)
    mine = next(e for e in here.peers.endpoints.values() if e.vm == vm["external_id"])
    direction = {"IN": "Ingress", "OUT": "Egress"}[packet.direction]
    assert here.verdict(mine, direction, flow(ends[0], ends[1], numbers)).action == new


def test_more_classes_than_the_limit_are_never_equal() -> None:
    _, base, translation = drawn(1)
    proof = prove(base, translation, max_classes=10)
    assert proof.verdict == NOT_PROVEN and "more than 10 classes" in proof.reasons[0]


def test_a_nic_without_address_is_never_equal() -> None:
    _, base, _ = drawn(2)
    base = replace(base, nics=(*base.nics, Nic(base.vms[0].id, "net-9")))
    proof = prove(base, translate(base))
    assert proof.verdict == NOT_PROVEN and "no known IPv4 address" in proof.reasons[0]


def test_a_policy_that_cannot_be_used_is_never_equal() -> None:
    _, base, translation = drawn(3)
    broken = copy.deepcopy(translation.documents)
    next(each for each in broken if each["kind"] == "GlobalNetworkPolicy")["spec"]["selector"] = "has("
    proof = prove(base, replace(translation, documents=tuple(broken)))
    assert proof.verdict in (NOT_PROVEN, DIFFERENT) and proof.reasons


def test_same_input_same_documents() -> None:
    assert drawn(4)[2].documents == drawn(4)[2].documents


def test_the_base_default_counts_both_ways() -> None:
    _, base, _ = drawn(5)
    stages = tuple(replace(stage, sections=()) for stage in base.stages)
    for default_in, default_out in ((ALLOW, DROP), (DROP, ALLOW)):
        bare = replace(base, stages=stages, default_in=default_in, default_out=default_out)
        assert prove(bare, translate(bare)).verdict == EQUAL
        wrong = translate(replace(bare, default_in=default_out, default_out=default_in))
        assert prove(bare, wrong).verdict == DIFFERENT
