"""The segment contract, plans: what a plan says comes true, once, can be repeated and taken back. Witness: iproute2."""

from __future__ import annotations

import json

import pytest
from tests.agent.segments.conftest import EXISTING, PER_VLAN, make_node, shell, show

from bascule.hostplan.observed import Observed
from bascule.hostplan.plan import plan
from bascule.hostplan.simulate import run
from bascule.hostplan.steps import inverse

pytestmark = pytest.mark.root


def memberships(node) -> dict[str, dict[int, tuple[str, ...]]]:
    """What `bridge vlan` says: link → VLAN id → flags."""
    told = json.loads(shell(node.netns, "bridge -j vlan show") or "[]")
    return {each["ifname"]: {vlan["vlan"]: tuple(vlan.get("flags", ())) for vlan in each["vlans"]} for each in told}


def facts(observed: Observed) -> tuple[object, ...]:
    name = observed.name_of
    return (
        {(link.name, link.alias, link.up, link.mtu, link.kind, name(link.master)) for link in observed.links},
        {(name(trunk), vid, name(stub)) for trunk, vid, stub in observed.demux},
        {(name(stub), name(trunk), vid) for stub, trunk, vid in observed.mux},
        {(name(entry.port), *entry[1:]) for entry in observed.vlans},
        {(name(row.trunk), row.vid, name(row.bridge)) for row in observed.carried},
    )


def test_a_plan_makes_what_it_says_and_a_second_plan_is_empty(node):
    before = node.segments.observe()
    steps = node.apply(100, 110)
    after = node.segments.observe()
    show(node, steps)
    assert facts(after) == facts(run(steps, before))
    assert node.plan(100, 110) == ()
    links = {link["ifname"]: link for link in json.loads(shell(node.netns, "ip -j -d link"))}
    bridge = links[after.name_of(node.bridge(110))]
    data = bridge["linkinfo"]["info_data"]
    assert data["stp_state"] == 0
    if node.way == PER_VLAN:
        assert "master" not in links["trunk0"]
        return
    assert (data["vlan_filtering"], data["vlan_protocol"]) == (1, "802.1Q")
    assert links["trunk0"]["master"] == bridge["ifname"]
    assert memberships(node)["trunk0"] == {100: ("PVID", "Egress Untagged"), 110: ()}
    assert bridge["ifname"] not in memberships(node) or node.way == EXISTING


def test_every_step_may_be_repeated(node):
    for step in node.plan(100, 110):
        node.segments.execute(step)
        node.segments.execute(step)
    assert node.plan(100, 110) == ()


def test_the_inverse_of_a_plan_leaves_the_node_as_it_was(node):
    before = node.segments.observe()
    steps = node.apply(100, 110)
    for step in inverse(steps):
        node.segments.execute(step)
        node.segments.execute(step)
    assert node.segments.observe() == before
    assert "clsact" not in shell(node.netns, "tc qdisc")


def test_a_vlan_that_goes_takes_nothing_of_the_other_along(node):
    node.apply(100, 110)
    kept = node.bridge(110)
    node.apply(110)
    assert node.bridge(110) == kept and node.plan(110) == ()
    observed = node.segments.observe()
    if node.way == PER_VLAN:
        assert {vid for _, vid, _ in observed.demux} == {110}
    else:
        assert memberships(node)["trunk0"] == {110: ()}
    node.apply()
    rest = {"far0", "lo", "trunk0"} | ({"br0"} if node.way == EXISTING else set())
    assert {link.name for link in node.segments.observe().links} == rest
    assert all(len(node.objects.rows(table)[0]) == 0 for table in ("trunks", "native", "stubs"))


def test_another_agent_with_the_same_pins_has_nothing_to_do(node):
    node.apply(100, 110)
    observed = node.segments.observe()
    keys, values = node.objects.rows("trunks")
    other = type(node.segments)(node.netlink, node.objects)
    assert plan(node.desired(100, 110), other.observe()) == () and other.observe() == observed
    assert len(keys) == len(values) > 0


def test_a_vlan_with_a_port_in_it_is_kept_when_nobody_wants_it(node):
    node.apply(110)
    port = node.netlink.add_veth("hv-x", "eth-x").index
    bridge = node.bridge(110)
    node.segments.admit(port, bridge, 110)
    node.netlink.set(port, master=bridge)
    assert node.plan() == ()
    node.netlink.delete(port)
    assert node.plan() != ()


def test_a_node_made_anew_finds_no_lines_of_the_one_before(node):
    node.apply(110)
    again = make_node(node.netns, "another", node.objects.pin_dir.parent)
    assert again.segments.observe().carried == frozenset()
    again.close()
