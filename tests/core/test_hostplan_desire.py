"""What a node should look like, and the outcome of every Network: refusals, claims, names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.hostplan import names, simulate
from bascule.hostplan.desired import Desired, Need, desire, needs_of
from bascule.hostplan.names import alias, link_name, parse_alias
from bascule.hostplan.observed import Observed, ObservedLink
from bascule.hostplan.outcome import NetworkOutcome
from bascule.hostplan.plan import plan
from bascule.hostplan.steps import CreateBridge, DeleteBridge, Step
from bascule.resources.network import Network
from bascule.resources.pod import PodNic

TRUNK = ObservedLink(2, "trunk0", "veth", mtu=9000)
NODE = Observed((ObservedLink(1, "lo"), TRUNK, ObservedLink(3, "mgmt0", "veth", default_route=True)))
NEED = frozenset({Need("dc1", 110, "vms/vlan-110")})


def network(name: str = "dc1", selector: str = "", trunk: str = "trunk0", **bridge: Any) -> Network:
    host = {
        "nodeSelector": selector,
        "bridge": bridge or {"managedBridge": {}},
        "hostConnections": [{"trunkPort": {"interface": {"name": trunk}, "nativeVLAN": 100}}] if trunk else [],
    }
    vlans = [{"vlan": {"id": 100}}, {"vlan": {"range": {"start": 110, "end": 112}}}, {"vlan": {"id": 111}}]
    return Network.of({"metadata": {"name": name}, "spec": {"l2Bridge": {"hostConfig": [host], "vlans": vlans}}})


def want(*networks: Network, needed: frozenset[Need] = NEED, observed: Observed = NODE, rack: str = "a") -> Desired:
    return desire(networks, "node1", {"rack": rack}, needed, observed)


def outcome(desired: Desired, name: str = "dc1") -> NetworkOutcome:
    return {each.network: each for each in desired.outcomes}[name]


def test_a_needed_vlan_gets_a_segment_and_the_network_is_ready() -> None:
    desired = want(network())
    (segment,) = desired.segments
    assert (segment.vid, segment.trunk, segment.mtu) == (110, "trunk0", 9000)
    assert [(use.name, use.native) for use in desired.trunks] == [("trunk0", 100)]
    assert outcome(desired) == NetworkOutcome("dc1", True, "Ready", "dc1: trunk trunk0, VLANs 110")


def test_without_a_need_there_is_no_bridge_and_the_network_is_ready_all_the_same() -> None:
    desired = want(network(), needed=frozenset())
    assert desired.segments == desired.trunks == () and outcome(desired).reason == "Ready"
    assert plan(desired, NODE) == ()


def test_ranges_and_ids_are_one_set() -> None:
    needed = frozenset(Need("dc1", vid) for vid in (100, 110, 111, 112))
    assert [segment.vid for segment in want(network(), needed=needed).segments] == [100, 110, 111, 112]


LONG = "n" * 250


@pytest.mark.parametrize(
    ("networks", "observed", "reason", "named"),
    [
        ([network(trunk="trunk9")], NODE, "TrunkMissing", "trunk9"),
        ([network(trunk="mgmt0")], NODE, "DefaultRouteTrunk", "mgmt0"),
        (
            [network()],
            replace(NODE, links=(*NODE.links, ObservedLink(4, "trunk0.5", "vlan", peer=2, default_route=True))),
            "DefaultRouteTrunk",
            "trunk0.5",
        ),
        (
            [network()],
            Observed((replace(TRUNK, master=5), ObservedLink(5, "br-lan", "bridge"))),
            "TrunkEnslaved",
            "br-lan",
        ),
        ([network(trunk="lo")], NODE, "TrunkUnsuitable", "lo"),
        ([network(existingBridge={"name": "br0"})], NODE, "BridgeMissing", "br0"),
        ([network(other={})], NODE, "BadBridge", "managedBridge"),
        ([network(selector="rack == 'b'")], NODE, "NotSelected", "vms/vlan-110"),
        ([network(selector="rack == b")], NODE, "BadSelector", "character 9"),
        ([], NODE, "NetworkNotFound", "vms/vlan-110"),
        (
            [network()],
            replace(NODE, links=(*NODE.links, ObservedLink(9, link_name("x", "dc1", 110), "veth"))),
            "NameTaken",
            "bsx-",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_refused_and_named(
    networks: list[Network], observed: Observed, reason: str, named: str
) -> None:
    desired = want(*networks, observed=observed)
    refused = outcome(desired)
    assert not refused.ok and refused.reason == reason and named in refused.message
    assert refused.message.startswith("dc1: ")
    assert desired.segments == () and plan(desired, observed) == ()


def test_a_name_too_long_for_an_alias_is_refused() -> None:
    assert outcome(want(network(LONG)), LONG).reason == "NameTooLong"


def test_a_vlan_not_carried_names_the_nad_and_the_others_carry_on() -> None:
    desired = want(network(), needed=NEED | {Need("dc1", 7, "vms/typo")})
    assert outcome(desired).reason == "VlanNotCarried" and "vms/typo" in outcome(desired).message
    assert [segment.vid for segment in desired.segments] == [110]


def test_one_trunk_one_network_the_first_by_name_wins_unless_another_runs_there() -> None:
    needed = frozenset({Need("dc1", 110), Need("aaa", 111)})
    desired = want(network("dc1"), network("aaa"), needed=needed)
    assert outcome(desired, "aaa").ok and outcome(desired).reason == "TrunkShared" and "aaa" in outcome(desired).message
    running = simulate.run(plan(want(network("dc1")), NODE), NODE)
    desired = want(network("dc1"), network("aaa"), needed=needed, observed=running)
    assert outcome(desired).ok and outcome(desired, "aaa").reason == "TrunkShared"


def test_a_vm_is_not_cut_off_when_its_network_is_gone() -> None:
    running = simulate.run(plan(want(network()), NODE), NODE)
    bridge = running.by_name[link_name("b", "dc1", 110)]
    port = ObservedLink(90, "veth-web-1", "veth", master=bridge.index, up=True)
    used = replace(running, links=(*running.links, port))
    assert plan(want(needed=frozenset(), observed=used), used) == ()
    assert plan(want(needed=frozenset(), observed=running), running) != ()


def test_programs_come_before_membership_and_the_trunk_last() -> None:
    steps = [str(step) for step in plan(want(network(), needed=frozenset({Need("dc1", 100)})), NODE)]

    def first(text: str) -> int:
        return next(number for number, step in enumerate(steps) if text in step)

    assert first("pvid untagged") < first("tag with vlan 100") < first("master bsb-") < first(" up")
    assert first("hand vlan 100") < first("tc filter add") < first("ip link set trunk0 up") == len(steps) - 1


def test_needs_come_from_nics() -> None:
    nic = PodNic("p", "vms", "web-1", "net-0", "podx", "dc1", 110, "52:54:00:00:6e:01", "", "", "", "vms/vlan-110")
    assert needs_of([nic, nic]) == NEED


def test_names_are_the_ones_that_coreutils_computes() -> None:
    # printf dc1/110 | sha256sum | xxd -r -p | base32 | head -c 10 | tr A-Z a-z
    assert link_name("b", "dc1", 110) == "bsb-kz2dqzh4gy"
    assert link_name("x", "dc1", 100) == "bsx-kbvmriztmm"
    assert alias("s", "dc1", 110) == "bascule:s:dc1/110"


@given(st.sampled_from("bsx"), st.from_regex(r"[a-z0-9.-]{1,40}", fullmatch=True), st.integers(1, 4094))
def test_names_fit_and_aliases_read_back(role: names.Role, network: str, vid: int) -> None:
    assert len(link_name(role, network, vid)) == 14 <= names.NAME_MAX
    assert parse_alias(alias(role, network, vid)) == names.Owner(network, vid, role)


@pytest.mark.parametrize(
    "text", ["", "bascule:b:dc1/0", "bascule:b:dc1/4095", "bascule:q:dc1/1", "bascule:b:dc1/1x", "bascule:b:/1"]
)
def test_other_aliases_are_not_ours(text: str) -> None:
    assert parse_alias(text) is None


def test_ownership_needs_the_kind_too() -> None:
    assert ObservedLink(1, "x", "dummy", alias("b", "dc1", 110)).owner is None


def test_the_bridge_mac_is_unicast_local_and_differs_by_node() -> None:
    here, there = (names.bridge_mac(node, "dc1", 110) for node in ("node1", "node2"))
    assert here != there and int(here[:2], 16) & 3 == 2


def test_the_model_refuses_what_a_kernel_refuses() -> None:
    create = CreateBridge("trunk0", "", "", 1500)
    held = Observed((ObservedLink(1, "b", "bridge"), ObservedLink(2, "p", "veth", master=1)))
    cases: list[tuple[Step, Observed]] = [(create, NODE), (DeleteBridge("b", "", "", 1500), held)]
    for step, observed in cases:
        with pytest.raises(simulate.SimulationError):
            simulate.run([step], observed)
