"""The launcher pod contract: what is read, and that nothing is guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.resources.pod import PodContractError, PodNic, nics_of

# printf net-0 | sha256sum
POD_INTERFACE = "pod900d2c01c91"
STATUS_KEY = f"cni.projectcalico.org/{POD_INTERFACE}.network-status"
MAC = "52:54:00:00:6e:01"


def pod(**annotations: Any) -> dict[str, Any]:
    notes = {
        "k8s.v1.cni.cncf.io/networks": [
            {"name": "vlan-110", "namespace": "vms", "interface": POD_INTERFACE, "mac": MAC}
        ],
        "k8s.v1.cni.cncf.io/network-status": [
            {"name": "vms/vlan-110", "interface": POD_INTERFACE, "ips": ["fe80::1", "10.110.0.11"], "mac": MAC}
        ],
        STATUS_KEY: {"name": "dc1", "mac": MAC.upper(), "vlan": 110},
        "cni.projectcalico.org/podNetns": "/run/netns/bl-p-1",
    } | annotations
    labels = {"kubevirt.io": "virt-launcher", "vm.kubevirt.io/name": "web-1", "kubevirt.io/migrationJobUID": "u-1"}
    return {
        "metadata": {
            "name": "virt-launcher-web-1",
            "namespace": "vms",
            "labels": labels,
            "annotations": {k: v if isinstance(v, str) else json.dumps(v) for k, v in notes.items() if v is not None},
        }
    }


VMI = {
    "metadata": {"name": "web-1", "namespace": "vms"},
    "spec": {
        "domain": {"devices": {"interfaces": [{"name": "net-0", "bridge": {}, "macAddress": MAC}]}},
        "networks": [{"name": "net-0", "multus": {"networkName": "vlan-110"}}],
    },
}
NIC = PodNic(
    pod="virt-launcher-web-1",
    namespace="vms",
    vm="web-1",
    nic="net-0",
    interface=POD_INTERFACE,
    network="dc1",
    vlan=110,
    mac=MAC,
    ip="10.110.0.11",
    netns="/run/netns/bl-p-1",
    migration_uid="u-1",
    nad="vms/vlan-110",
)


def test_the_contract_is_read() -> None:
    assert nics_of(pod(), VMI) == (NIC,)


def test_without_the_vmi_the_interface_is_the_name() -> None:
    (nic,) = nics_of(pod())
    assert nic.nic == POD_INTERFACE and nic.vlan == 110


def test_multus_short_form_and_no_list_at_all() -> None:
    short = {"k8s.v1.cni.cncf.io/networks": f"vlan-110@{POD_INTERFACE}, other"}
    assert nics_of(pod(**short), VMI) == (NIC,)
    assert nics_of(pod(**{"k8s.v1.cni.cncf.io/networks": None}), VMI) == (NIC,)


def test_other_pods_and_routed_interfaces_have_no_nic() -> None:
    other = pod()
    other["metadata"]["labels"] = {}
    assert nics_of(other) == ()
    assert nics_of(pod(**{STATUS_KEY: {"name": "k8s-pod-network", "mac": MAC}})) == ()
    assert nics_of({"metadata": {"labels": {"kubevirt.io": "virt-launcher"}}}) == ()


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        (STATUS_KEY, "{", "not JSON"),
        (STATUS_KEY, [], "not a JSON object"),
        (STATUS_KEY, {"name": "dc1", "mac": MAC, "vlan": "110"}, "vlan"),
        (STATUS_KEY, {"name": "dc1", "mac": MAC, "vlan": 4095}, "4095"),
        (STATUS_KEY, {"name": "dc1", "mac": MAC, "vlan": True}, "vlan"),
        (STATUS_KEY, {"mac": MAC, "vlan": 110}, "Network"),
        (STATUS_KEY, {"name": "dc1", "mac": "53:00:00:00:00:01", "vlan": 110}, "unicast"),
        (STATUS_KEY, {"name": "dc1", "vlan": 110}, "mac"),
        ("k8s.v1.cni.cncf.io/networks", "[{", "not JSON"),
        ("k8s.v1.cni.cncf.io/network-status", {}, "list"),
        ("k8s.v1.cni.cncf.io/network-status", [{"interface": POD_INTERFACE, "ips": ["10.0.0.300"]}], "10.0.0.300"),
    ],
)
def test_a_malformed_annotation_is_one_clear_error(key: str, value: Any, problem: str) -> None:
    with pytest.raises(PodContractError) as caught:
        nics_of(pod(**{key: value}), VMI)
    message = str(caught.value)
    assert "vms/virt-launcher-web-1" in message and key in message and problem in message


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(("name", "mac", "vlan", "interface", "ips", "x")), inner, max_size=4),
    ),
    max_leaves=8,
)


@given(
    st.sampled_from((STATUS_KEY, "k8s.v1.cni.cncf.io/networks", "k8s.v1.cni.cncf.io/network-status")),
    json_values,
    json_values,
)
def test_anything_else_is_read_or_that_error(key: str, value: Any, vmi: Any) -> None:
    try:
        nics = nics_of(pod(**{key: value}), vmi)
    except PodContractError:
        return
    assert all(1 <= nic.vlan <= 4094 and nic.network for nic in nics)
