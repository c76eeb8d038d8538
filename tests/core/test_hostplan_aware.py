"""The vlan_aware driver's plans against the model: they converge, repeat nothing, can be taken back, and take nothing
from another owner's bridge that we have not put there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bascule.hostplan import simulate, vlan_aware
from bascule.hostplan.desired import Desired, Need, desire
from bascule.hostplan.names import alias, link_name, parse_alias
from bascule.hostplan.observed import Observed, ObservedLink
from bascule.hostplan.plan import plan
from bascule.hostplan.steps import inverse
from bascule.hostplan.vlan_aware_facts import BridgeFacts, Carried, Joined, Member, Watched
from bascule.resources.network import Network

TRUNK, BR0, OURS, PORT, TAP = 2, 3, 4, 5, 6
VIDS = (100, 110, 120)
SLOW = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def network(existing: bool = True, name: str = "dc1", trunk: str = "trunk0", native: int | None = 100) -> Network:
    port: dict[str, Any] = {"interface": {"name": trunk}} | ({"nativeVLAN": native} if native else {})
    bridge: dict[str, Any] = {"existingBridge": {"name": "br0"}} if existing else {"managedBridge": {}}
    host = {"nodeSelector": "", "bridge": bridge, "hostConnections": [{"trunkPort": port}] if trunk else []}
    meta = {"name": name} | ({} if existing else {"annotations": {"bascule.dev/driver": "vlan_aware"}})
    vlans = [{"vlan": {"id": vid}} for vid in VIDS]
    return Network.of({"metadata": meta, "spec": {"l2Bridge": {"hostConfig": [host], "vlans": vlans}}})


def node(**facts: Any) -> Observed:
    """A trunk in no bridge and a sound bridge br0 of another owner."""
    links = (ObservedLink(1, "lo"), ObservedLink(TRUNK, "trunk0", "veth", up=True), ObservedLink(BR0, "br0", "bridge"))
    told = {"filtering": True, "protocol": "802.1Q", "default_pvid": 0, "pinned": True} | facts
    return Observed(links, bridges=frozenset({BridgeFacts(BR0, **told)}))


def want(observed: Observed, *networks: Network, vids: tuple[int, ...] = (110,)) -> Desired:
    needed = {Need(each.name, vid) for each in networks for vid in vids}
    return desire(networks, "node1", {}, needed, observed)


@st.composite
def states(draw: st.DrawFn, sound: bool = False) -> Observed:
    """Any node: br0 and perhaps a bridge of ours, ports in them, the trunk in one and in VLANs, ledger lines for some
    of it. Unless `sound`: also lines whose links or memberships are gone, VLANs of another's on a trunk that we joined,
    and VLANs untagged but not the PVID."""
    links = [ObservedLink(1, "lo"), ObservedLink(BR0, "br0", "bridge", up=draw(st.booleans()))]
    ours = draw(st.booleans())
    if ours:
        mtu = draw(st.sampled_from((1500, 9000)))
        mac = "02:b5:00:00:00:01"
        label = alias("b", "dc1", 0)
        links.append(
            ObservedLink(OURS, link_name("b", "dc1", 0), "bridge", label, draw(st.booleans()), mtu=mtu, mac=mac)
        )
    homes = (0, BR0, OURS) if ours else (0, BR0)
    trunk = draw(st.sampled_from(homes))
    links.append(ObservedLink(TRUNK, "trunk0", "veth", up=draw(st.booleans()), master=trunk))
    members = set()
    for index, name in ((PORT, "hv1"), (TAP, "tap0")):
        master = draw(st.sampled_from(homes))
        links.append(ObservedLink(index, name, "veth", master=master))
        if master:
            members.add(Member(index, draw(st.sampled_from(VIDS)), True, True))
    if draw(st.booleans()):
        members.add(Member(BR0, 99, True, True))
    flags: dict[int, tuple[bool, bool]] = {}
    if trunk:
        kinds = ((False, False),) if sound else ((False, False), (False, True))
        flags = draw(st.dictionaries(st.sampled_from((*VIDS, 99)), st.sampled_from(kinds)))
        pvid = draw(st.sampled_from((0, *flags)))
        flags |= {pvid: (True, True)} if pvid else {}
        members |= {Member(TRUNK, vid, *each) for vid, each in flags.items()}
    lines = draw(st.sets(st.sampled_from(VIDS)))
    joined = {Joined(TRUNK, trunk)} if trunk and (trunk == OURS or draw(st.booleans())) else set()
    if sound:
        lines = set(flags) if joined else lines & flags.keys()
    carried = {Carried(TRUNK, vid, trunk, True) for vid in lines if trunk}
    if not sound and draw(st.booleans()):
        carried.add(Carried(900, 110, 901, True))
        joined.add(Joined(900, 901))
    watched = {Watched(TRUNK, trunk, draw(st.sampled_from((0, 100))))} if trunk and draw(st.booleans()) else set()
    facts = {BridgeFacts(BR0, True, "802.1Q", draw(st.sampled_from((0, 1))), True)}
    facts |= {BridgeFacts(OURS, True, "802.1Q", 0, True)} if ours else set()
    return Observed(
        tuple(links),
        bridges=frozenset(facts),
        vlans=frozenset(members),
        carried=frozenset(carried),
        joined=frozenset(joined),
        watched=frozenset(watched),
    )


wishes = st.tuples(
    st.sampled_from(((), (network(),), (network(native=None),), (network(False),), (network(False, native=None),))),
    st.sets(st.sampled_from(VIDS)).map(lambda vids: tuple(sorted(vids))),
)


@SLOW
@given(states(), wishes)
def test_a_plan_leads_to_what_is_desired_and_the_second_is_empty(observed: Observed, wish: Any) -> None:
    desired = want(observed, *wish[0], vids=wish[1])
    after = simulate.run(plan(desired, observed), observed)
    assert plan(desired, after) == ()
    for bridge in desired.bridges:
        link, trunk = after.by_name[bridge.name], after.by_name["trunk0"]
        assert link.up and trunk.up and trunk.master == link.index
        assert after.watched == {Watched(TRUNK, link.index, bridge.native)}
        on = {entry.vid: entry[2:] for entry in after.vlans if entry.port == TRUNK}
        assert {vid: on[vid] for vid in bridge.vids} == {
            vid: (vid == bridge.native, vid == bridge.native) for vid in bridge.vids
        }
        assert len([entry for entry in after.vlans if entry.port == TRUNK and entry.pvid]) <= 1


@SLOW
@given(states(), wishes)
def test_another_owners_bridge_loses_nothing_that_is_not_in_the_ledger(observed: Observed, wish: Any) -> None:
    desired = want(observed, *wish[0], vids=wish[1])
    after = simulate.run(plan(desired, observed), observed)
    lines = {row[:2] for row in observed.carried if row.bridge == BR0}
    foreign = {link.index for link in observed.links if link.master == BR0} | {BR0}
    kept = {entry for entry in observed.vlans if entry.port in foreign and entry[:2] not in lines}
    if Joined(TRUNK, BR0) in observed.joined:
        kept = {entry for entry in kept if entry.port != TRUNK or after.by_name["trunk0"].master == BR0}
    assert kept <= after.vlans
    assert {entry for entry in after.vlans if entry.port not in (TRUNK, BR0)} == {
        entry for entry in observed.vlans if entry.port not in (TRUNK, BR0)
    }
    assert {each for each in after.bridges if each.bridge == BR0} == {
        each for each in observed.bridges if each.bridge == BR0
    }
    for link in observed.links:
        if link.owner is None and link.name not in ("trunk0", "br0"):
            assert after.by_index[link.index] == link


@SLOW
@given(states(), wishes)
def test_a_vlan_that_a_port_has_stays_on_the_trunk(observed: Observed, wish: Any) -> None:
    desired = want(observed, *wish[0], vids=wish[1])
    after = simulate.run(plan(desired, observed), observed)
    trunk = observed.by_name["trunk0"]
    used = {
        entry.vid
        for entry in observed.vlans
        if entry.pvid and entry.port in (PORT, TAP) and observed.by_index[entry.port].master == trunk.master
    }
    before = {entry.vid for entry in observed.vlans if entry.port == TRUNK}
    assert used & before <= {entry.vid for entry in after.vlans if entry.port == TRUNK}


@SLOW
@given(states(sound=True), wishes)
def test_the_inverse_restores(observed: Observed, wish: Any) -> None:
    steps = plan(want(observed, *wish[0], vids=wish[1]), observed)
    back = simulate.run(inverse(steps), simulate.run(steps, observed))
    assert _by_name(back) == _by_name(observed)
    assert inverse(inverse(steps)) == steps


@SLOW
@given(states(), wishes)
def test_desire_and_plan_together_come_to_rest(observed: Observed, wish: Any) -> None:
    for _ in range(3):
        observed = simulate.run(plan(want(observed, *wish[0], vids=wish[1]), observed), observed)
    assert plan(want(observed, *wish[0], vids=wish[1]), observed) == ()


def _by_name(observed: Observed) -> object:
    name = observed.name_of
    return (
        {(link.name, link.kind, link.alias, link.up, link.mtu, name(link.master)) for link in observed.links},
        {(name(entry.port), *entry[1:]) for entry in observed.vlans},
        {(name(row.trunk), row.vid, name(row.bridge)) for row in observed.carried},
        {(name(row.trunk), name(row.bridge)) for row in observed.joined},
        {(name(row.trunk), name(row.bridge), row.native) for row in observed.watched},
        {(name(each.bridge), *each[1:]) for each in observed.bridges},
    )


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"filtering": False}, ("vlan_filtering is 0", "ip link set br0 type bridge vlan_filtering 1", "vid", "self")),
        ({"pinned": False}, ("addr_assign_type", "ip link set br0 address")),
        ({"protocol": "802.1ad"}, ("802.1ad", "ip link set br0 type bridge vlan_protocol 802.1Q")),
    ],
)
def test_an_existing_bridge_that_fails_a_check_is_refused_with_the_command(
    facts: dict[str, Any], named: tuple[str, ...]
) -> None:
    desired = want(node(**facts), network())
    (outcome,) = desired.outcomes
    assert (outcome.ok, outcome.reason) == (False, "BridgeRefused")
    assert all(word in outcome.message for word in ("dc1: existingBridge br0", *named))
    assert plan(desired, node(**facts)) == ()


def test_what_cannot_be_read_is_allowed() -> None:
    blind = node(filtering=None, protocol=None, pinned=None, default_pvid=None)
    assert want(blind, network()).outcomes[0].ok
    assert want(replace(blind, bridges=frozenset()), network()).outcomes[0].ok


def test_two_networks_cannot_have_one_bridge_nor_a_bridge_of_ours_or_calicos() -> None:
    desired = want(node(), network(), network(name="dc2", trunk=""))
    assert [(each.network, each.reason) for each in desired.outcomes] == [("dc1", "Ready"), ("dc2", "BridgeShared")]
    for link in (ObservedLink(BR0, "br0", "veth"), ObservedLink(BR0, "br0", "bridge", alias("b", "dc1", 0))):
        odd = replace(node(), links=(*node().links[:2], link))
        assert want(odd, network()).outcomes[0].reason == "BridgeUnsuitable"


def test_a_membership_of_another_hand_that_differs_is_refused_not_changed() -> None:
    inside = replace(node(), links=(*node().links[:1], ObservedLink(TRUNK, "trunk0", master=BR0), node().links[2]))
    untagged = replace(inside, vlans=frozenset({Member(TRUNK, 110, False, True)}))
    (outcome,) = want(untagged, network()).outcomes
    assert outcome.reason == "VlanConflict" and "`bridge vlan add dev trunk0 vid 110`" in outcome.message
    stray = replace(inside, vlans=frozenset({Member(TRUNK, 1, True, True)}))
    (outcome,) = want(stray, network(), vids=(100,)).outcomes
    assert outcome.reason == "VlanConflict" and "`bridge vlan delete dev trunk0 vid 1`" in outcome.message
    assert want(stray, network()).outcomes[0].ok


def test_a_trunk_joins_a_bridge_with_a_default_pvid_only_while_it_is_down() -> None:
    stray = node(default_pvid=1)
    words = [str(step) for step in plan(want(stray, network()), stray)]
    assert words == [
        "ip link set trunk0 down",
        "ip link set trunk0 master br0",
        "tc filter add dev trunk0 ingress bpf watch_in",
        "bridge vlan add dev trunk0 vid 110",
        "ip link set br0 up",
        "ip link set trunk0 up",
    ]
    above = replace(stray, links=(*stray.links, ObservedLink(9, "trunk0.20", "vlan", peer=TRUNK)))
    (outcome,) = want(above, network()).outcomes
    assert outcome.reason == "TrunkInUse" and "trunk0.20" in outcome.message


def test_ports_find_their_bridge_by_network_and_vlan() -> None:
    desired = want(node(), network(), vids=(100, 110))
    assert vlan_aware.bridges_by_vlan(desired.bridges, node()) == {("dc1", 100): BR0, ("dc1", 110): BR0}


def test_a_driver_does_not_change_under_running_vms() -> None:
    per_vlan = Network.of({"metadata": {"name": "dc1"}, "spec": {"l2Bridge": _spec_of(network(False))}})
    empty = Observed(node().links[:2])
    running = simulate.run(plan(want(empty, per_vlan), empty), empty)
    bridge = running.by_name[link_name("b", "dc1", 110)]
    used = replace(running, links=(*running.links, ObservedLink(90, "hv1", "veth", master=bridge.index)))
    assert want(used, network(False)).outcomes[0].reason == "DriverChange"
    moved = simulate.run(plan(want(running, network(False)), running), running)
    assert [link.name for link in moved.links if link.owner] == [link_name("b", "dc1", 0)]
    assert moved.demux == moved.mux == moved.attached == frozenset()


def _spec_of(_: Network) -> dict[str, Any]:
    port = {"interface": {"name": "trunk0"}, "nativeVLAN": 100}
    host = {"nodeSelector": "", "bridge": {"managedBridge": {}}, "hostConnections": [{"trunkPort": port}]}
    return {"hostConfig": [host], "vlans": [{"vlan": {"id": vid}} for vid in VIDS]}


def test_the_bridge_of_all_vlans_has_a_name_and_an_alias_of_its_own() -> None:
    assert alias("b", "dc1", 0) == "bascule:b:dc1/all"
    owner = parse_alias("bascule:b:dc1/all")
    assert owner is not None and (owner.vid, owner.role) == (0, "b")
    assert parse_alias("bascule:s:dc1/all") is None
    # printf dc1/all | sha256sum | xxd -r -p | base32 | head -c 10 | tr A-Z a-z
    assert link_name("b", "dc1", 0) == "bsb-35w3xtxtay"
