"""The IPAM stand-in keeps calico-l2.md's rules: pools by subnet and use, reserved addresses, one handle a VM."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule_lab.standins.ipam import AttachError, attach

HOPS = [{"destination": "0.0.0.0/0", "action": {"nextHop": "10.0.5.1"}}]


def nad(vlan: object = 5, network: str = "dc1", **more: Any) -> dict[str, Any]:
    config = {"type": "calico", "network": network, "vlan": vlan, "ipam": {"type": "calico-ipam"}, **more}
    return {"metadata": {"name": "vlan-5"}, "spec": {"config": json.dumps(config)}}


def network(cidr: str = "10.0.5.0/24") -> dict[str, Any]:
    vlans = [
        {"vlan": {"id": 5}, "subnets": [{"cidr": cidr, "routes": HOPS}]},
        {"vlan": {"range": {"start": 10, "end": 12}}, "subnets": [{"cidr": "10.0.10.0/24"}]},
    ]
    return {"metadata": {"name": "dc1"}, "spec": {"l2Bridge": {"vlans": vlans}}}


def pool(cidr: str = "10.0.5.0/24", uses: tuple[str, ...] = ("L2Workload",)) -> dict[str, Any]:
    return {"metadata": {"name": f"pool-{cidr}"}, "spec": {"cidr": cidr, "allowedUses": list(uses)}}


def test_the_first_free_address_skips_network_broadcast_and_gateway() -> None:
    got = attach(nad(), {"dc1": network()}, [pool()], "", "vms.a", {})
    assert (got.ip, got.prefix, got.gateway, got.vlan) == ("10.0.5.2", 24, "10.0.5.1", 5)


def test_a_requested_address_is_given_and_stays_the_vms() -> None:
    taken = {"10.0.5.7": "vms.a"}
    assert attach(nad(), {"dc1": network()}, [pool()], "10.0.5.7", "vms.a", taken).ip == "10.0.5.7"
    assert attach(nad(), {"dc1": network()}, [pool()], "", "vms.a", taken).ip == "10.0.5.7"


def test_a_range_carries_its_vlans() -> None:
    assert attach(nad(11), {"dc1": network()}, [pool("10.0.10.0/24")], "", "vms.a", {}).vlan == 11


@pytest.mark.parametrize(
    ("document", "pools", "requested", "taken", "words"),
    [
        (nad(network="nope"), [pool()], "", {}, "failed to get Network 'nope'"),
        (nad(99), [pool()], "", {}, "VLAN 99 is not in Network dc1"),
        (nad(), [], "", {}, "no IPPool for VLAN 5"),
        (nad(), [pool(uses=("Workload",))], "", {}, "no IPPool for VLAN 5"),
        (nad(ipam={"ipv4_pools": ["other"]}), [pool()], "", {}, "no IPPool for VLAN 5"),
        (nad(), [pool()], "10.0.5.1", {}, "10.0.5.1 is not to be had"),
        (nad(), [pool()], "10.0.5.255", {}, "10.0.5.255 is not to be had"),
        (nad(), [pool()], "10.9.9.9", {}, "10.9.9.9 is not to be had"),
        (nad(), [pool()], "10.0.5.7", {"10.0.5.7": "vms.b"}, "held by vms.b"),
        ({"metadata": {"name": "x"}, "spec": {"config": "{"}}, [pool()], "", {}, "not JSON"),
    ],
)
def test_what_cannot_be_attached_says_why(
    document: dict[str, Any], pools: list[dict[str, Any]], requested: str, taken: dict[str, str], words: str
) -> None:
    with pytest.raises(AttachError) as caught:
        attach(document, {"dc1": network()}, pools, requested, "vms.a", taken)
    assert words in str(caught.value)


@given(st.sets(st.integers(0, 31), max_size=28), st.integers(26, 29))
def test_no_address_is_given_twice_and_none_that_is_reserved(held: set[int], prefix: int) -> None:
    subnet = ipaddress.IPv4Network(f"10.0.5.0/{prefix}")
    taken = {str(subnet[n]): f"vms.v{n}" for n in held if n < subnet.num_addresses}
    for number in range(subnet.num_addresses):
        try:
            got = attach(nad(), {"dc1": network(str(subnet))}, [pool(str(subnet))], "", f"vms.new{number}", taken)
        except AttachError:
            assert len(taken.keys() | {str(subnet[0]), str(subnet[-1]), "10.0.5.1"}) == subnet.num_addresses
            return
        assert got.ip not in taken
        assert got.ip not in (str(subnet[0]), str(subnet[-1]), "10.0.5.1")
        taken[got.ip] = f"vms.new{number}"
    pytest.fail("more addresses than the subnet has")
