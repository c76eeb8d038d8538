"""Every readiness check: planted once, it is found with its evidence; absent, it is not claimed to be in order."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_rvtools import Rows, book, estate

from bascule.estate.load import load
from bascule.estate.model import Estate
from bascule.migration.answers import Answer, Answers
from bascule.migration.checks import CHECKS
from bascule.migration.compare import compare
from bascule.migration.errors import MigrationInputError
from bascule.migration.page import html
from bascule.migration.readiness import as_dict, assess, open_questions
from bascule.migration.talk import Talk, of_csv
from bascule.migration.target import Target
from bascule.migration.world import Seen, World
from bascule.trunks.proof import Cell

NOON = "2026-11-23T12:00:00+00:00"
Doc = dict[str, Any]


def network(vlans: tuple[int, ...] = (110, 120, 130), native: int | None = None) -> Doc:
    trunk: Doc = {"interface": {"name": "trunk0"}, **({"nativeVLAN": native} if native else {})}
    host = {"nodeSelector": "", "bridge": {"managedBridge": {}}, "hostConnections": [{"trunkPort": trunk}]}
    entries = [
        {
            "vlan": {"id": vid},
            "subnets": [
                {
                    "cidr": f"10.{vid}.0.0/24",
                    "routes": [{"destination": "0.0.0.0/0", "action": {"nextHop": f"10.{vid}.0.1"}}],
                }
            ],
        }
        for vid in vlans
    ]
    spec = {"l2Bridge": {"hostConfig": [host], "vlans": entries}}
    return {"apiVersion": "projectcalico.org/v3", "kind": "Network", "metadata": {"name": "dc1"}, "spec": spec}


def pool(vid: int, **spec: Any) -> Doc:
    base = {"cidr": f"10.{vid}.0.0/24", "allowedUses": ["L2Workload"], "disableBGPExport": True, **spec}
    meta = {"name": f"dc1-vlan-{vid}"}
    return {"apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": meta, "spec": base}


def nad(vid: int, **config: Any) -> Doc:
    base = {"cniVersion": "0.3.1", "type": "calico", "network": "dc1", "vlan": vid, **config}
    meta = {"name": f"vlan-{vid}", "namespace": "vms"}
    spec = {"config": json.dumps(base)}
    return {"kind": "NetworkAttachmentDefinition", "metadata": meta, "spec": spec}


def node(number: int, ip: str = "192.0.2.1") -> Doc:
    status = {"addresses": [{"type": "InternalIP", "address": ip}]}
    return {"kind": "Node", "metadata": {"name": f"node{number}", "labels": {}}, "status": status}


def installation(**calico: Any) -> Doc:
    base = {"multiInterfaceMode": "Multus", "linuxDataplane": "BPF", "mtu": 1500, **calico}
    return {"kind": "Installation", "metadata": {"name": "default"}, "spec": {"calicoNetwork": base}}


def vm(name: str, ip: str, mac: str) -> Doc:
    template = {
        "metadata": {"annotations": {"cni.projectcalico.org/net-0.ipAddrs": json.dumps([ip])}},
        "spec": {
            "domain": {"devices": {"interfaces": [{"name": "net-0", "bridge": {}, "macAddress": mac}]}},
            "networks": [{"name": "net-0", "multus": {"networkName": "vms/vlan-110"}}],
        },
    }
    return {"kind": "VirtualMachine", "metadata": {"name": name, "namespace": "vms"}, "spec": {"template": template}}


CLUSTER = [
    network(), *(pool(vid) for vid in (110, 120, 130)), *(nad(vid) for vid in (110, 120, 130)), node(1), installation(),
]  # fmt: skip
PROOFS = [Cell("node1", "dc1", vid, "proven", "the gateway answers") for vid in (110, 120, 130)]


def clean(rows: Rows) -> None:
    for nic in rows["vNetwork"]:
        nic["Adapter"] = "virtio"
    for group in rows["dvPort"]:
        group["In Traffic Shaping"] = False


def world(change: Callable[[Rows], None] = lambda rows: None, cluster: list[Doc] | None = None, **more: Any) -> World:
    rows = estate(6)
    clean(rows)
    change(rows)
    found: Estate = load([("export.xlsx", book(rows))])
    given: dict[str, Any] = {"proofs": PROOFS, "talks": [], "seen": [], **more}
    return World(found, Target(CLUSTER if cluster is None else cluster), **given)


def verdicts(of: World) -> dict[str, str]:
    return {each.check.id: each.verdict for each in assess(of, NOON).judged if each.verdict != "ok"}


def cell(sheet: str, at: int, **values: Any) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        rows[sheet][at].update({key.replace("_", " "): value for key, value in values.items()})

    return change


def test_a_clean_estate_on_a_ready_cluster_has_nothing_to_say() -> None:
    assert len(CHECKS) >= 40
    assert verdicts(world()) == {}


ESTATE_FAULTS: list[tuple[str, str, Callable[[Rows], None]]] = [
    ("port-group-known", "warning", cell("vNetwork", 0, Network="gone")),
    ("vlan-known", "unknown", cell("dvPort", 0, VLAN="")),
    ("vlan-in-network", "error", cell("dvPort", 0, VLAN=999)),
    ("guest-trunk", "error", cell("dvPort", 0, VLAN=4095)),
    ("guest-trunk", "error", cell("dvPort", 0, VLAN="10-20,30")),
    ("private-vlan", "error", cell("dvPort", 0, VLAN="private 110/111")),
    ("vlan-override", "warning", cell("dvPort", 0, Vlan_Override=True)),
    ("promiscuous", "warning", cell("dvPort", 0, Allow_Promiscuous=True)),
    ("forged-transmits", "warning", cell("dvPort", 0, Forged_Transmits=True)),
    ("mac-changes", "warning", cell("dvPort", 0, Mac_Changes=True)),
    ("shaping", "warning", cell("dvPort", 0, In_Traffic_Shaping=True)),
    ("promiscuous", "unknown", cell("dvPort", 0, Allow_Promiscuous="")),
    ("mtu-switch", "warning", cell("dvSwitch", 0, Max_MTU=9000)),
    ("mtu-switch", "unknown", cell("dvSwitch", 0, Max_MTU="")),
    ("ip-on-nic", "warning", cell("vInfo", 0, Primary_IP_Address="10.110.0.200")),
    ("ip-valid", "error", cell("vNetwork", 0, IPv4_Address="224.0.0.5")),
    ("ip-valid", "error", cell("vNetwork", 0, IPv4_Address="169.254.3.4")),
    ("ip-one", "error", cell("vNetwork", 0, IPv4_Address="10.110.0.10, 10.110.0.99")),
    ("ipv6", "warning", cell("vNetwork", 0, IPv6_Address="2001:db8::1")),
    ("ip-in-subnet", "error", cell("vNetwork", 0, IPv4_Address="10.111.0.10")),
    ("ip-in-pool", "error", cell("vNetwork", 0, IPv4_Address="10.111.0.10")),
    ("ip-network-address", "error", cell("vNetwork", 0, IPv4_Address="10.110.0.0")),
    ("ip-broadcast-address", "error", cell("vNetwork", 0, IPv4_Address="10.110.0.255")),
    ("ip-gateway-address", "error", cell("vNetwork", 0, IPv4_Address="10.110.0.1")),
    ("ip-unique-estate", "error", cell("vNetwork", 0, IPv4_Address="10.110.0.11")),
    ("ip-of-hypervisor", "error", cell("vNetwork", 0, IPv4_Address="10.9.0.10")),
    ("mac-known", "unknown", cell("vNetwork", 0, Mac_Address="")),
    ("mac-for-migration", "warning", cell("vNetwork", 0, Mac_Address="")),
    ("mac-valid", "error", cell("vNetwork", 0, Mac_Address="01:50:56:00:00:01")),
    ("mac-unique-estate", "error", cell("vNetwork", 0, Mac_Address="00:50:56:00:00:03")),
    ("vrrp", "error", cell("vNetwork", 0, Mac_Address="00:00:5e:00:01:07")),
    ("name-dns-safe", "warning", cell("vInfo", 0, VM="Büro 1")),
    ("name-unique", "warning", cell("vInfo", 0, VM="app00001")),
    ("power-state", "error", cell("vInfo", 0, Powerstate="suspended")),
    ("power-state", "unknown", cell("vInfo", 0, Powerstate="")),
    ("tools", "warning", cell("vInfo", 0, Guest_state="notRunning")),
    ("nic-model", "warning", cell("vNetwork", 0, Adapter="E1000")),
    ("nic-rename", "unknown", cell("vNetwork", 0, Adapter="Vmxnet3")),
    ("nic-connected", "warning", cell("vNetwork", 0, Connected=False)),
    ("direct-path", "error", cell("vNetwork", 0, Direct_Path_IO=True)),
    ("shared-disk", "warning", cell("vDisk", 0, Sharing_mode="sharingMultiWriter")),
    ("nested-hypervisor", "error", cell("vInfo", 0, OS_according_to_the_VMware_Tools="VMware ESXi 7")),
    ("nic-count", "warning", lambda rows: (rows["vNetwork"].pop(0), rows["vInfo"][0].pop("Network #1"))[0]),
    ("nic-count", "error", lambda rows: rows["vNetwork"].extend([{**rows["vNetwork"][0], "Mac Address": ""}] * 9)),
    ("nic-one-a-network", "warning", lambda rows: rows["vNetwork"].append({**rows["vNetwork"][0], "Mac Address": ""})),
]  # fmt: skip


@pytest.mark.parametrize(("check", "verdict", "change"), ESTATE_FAULTS)
def test_a_planted_fault_of_the_estate(check: str, verdict: str, change: Callable[[Rows], None]) -> None:
    found = assess(world(change), NOON)
    (judged,) = [each for each in found.judged if each.check.id == check]
    assert judged.verdict == verdict
    assert all(each.evidence and each.fix and each.object for each in judged.results)
    if check not in ("name-unique", "ip-unique-estate", "mac-unique-estate"):
        several = ("vlan-in-network", "guest-trunk", "mac-known", "mac-for-migration", "mtu-switch")
        assert len(judged.results) == 1 or check in several


def without(kind: str) -> list[Doc]:
    return [each for each in CLUSTER if each["kind"] != kind]


def instead(document: Doc) -> list[Doc]:
    same = (document["kind"], document["metadata"]["name"])
    return [document if (each["kind"], each["metadata"]["name"]) == same else each for each in CLUSTER]


NO_HOSTS = {**network()["spec"]["l2Bridge"], "hostConfig": []}
RESERVED = {"kind": "IPReservation", "metadata": {"name": "r"}, "spec": {"reservedCIDRs": ["10.110.0.8/29"]}}


def failed(evidence: str) -> Any:
    return replace(PROOFS[0], verdict="failed", evidence=evidence)


CLUSTER_FAULTS: list[tuple[str, str, list[Doc]]] = [
    ("vlan-one-network", "warning", [*CLUSTER, {**network(), "metadata": {"name": "dc2"}}]),
    ("trunk-on-nodes", "error", instead({**network(), "spec": {"l2Bridge": NO_HOSTS}})),
    ("native-mismatch", "warning", instead(network(native=110))),
    ("management-vlan", "error", [*CLUSTER, node(2, "10.110.0.250")]),
    ("pool-there", "error", without("IPPool")),
    ("pool-kind", "error", instead(pool(110, disableBGPExport=False))),
    ("pool-kind", "error", instead(pool(110, ipipMode="Always"))),
    ("pool-kind", "error", instead(pool(110, allowedUses=["Workload"]))),
    ("ip-in-pool", "error", instead(pool(110, cidr="10.110.0.128/25"))),
    ("nad-there", "error", without("NetworkAttachmentDefinition")),
    ("nad-config", "error", instead(nad(110, vlan=777))),
    ("nad-config", "error", instead(nad(110, cniVersion="1.1.0"))),
    ("multi-interface-mode", "error", instead(installation(multiInterfaceMode="None"))),
    ("multi-interface-mode", "unknown", without("Installation")),
    ("dataplane", "error", instead(installation(linuxDataplane="Iptables"))),
    ("mtu-cluster", "warning", instead(installation(mtu=None))),
    ("ip-unique-cluster", "error", [*CLUSTER, vm("other", "10.110.0.10", "52:54:00:00:00:01")]),
    ("mac-unique-cluster", "error", [*CLUSTER, vm("other", "10.110.0.99", "00:50:56:00:00:00")]),
    ("name-free", "error", [*CLUSTER, vm("app00000", "10.110.0.10", "00:50:56:00:00:00")]),
    ("ip-reserved", "warning", [*CLUSTER, RESERVED]),
]  # fmt: skip


@pytest.mark.parametrize(("check", "verdict", "cluster"), CLUSTER_FAULTS)
def test_a_planted_fault_of_the_cluster(check: str, verdict: str, cluster: list[Doc]) -> None:
    assert verdicts(world(cluster=cluster)).get(check) == verdict


def test_gateway_and_subnet_faults() -> None:
    bad = network()
    bad["spec"]["l2Bridge"]["vlans"][0]["subnets"][0]["routes"][0]["action"]["nextHop"] = "10.99.0.1"
    assert verdicts(world(cluster=instead(bad)))["gateway-in-subnet"] == "error"
    bad["spec"]["l2Bridge"]["vlans"][0]["subnets"][0]["routes"] = []
    assert verdicts(world(cluster=instead(bad)))["gateway-known"] == "unknown"
    bad["spec"]["l2Bridge"]["vlans"][0]["subnets"][0]["cidr"] = "10.110.0.10/32"
    found = verdicts(world(cluster=instead(bad)))
    assert found["subnet-shape"] == "error" and found["subnet-room"] == "error"


@pytest.mark.parametrize(
    ("check", "verdict", "more"),
    [
        ("vlan-proven", "unknown", {"proofs": None}),
        ("vlan-proven", "unknown", {"proofs": PROOFS[1:]}),
        ("vlan-proven", "error", {"proofs": [failed("no carrier"), *PROOFS[1:]]}),
        ("mtu-trunk", "error", {"proofs": [failed("not to a frame of 1500 bytes")]}),
        ("native-mismatch", "error", {"proofs": [failed("another native VLAN")]}),
        ("ip-answers", "unknown", {"seen": None}),
        ("ip-answers", "error", {"seen": [Seen(110, "10.110.0.10", "02:00:00:00:00:01")]}),
        ("mac-answers", "warning", {"seen": [Seen(110, "10.110.0.77", "00:50:56:00:00:00")]}),
        ("mac-answers", "error", {"seen": [Seen(120, "10.110.0.10", "00:50:56:00:00:00")]}),
        ("multicast", "unknown", {"talks": None}),
        ("multicast", "warning", {"talks": [Talk("10.110.0.10", "239.1.1.1", 17, 5405, 9, 900)]}),
        ("vrrp", "error", {"talks": [Talk("10.110.0.10", "224.0.0.18", 112, 0, 9, 900)]}),
        ("broadcast", "warning", {"talks": [Talk("10.110.0.10", "10.110.0.255", 17, 137, 9, 900)]}),
        ("dhcp", "warning", {"talks": [Talk("0.0.0.0", "255.255.255.255", 17, 67, 1, 300, "00:50:56:00:00:00")]}),
    ],
)  # fmt: skip
def test_what_was_recorded_counts(check: str, verdict: str, more: dict[str, Any]) -> None:
    assert verdicts(world(**more)).get(check) == verdict


def test_an_answer_that_is_the_vms_own_is_no_fault() -> None:
    seen = [Seen(110, "10.110.0.10", "00:50:56:00:00:00")]
    assert verdicts(world(seen=seen)) == {}


def test_a_powered_off_vm_whose_address_answers() -> None:
    seen = [Seen(110, "10.110.0.10", "00:50:56:00:00:00")]
    assert verdicts(world(cell("vInfo", 0, Powerstate="poweredOff"), seen=seen)) == {"ip-answers": "error"}


def test_without_a_cluster_nothing_about_it_is_claimed() -> None:
    found = assess(replace(world(), target=Target()), NOON)
    about = {each.check.id for each in found.judged if any("no cluster" in one.evidence for one in each.results)}
    assert about >= {"vlan-in-network", "ip-in-pool", "pool-there", "pool-kind", "nad-there", "nad-config", "name-free",
                     "ip-unique-cluster", "mac-unique-cluster", "ip-reserved", "native-mismatch"}  # fmt: skip
    assert all(each.verdict in ("ok", "unknown") for each in found.judged)


def test_answers_settle_what_is_asked_and_say_so() -> None:
    asked = world(cell("dvPort", 0, Allow_Promiscuous=True), talks=None)
    settled = Answers(
        questions={"observability": Answer(True, "audit")},
        checks={"promiscuous": Answer(False, "asked"), "multicast": Answer(None, "", {"app00000": True})},
    )
    found = assess(replace(asked, answers=settled), NOON)
    by = {each.check.id: each for each in found.judged}
    assert by["promiscuous"].verdict == "ok" and "settled by the operator" in by["promiscuous"].evidence
    assert by["multicast"].verdict == "unknown"
    assert next(each for each in found.questions if each.id == "observability").answer == "yes"
    yes = assess(replace(asked, answers=Answers(checks={"vrrp": Answer(True, "keepalived")})), NOON)
    vrrp = next(each for each in yes.judged if each.check.id == "vrrp")
    assert vrrp.verdict == "warning" and "keepalived" in vrrp.evidence


def test_the_four_questions_from_flows() -> None:
    talks = [
        Talk("10.110.0.10", "10.120.0.10", 6, 5432, 9, 900),
        Talk("10.110.0.10", "10.110.0.11", 6, 80, 9, 900),
        Talk("198.51.100.7", "10.110.0.10", 6, 443, 9, 900),
    ]
    found = {each.id: each for each in assess(world(talks=talks), NOON).questions}
    assert [each.answer for each in found.values()] == ["yes", "yes", "yes", "unknown, ask"]
    assert found["vlan-policy"].vms == ("app00000", "app00001")
    assert "1 machines outside" in found["readdressing"].evidence[0]
    assert found["l2-adjacency"].vms == ("app00000", "app00003")


def test_two_dates_are_compared() -> None:
    old = as_dict(assess(world(cell("dvPort", 0, Allow_Promiscuous=True)), NOON))
    new = as_dict(assess(world(cell("vNetwork", 0, IPv4_Address="10.110.0.1")), NOON))
    told = {(row["change"], row["check"], row["object"]) for row in compare(old, new)}
    assert told == {
        ("new", "ip-gateway-address", "app00000 NIC 0"),
        ("new", "ip-on-nic", "app00000"),
        ("solved", "promiscuous", "pg-110"),
    }
    assert compare(old, old) == []


def test_the_page_escapes_what_came_from_outside() -> None:
    evil = "<script>alert(1)</script>"
    page = html(assess(world(cell("vInfo", 0, VM=evil)), NOON), [])
    assert evil not in page and "&lt;script&gt;" in page and "default-src 'none'" in page


def test_the_same_world_gives_the_same_report() -> None:
    assert json.dumps(as_dict(assess(world(), NOON))) == json.dumps(as_dict(assess(world(), NOON)))
    assert open_questions(assess(world(talks=None), NOON))["checks"]["vrrp"]["answer"] is None


@pytest.mark.parametrize(
    "document", [[], {"other": {}}, {"checks": {"nope": True}}, {"checks": {"vrrp": {"answer": "perhaps"}}},
                 {"port_groups": {"a": 0}}, {"subnets": {"x": "10.0.0.0/8"}}, {"subnets": {1: "10.0.0.0/99"}}],
)  # fmt: skip
def test_a_wrong_answers_file_is_one_error(document: Any) -> None:
    with pytest.raises(MigrationInputError, match="a.yaml"):
        Answers.of(document, "a.yaml", ("observability",), tuple(CHECKS))


def test_conversations_from_csv() -> None:
    data = b"Source IP;Destination IP;Protocol;Destination Port;Bytes\n10.0.0.1;10.0.0.2;TCP;443;900\nx;10.0.0.2;;;\n"
    talks, rejected = of_csv("flows.csv", data)
    assert talks == [Talk("10.0.0.1", "10.0.0.2", 6, 443, 0, 900)]
    assert [(each.row, each.field) for each in rejected] == [(3, "Source IP")]
    with pytest.raises(MigrationInputError):
        of_csv("flows.csv", b"a,b\n")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_estate_or_cluster_breaks_a_check(data: st.DataObject) -> None:
    base = world()
    junk = st.recursive(
        st.none() | st.booleans() | st.integers(-9, 5000) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    )
    documents = []
    for each in CLUSTER:
        spec = data.draw(st.just(each.get("spec")) | junk)
        documents.append({**each, "spec": spec})
    found = assess(replace(base, target=Target(documents)), NOON)
    assert len(found.judged) == len(CHECKS)
