"""What the agent says to the switches after a change: which links, which tag, which frame. Pure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bascule.hostplan.names import alias
from bascule.hostplan.observed import Observed, ObservedLink
from bascule.hostplan.vlan_aware_facts import Carried, Member
from bascule_agent.apply.announce import frame, places

MAC = "52:54:00:00:6e:01"


def test_with_per_vlan_the_stub_says_it_and_its_program_adds_the_tag():
    stub = ObservedLink(5, "bss-a", "veth", alias("s", "dc1", 110), master=4)
    port = ObservedLink(6, "hv-web", "veth", master=4)
    observed = Observed(links=(ObservedLink(4, "bsb-a", "bridge", alias("b", "dc1", 110)), stub, port))
    assert places(observed, [(4, 110, MAC)]) == [("bss-a", 0, MAC)]
    assert places(observed, [(9, 110, MAC)]) == []


def test_with_vlan_aware_every_trunk_of_the_vlan_says_it_tagged_unless_native():
    trunks = (ObservedLink(2, "trunk0", master=4), ObservedLink(3, "trunk1", master=4))
    observed = Observed(
        links=trunks,
        carried=frozenset({Carried(2, 110, 4, True), Carried(3, 100, 4, True), Carried(3, 120, 7, True)}),
        vlans=frozenset({Member(2, 110, False, False), Member(3, 100, True, True)}),
    )
    assert places(observed, [(4, 110, MAC), (4, 100, MAC), (4, 120, MAC)]) == [("trunk0", 110, MAC), ("trunk1", 0, MAC)]


@given(st.integers(0, 4094), st.binary(min_size=6, max_size=6))
def test_the_frame_is_a_rarp_of_the_vms_own_mac(tag, mac):
    data = frame(mac.hex(":"), tag)
    head = 18 if tag else 14
    assert len(data) >= 60 and data[:12] == b"\xff" * 6 + mac
    assert data[12:head] == (b"\x81\x00" + tag.to_bytes(2, "big") if tag else b"") + b"\x80\x35"
    assert data[head : head + 8] == b"\x00\x01\x08\x00\x06\x04\x00\x03"
    assert data[head + 8 : head + 28] == mac + b"\0" * 4 + mac + b"\0" * 4
