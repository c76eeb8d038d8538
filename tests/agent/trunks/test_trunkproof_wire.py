"""The proof on a real switch: each verdict with its cause planted, and nothing left behind on the trunk."""

from __future__ import annotations

import pytest

from bascule.resources.network import Network
from bascule.trunks.proof import FAILED, PROVEN, UNPROVEN
from bascule.trunks.questions import questions
from bascule_agent.netlink import Netlink, in_netns
from bascule_agent.probes.trunk_proof import prove
from bascule_lab.nodes import netns

pytestmark = pytest.mark.root


def cells(park, document, **more):
    asked = questions([Network.of(document)], {}, frozenset(), {})
    with Netlink(park.ns("node1")) as netlink:
        return {c.vlan: c for c in in_netns(park.ns("node1"), lambda: prove("node1", asked, netlink.find, **more))}


async def test_each_verdict_has_its_cause(park, kit):
    before = park.iproute("ip", "-d", "-j", "link")
    good = cells(park, kit.network())
    assert {vlan: cell.verdict for vlan, cell in good.items()} == {100: PROVEN, 110: PROVEN, 120: PROVEN}
    assert "10.110.0.1" in good[110].evidence and "untagged" in good[100].evidence and "1500" in good[120].evidence
    assert cells(park, kit.network()) == good, "evidence must not change while the trunk does not"

    await park.fabric.deny_vlan("node1", 120)
    less = cells(park, kit.network())
    assert less[120].verdict == UNPROVEN and "nobody answered" in less[120].evidence
    assert {k: v for k, v in less.items() if k != 120} == {k: v for k, v in good.items() if k != 120}
    await park.fabric.allow_vlan("node1", 120)
    assert cells(park, kit.network()) == good

    wrong = cells(park, kit.network(native=110))
    assert wrong[120] == good[120]
    assert wrong[110].verdict == FAILED and wrong[100].verdict == FAILED
    assert "native" in wrong[110].evidence and "native" in wrong[100].evidence
    assert cells(park, kit.network(trunk="nope"))[110].verdict == FAILED
    assert cells(park, kit.network(trunk="mig0"))[110].verdict == UNPROVEN

    await park.fabric.cut("node1")
    assert "no carrier" in cells(park, kit.network())[110].evidence
    await park.fabric.restore("node1")
    assert before == park.iproute("ip", "-d", "-j", "link"), "a proof changes nothing of the link"


async def test_a_smaller_mtu_on_the_way_fails_and_a_smaller_own_one_is_said(park, kit):
    gateway, node = park.config.gateway, park.ns("node1")
    await netns.net(lambda: netns.link_in(gateway).set(netns.link_in(gateway).link("vlan110").index, mtu=1400))
    found = cells(park, kit.network())
    assert found[110].verdict == FAILED and "1500 bytes" in found[110].evidence
    assert found[120].verdict == PROVEN
    await netns.net(lambda: netns.link_in(node).set(netns.link_in(node).link("trunk0").index, mtu=1400))
    found = cells(park, kit.network())
    assert found[110].verdict == PROVEN and "to 1400 bytes too; 1500 bytes not asked" in found[110].evidence
