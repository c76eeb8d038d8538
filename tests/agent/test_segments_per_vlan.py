"""Plans carried out on a kernel: what netlink then reports is what the model said. Witnesses: iproute2, the model."""

from __future__ import annotations

import json
import subprocess

import pytest
from tests.agent.conftest import Node

from bascule.hostplan import simulate
from bascule.hostplan import steps as s
from bascule.hostplan.names import alias, link_name
from bascule.hostplan.observed import Observed
from bascule.hostplan.plan import plan
from bascule_agent.bpf import layout
from bascule_agent.bpf.objects import ensure
from bascule_agent.netlink import Netlink, in_netns
from bascule_agent.ports import PortManager
from bascule_agent.segments import PerVlan, SegmentError

pytestmark = pytest.mark.root


def ip_links(node: Node) -> dict[str, dict]:
    argv = ["ip", "-j", "-d", "link"]
    out = in_netns(node.netns, lambda: subprocess.run(argv, capture_output=True, text=True, check=True)).stdout
    return {link["ifname"]: link for link in json.loads(out)}


@pytest.fixture
def node(namespaces, pins):
    name = namespaces("h4-seg")
    with Netlink(name) as netlink, ensure(layout.SOURCE, pins / name, layout.defines(), layout.LAYOUT) as objects:
        netlink.add_veth("trunk0", "far0")
        yield Node(name, netlink, objects, PerVlan(netlink, objects), PortManager(netlink, objects))
        for table in ("trunks", "native", "stubs", "ports", "macs"):
            objects.rows(table, remove=True)


def facts(observed: Observed) -> set[tuple]:
    return {(link.name, link.alias, link.up, link.mtu, link.kind) for link in observed.links}


def test_a_plan_makes_what_it_says_and_a_second_plan_is_empty(node):
    desired = node.desired(100, 110)
    before = node.driver.observe()
    steps = plan(desired, before)
    node.driver.run(steps)
    after, model = node.driver.observe(), simulate.run(steps, before)
    assert plan(desired, after) == ()
    names = after.name_of
    assert facts(after) == facts(model)
    assert {(names(t), v, names(i)) for t, v, i in after.demux} == {
        (model.name_of(t), v, model.name_of(i)) for t, v, i in model.demux
    }
    assert {(names(i), names(t), v) for i, t, v in after.mux} == {
        (model.name_of(i), model.name_of(t), v) for i, t, v in model.mux
    }
    assert {names(i) for i in after.attached} == {"trunk0"}
    links = ip_links(node)
    bridge = links[link_name("b", "dc1", 110)]
    assert bridge["linkinfo"]["info_data"]["stp_state"] == 0
    assert bridge["linkinfo"]["info_data"]["mcast_snooping"] == 0
    assert bridge["ifalias"] == "bascule:b:dc1/110"
    assert links[link_name("s", "dc1", 110)]["master"] == bridge["ifname"]


def test_every_step_may_be_repeated(node):
    steps = plan(node.desired(100, 110), node.driver.observe())
    for step in steps:
        node.driver.execute(step)
        node.driver.execute(step)
    assert plan(node.desired(100, 110), node.driver.observe()) == ()


def test_the_inverse_of_a_plan_leaves_the_node_as_it_was(node):
    before = node.driver.observe()
    steps = plan(node.desired(100, 110), before)
    node.driver.run(steps)
    for step in s.inverse(steps):
        node.driver.execute(step)
        node.driver.execute(step)
    assert node.driver.observe() == before
    qdiscs = in_netns(node.netns, lambda: subprocess.run(["tc", "qdisc"], capture_output=True, text=True, check=True))
    assert "clsact" not in qdiscs.stdout


def test_a_vlan_that_goes_takes_nothing_of_the_other_along(node):
    node.apply(100, 110)
    kept = ip_links(node)[link_name("b", "dc1", 110)]
    node.apply(110)
    after = ip_links(node)
    assert sorted(name for name in after if name.startswith("bs")) == sorted(link_name(r, "dc1", 110) for r in "bsx")
    assert after[link_name("b", "dc1", 110)]["ifindex"] == kept["ifindex"]
    node.apply()
    assert sorted(ip_links(node)) == ["far0", "lo", "trunk0"]
    assert all(len(node.objects.rows(table)[0]) == 0 for table in ("trunks", "native", "stubs"))


def test_another_agent_with_the_same_pins_has_nothing_to_do(node):
    node.apply(100, 110)
    ids = {link.index: node.netlink.filters(link.index, "egress") for link in node.netlink.links()}
    with (
        Netlink(node.netns) as netlink,
        ensure(layout.SOURCE, node.objects.pin_dir.parent, layout.defines(), layout.LAYOUT) as objects,
    ):
        assert plan(node.desired(100, 110), PerVlan(netlink, objects).observe()) == ()
    assert ids == {link.index: node.netlink.filters(link.index, "egress") for link in node.netlink.links()}


@pytest.mark.parametrize(
    "step",
    [
        s.DeleteBridge("theirs", alias("b", "dc1", 110), "02:00:00:00:00:01", 1500),
        s.CreateBridge("theirs", alias("b", "dc1", 110), "02:00:00:00:00:01", 1500),
        s.Enslave("far0", "theirs"),
        s.Release("far0", "theirs"),
        s.SetMtu("far0", 1400, 1500),
        s.DeleteStub("far0", "trunk0", alias("s", "dc1", 110), alias("x", "dc1", 110), 1500),
        s.SetMux("far0", "trunk0", 110),
        s.SetDemux("trunk0", 110, "far0"),
        s.SetUp("nowhere"),
    ],
    ids=lambda step: type(step).__name__,
)
def test_what_is_not_ours_is_left_as_it_is(node, step):
    node.netlink.add_bridge("theirs", "02:00:00:00:00:01")
    before = node.driver.observe()
    with pytest.raises(SegmentError) as caught:
        node.driver.execute(step)
    assert str(step) in str(caught.value) and caught.value.cause
    assert node.driver.observe() == before


def test_another_owners_filter_on_the_trunk_is_not_replaced(node):
    trunk = node.netlink.link("trunk0").index
    node.netlink.attach_bpf(trunk, "ingress", node.objects.programs["port_in"], "cni")
    with pytest.raises(SegmentError, match="another owner's filter: cni"):
        node.driver.execute(s.AttachTrunk("trunk0"))
    node.driver.execute(s.DetachTrunk("trunk0"))
    assert [entry.name for entry in node.netlink.filters(trunk, "ingress")] == ["cni"]
