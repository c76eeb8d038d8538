"""What the compiler refuses, what it writes again after a change, and what its sets and rule ids hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bascule.policy import intervals
from bascule.policy.compile import Compiler, Program
from bascule.policy.endpoints import Endpoint, Key
from bascule.policy.layout import ALLOW, DENY, PREFIX, ROW, Limits
from bascule.policy.model import PolicySet

Doc = dict[str, Any]


def nic(number: int, **labels: str) -> Endpoint:
    ip = (f"10.110.0.{10 + number}",)
    return Endpoint("vms", f"pod-{number}", "podabc", f"vm-{number}", "net-0", "dc1", 110, ip, labels)


def key(number: int) -> Key:
    return nic(number).key


def policy(name: str, selector: str, *ingress: Doc, kind: str = "NetworkPolicy", **spec: Any) -> Doc:
    meta = {"name": name} if "Global" in kind else {"name": name, "namespace": "vms"}
    body = {"selector": selector, "types": ["Ingress"], "ingress": list(ingress), **spec}
    return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": meta, "spec": body}


FROM_WEB = {"action": "Allow", "source": {"selector": "app == 'web'"}}


def compiled(*documents: Doc, limits: Limits | None = None) -> Compiler:
    compiler = Compiler(limits)
    compiler.load(PolicySet.of(documents), [nic(1, app="web"), nic(2, app="db"), nic(3, app="other")])
    return compiler


def test_the_layouts_are_what_the_data_plane_reads() -> None:
    assert (ROW.itemsize, PREFIX.itemsize) == (28, 12)
    assert [ROW.fields[name][1] for name in ("rule", "src_low", "next", "action", "proto")] == [0, 12, 20, 22, 24]  # type: ignore[index]


def test_a_nic_that_nothing_selects_is_allowed_by_its_profile() -> None:
    program = compiled().programs[key(1)]
    for rows in (program.ingress, program.egress):
        assert [int(action) for action in rows["action"]] == [ALLOW]
    assert program.passes_all
    chosen = compiled(policy("db", "app == 'db'", FROM_WEB)).programs
    assert {number: chosen[key(number)].passes_all for number in (1, 2, 3)} == {1: True, 2: False, 3: True}


def test_rows_sets_and_rule_names_of_one_policy() -> None:
    compiler = compiled(policy("db", "app == 'db'", FROM_WEB))
    program = compiler.programs[key(2)]
    assert [int(action) for action in program.ingress["action"]] == [ALLOW, DENY, ALLOW]
    (identity,) = program.sets
    assert compiler.sets.contents(identity) == ((0x0A6E000B, 0x0A6E000B),)
    names = [compiler.rules.name(int(rule)) for rule in program.ingress["rule"]]
    assert [name.text for name in names if name] == [
        "default/NetworkPolicy/vms/db ingress[0]",
        "default/EndOfTier/default ingress end",
        "Profile/kns.vms ingress[0]",
    ]
    assert compiler.rules.name(0) is None and compiler.rules.name(10**6) is None


def test_a_changed_label_writes_only_the_nics_concerned() -> None:
    compiler = compiled(policy("db", "app == 'db'", FROM_WEB))
    before = compiler.programs[key(2)].sets
    update = compiler.put(nic(3, app="web"))
    assert set(update.programs) == {key(2)} and update.stale == before
    assert set(update.sets) == update.programs[key(2)].sets
    assert set(compiler.put(nic(3, app="db")).programs) == {key(2), key(3)}
    assert not compiler.put(nic(3, app="db")).programs
    assert not compiler.put(replace(nic(1, app="web"), labels={"app": "web", "x": "y"})).programs
    update = compiler.drop(key(1))
    assert update.removed == {key(1)} and set(update.programs) == {key(2), key(3)}
    assert update.stale and not compiler.programs[key(2)].sets


def test_what_cannot_be_used_is_refused_with_the_reason_and_the_program_stays() -> None:
    good, broken = policy("db", "app == 'db'", FROM_WEB), policy("db", "app == 'db'", {**FROM_WEB, "action": "Maybe"})
    compiler = compiled(good)
    kept = compiler.programs[key(2)]
    endpoints = list(compiler.blocks.endpoints.values())
    update = compiler.load(PolicySet.of([broken]), endpoints)
    assert update.refused == {
        key(2): "NetworkPolicy/vms/db: spec.ingress[0].action: not Allow or Deny or Log or Pass",
    }
    assert not update.programs and compiler.programs[key(2)] is kept and not update.stale
    assert not compiler.put(nic(9)).refused  # said once
    assert compiler.load(PolicySet.of([good]), endpoints).refused == {} and not compiler.refused


def test_a_policy_whose_selector_is_broken_holds_back_all_that_it_may_mean() -> None:
    compiler = compiled(policy("all", "app = 'db'", FROM_WEB, kind="GlobalNetworkPolicy"))
    assert set(compiler.refused) == {key(1), key(2), key(3)}
    assert "does not parse at character 5" in compiler.refused[key(1)]
    other = policy("other", "app = 'db'", FROM_WEB)
    other["metadata"]["namespace"] = "elsewhere"
    assert not compiled(other).refused
    staged = policy("all", "app = 'db'", FROM_WEB, kind="StagedGlobalNetworkPolicy")
    assert not compiled(staged).refused


def test_what_does_not_fit_is_refused_with_numbers() -> None:
    many = [{"action": "Allow", "protocol": "TCP", "destination": {"ports": [2 * n + 1]}} for n in range(20)]
    compiler = compiled(policy("db", "app == 'db'", *many), limits=Limits(rows=16))
    assert compiler.refused == {key(2): "Ingress needs 22 rows; the data plane holds 16"}
    nets = {"action": "Allow", "source": {"nets": [f"10.{2 * n}.0.0/16" for n in range(20)]}}
    compiler = compiled(policy("db", "app == 'db'", nets), limits=Limits(prefixes=16))
    assert compiler.refused == {key(2): "the address sets need 20 prefixes; the data plane holds 16"}
    assert set(compiler.programs) == {key(1), key(3)}
    compiler.put(nic(2, app="web"))
    assert not compiler.refused and key(2) in compiler.programs


def test_ordinary_pods_are_peers_without_a_program() -> None:
    compiler = compiled(policy("db", "app == 'db'", FROM_WEB))
    update = compiler.put(Endpoint("vms", "web-pod", ips=("10.244.0.7", "fd00::7"), labels={"app": "web"}))
    assert set(update.programs) == {key(2)}
    (identity,) = update.programs[key(2)].sets
    assert [first for first, _ in compiler.sets.contents(identity)] == [0x0A6E000B, 0x0AF40007]


def test_sets_that_come_and_go_are_forgotten() -> None:
    compiler = compiled(policy("db", "app == 'db'", FROM_WEB))
    for number in range(5000):
        ip = f"10.{number % 250}.{number // 250}.9"
        compiler.put(replace(nic(1, app="web"), ips=(ip,)))
    assert len(compiler.sets) < 5000
    assert isinstance(compiler.programs[key(2)], Program)


ranges = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), max_size=6)


def numbers(each: intervals.Ranges) -> set[int]:
    return {value for first, last in each for value in range(first, last + 1)}


@given(ranges, ranges)
def test_ranges_are_sets_of_numbers(one: list[tuple[int, int]], two: list[tuple[int, int]]) -> None:
    a, b = (intervals.union((first, first + more) for first, more in each) for each in (one, two))
    assert numbers(intervals.intersection(a, b)) == numbers(a) & numbers(b)
    assert numbers(intervals.complement(a, 60)) == set(range(61)) - numbers(a)
    covered = [n for first, length in intervals.prefixes(a) for n in range(first, first + 2 ** (32 - length))]
    assert sorted(covered) == sorted(numbers(a))


def test_the_edges_of_the_address_space() -> None:
    assert list(intervals.prefixes(intervals.ALL)) == [(0, 0)]
    assert list(intervals.prefixes(((0xFFFFFFFF, 0xFFFFFFFF),))) == [(0xFFFFFFFF, 32)]
    compiler = compiled(policy("db", "app == 'db'", {"action": "Allow", "source": {"nets": ["0.0.0.0/0"]}}))
    assert not compiler.programs[key(2)].sets
    assert np.count_nonzero(compiler.programs[key(2)].ingress["src_set"]) == 0
