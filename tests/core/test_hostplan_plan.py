"""plan() against the model: it converges from any observed state, repeats nothing, can be taken back, and leaves what
is not ours alone. The states are drawn, with wrong kinds, halves of pairs, stale map entries and taken names."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bascule.hostplan import simulate
from bascule.hostplan.desired import Desired, Need, desire
from bascule.hostplan.names import alias, link_name
from bascule.hostplan.observed import Observed, ObservedLink
from bascule.hostplan.owned import Owned
from bascule.hostplan.plan import plan
from bascule.hostplan.steps import inverse
from bascule.resources.network import Network

NETWORKS, VIDS, TRUNKS = ("dc1", "dc2"), (100, 110), ("trunk0", "trunk1")
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def network(name: str, trunk: str, native: int | None = None) -> Network:
    port = {"interface": {"name": trunk}} | ({"nativeVLAN": native} if native else {})
    connections = [{"trunkPort": port}] if trunk else []
    host = {"nodeSelector": "", "bridge": {"managedBridge": {}}, "hostConnections": connections}
    vlans = [{"vlan": {"id": vid}} for vid in VIDS]
    return Network.of({"metadata": {"name": name}, "spec": {"l2Bridge": {"hostConfig": [host], "vlans": vlans}}})


@st.composite
def states(draw: st.DrawFn, halves: bool = True) -> Observed:
    """Any node: two trunks, links of ours and of others, whole pairs and halves, and maps with stale entries.

    Without `halves` it is one that steps can restore: no half of a pair, and no map entry that takes a link of ours for
    a trunk, because such a link has another index once it was deleted and made again.
    """
    links = [ObservedLink(1, "trunk0", up=draw(st.booleans())), ObservedLink(2, "trunk1", "veth", mtu=9000)]
    names = draw(
        st.permutations(
            [*(f"l{i}" for i in range(12)), *(link_name(r, n, v) for r in "bsx" for n in NETWORKS for v in VIDS)]
        )
    )

    def one(kind: str, role: str) -> ObservedLink:
        key = (draw(st.sampled_from(NETWORKS)), draw(st.sampled_from(VIDS)))
        label = alias(role, *key) if draw(st.integers(0, 3)) else ""  # type: ignore[arg-type]
        index, free = len(links) + 1, [name for name in names if name not in {link.name for link in links}]
        proper = link_name(role, *key)  # type: ignore[arg-type]
        name = proper if proper in free and draw(st.booleans()) else free[0]
        links.append(
            ObservedLink(index, name, kind, label, draw(st.booleans()), mtu=draw(st.sampled_from((1500, 9000))))
        )
        return links[-1]

    for _ in range(draw(st.integers(0, 4))):
        one(draw(st.sampled_from(("bridge", "bridge", "dummy"))), "b")
    for _ in range(draw(st.integers(0, 4))):
        near = one("veth", "s")
        if halves and not draw(st.integers(0, 3)):
            continue
        far = one("veth", "x")
        if draw(st.booleans()):
            far = replace(far, alias=near.alias.replace(":s:", ":x:"))
        links[near.index - 1], links[far.index - 1] = replace(near, peer=far.index), replace(far, peer=near.index)
    bridges = [link.index for link in links if link.kind == "bridge"]
    for position, link in enumerate(links):
        if link.kind == "veth" and bridges and draw(st.integers(0, 2)):
            links[position] = replace(link, master=draw(st.sampled_from(bridges)))
    indexes = st.one_of(st.integers(1, len(links)), st.sampled_from((900, 901)))
    foreign = st.sampled_from([link.index for link in links if link.owner is None])
    trunks = indexes if halves else st.one_of(foreign, st.sampled_from((900, 901)))
    demux = draw(st.dictionaries(st.tuples(trunks, st.sampled_from(VIDS)), indexes, max_size=3))
    mux = draw(st.dictionaries(indexes, st.tuples(trunks, st.sampled_from(VIDS)), max_size=3))
    native = draw(st.dictionaries(indexes, st.sampled_from(VIDS), max_size=2))
    return Observed(
        tuple(links),
        frozenset((*key, stub) for key, stub in demux.items()),
        frozenset((stub, *value) for stub, value in mux.items()),
        frozenset(native.items()),
        draw(st.frozensets(indexes, max_size=2)),
    )


wishes = st.tuples(
    st.lists(
        st.builds(network, st.sampled_from(NETWORKS), st.sampled_from(("", *TRUNKS)), st.sampled_from((None, 100))),
        max_size=2,
        unique_by=lambda each: each.name,
    ),
    st.frozensets(st.builds(Need, st.sampled_from(NETWORKS), st.sampled_from(VIDS))),
)


def wish(wishing: tuple[list[Network], frozenset[Need]], observed: Observed) -> Desired:
    return desire(wishing[0], "node1", {}, wishing[1], observed)


@SLOW
@given(states(), wishes)
def test_a_plan_leads_to_what_is_desired_and_the_second_is_empty(
    observed: Observed, wishing: tuple[list[Network], frozenset[Need]]
) -> None:
    desired = wish(wishing, observed)
    after = simulate.run(plan(desired, observed), observed)
    assert plan(desired, after) == ()
    for segment in desired.segments:
        ours = {link.alias: link for link in after.links if link.owner}
        bridge = ours[alias("b", segment.network, segment.vid)]
        bridges = [link for link in after.links if link.alias == bridge.alias and link.up and link.mtu == segment.mtu]
        assert bridges
        if not segment.trunk:
            continue
        trunk = after.by_name[segment.trunk].index
        ((_, _, stub),) = [entry for entry in after.demux if entry[:2] == (trunk, segment.vid)]
        assert (stub, trunk, segment.vid) in after.mux
        near = after.by_index[stub]
        far = after.by_index[near.peer]
        assert near.alias == alias("s", segment.network, segment.vid)
        assert near.master in {link.index for link in bridges}
        assert near.up and far.up and far.master == 0 and near.mtu == far.mtu == segment.mtu
        assert trunk in after.attached and after.by_index[trunk].up
    for use in desired.trunks:
        index = after.by_name[use.name].index
        assert {vid for trunk, vid in after.native if trunk == index} == ({use.native} - {None})


@SLOW
@given(states(), wishes)
def test_links_without_our_alias_are_never_touched(
    observed: Observed, wishing: tuple[list[Network], frozenset[Need]]
) -> None:
    desired = wish(wishing, observed)
    after = simulate.run(plan(desired, observed), observed)
    trunks = {use.name for use in desired.trunks}
    for link in observed.links:
        if link.owner is None:
            assert after.by_index[link.index] == (replace(link, up=True) if link.name in trunks else link)


@SLOW
@given(states(), wishes)
def test_desire_and_plan_together_come_to_rest(
    observed: Observed, wishing: tuple[list[Network], frozenset[Need]]
) -> None:
    for _ in range(3):
        observed = simulate.run(plan(wish(wishing, observed), observed), observed)
    assert plan(wish(wishing, observed), observed) == ()


@SLOW
@given(states(halves=False), wishes)
def test_the_inverse_restores(observed: Observed, wishing: tuple[list[Network], frozenset[Need]]) -> None:
    steps = plan(wish(wishing, observed), observed)
    back = simulate.run(inverse(steps), simulate.run(steps, observed))
    assert _by_name(back) == _by_name(observed)
    assert inverse(inverse(steps)) == steps


@SLOW
@given(states(), wishes)
def test_without_needs_nothing_of_ours_that_may_go_stays(
    observed: Observed, wishing: tuple[list[Network], frozenset[Need]]
) -> None:
    after = simulate.run(plan(wish((wishing[0], frozenset()), observed), observed), observed)
    owned = Owned.of(after)
    assert not list(owned.surplus(owned.ports_in_use, owned.ports_in_use))
    assert {key for key in owned.bridges if owned.removable(owned.bridges[key])} <= owned.ports_in_use


def _by_name(observed: Observed) -> object:
    """A state without its ifindexes: what is deleted and made again gets a new one."""
    name = observed.name_of
    return (
        {
            (link.name, link.kind, link.alias, link.up, link.mtu, link.master and name(link.master))
            for link in observed.links
        },
        {(name(trunk), vid, name(stub)) for trunk, vid, stub in observed.demux},
        {(name(stub), name(trunk), vid) for stub, trunk, vid in observed.mux},
        {(name(trunk), vid) for trunk, vid in observed.native},
        {name(index) for index in observed.attached},
    )
