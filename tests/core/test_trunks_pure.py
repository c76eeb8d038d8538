"""The pure side of trunks: verdicts, edits of hostConfig, changes as JSON, faults into outcomes, the doctor's rules."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.doctor import Evidence, diagnose
from bascule.errors import RefusedError
from bascule.hostplan import steps as s
from bascule.hostplan.management import ALLOW_ANNOTATION, guard, own_vlan
from bascule.hostplan.observed import Observed, ObservedLink
from bascule.hostplan.outcome import NetworkOutcome
from bascule.resources.network import Network
from bascule.resources.node import Node
from bascule.trunks.change import CHANGE_ANNOTATION, ChangeError, Wish, decode, encode, fingerprint
from bascule.trunks.edit import attach, detach, position, selector, wished
from bascule.trunks.health import Fault, merge
from bascule.trunks.proof import FAILED, PROVEN, UNPROVEN, Answered, Facts, all_proven, judge
from bascule.trunks.questions import config_of, questions

GATEWAY = Answered("10.110.0.1", "02:00:00:00:00:01", 110)


def node(name: str, address: str = "", **labels: str) -> Node:
    document = {"kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}}}
    if address:
        document["status"] = {"addresses": [{"type": "InternalIP", "address": address}]}
    return Node.of(document)


def network(*entries: dict, vlans=(110, 120)) -> dict:
    made = [{"vlan": {"id": vid}, "subnets": [{"cidr": f"10.{vid}.0.0/24"}]} for vid in vlans]
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": "Network",
        "metadata": {"name": "dc1"},
        "spec": {"l2Bridge": {"hostConfig": list(entries), "vlans": made}},
    }


def entry(select: str = "", trunk: str = "trunk0", native: int | None = None) -> dict:
    port = {"interface": {"name": trunk}} | ({"nativeVLAN": native} if native else {})
    bridge = {"managedBridge": {"stp": "Disabled"}}
    return {"nodeSelector": select, "bridge": bridge, "hostConnections": [{"trunkPort": port}]}


@pytest.mark.parametrize(
    ("facts", "verdict", "words"),
    [
        (Facts("t", asked=("10.110.0.1",), answers=(GATEWAY,), sizes={1500: True}), PROVEN, "1500 bytes too"),
        (Facts("t", asked=("10.110.0.1",), answers=(GATEWAY,), sizes={1500: False}), FAILED, "1500 bytes"),
        (Facts("t", asked=("10.110.0.1",), answers=(GATEWAY,), sizes={1500: None, 1400: True}), PROVEN, "own MTU"),
        (Facts("t", asked=("10.110.0.1",)), UNPROVEN, "nobody answered"),
        (Facts("t"), UNPROVEN, "no gateway"),
        (Facts("t", asked=("x",), seen=True), UNPROVEN, "come in by themselves"),
        (Facts("t", link="trunk t is down", answers=(GATEWAY,)), FAILED, "is down"),
        (Facts("t", answers=(Answered("10.110.0.1", "m", 100),)), FAILED, "VLAN 100"),
        (Facts("t", answers=(Answered("10.110.0.1", "m", None),)), FAILED, "untagged"),
        (Facts("t", asked=("x",), untagged=True, wrong_native=120), FAILED, "lands in VLAN 120"),
    ],
)
def test_verdicts(facts: Facts, verdict: str, words: str) -> None:
    cell = judge("node1", "dc1", 110, facts)
    assert cell.verdict == verdict and words in cell.evidence
    assert set(cell.as_dict()) == {"node", "network", "vlan", "verdict", "evidence"}


def test_nothing_asked_is_nothing_proven() -> None:
    assert not all_proven([])
    assert all_proven([{"verdict": PROVEN}]) and not all_proven([{"verdict": PROVEN}, {"verdict": UNPROVEN}])


NODES = [node(f"node{n}") for n in range(1, 6)]


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(range(5)), min_size=1), st.sampled_from(["a0", "b0", "", "c0"])), max_size=6
    )
)
def test_edits_give_chosen_nodes_what_was_asked_and_others_what_they_had(acts) -> None:
    document = network(entry())
    wanted = dict.fromkeys(range(5), "trunk0")
    for picked, trunk in acts:
        chosen = [NODES[n] for n in picked]
        document = attach(document, NODES, chosen, trunk, None) if trunk else detach(document, NODES, chosen)
        wanted |= dict.fromkeys(picked, trunk)
        after = Network.of(document)
        for n, each in enumerate(NODES):
            config = config_of(after, each.meta.labels)
            assert (config.trunk.interface if config and config.trunk else "") == wanted[n]
        selectors = [config.node_selector for config in after.host_configs]
        assert len(set(selectors)) == len(selectors), "the list is keyed on its selectors"


def test_detaching_the_only_entry_is_refused_and_the_input_stays_as_it_was() -> None:
    document = network(entry(selector(["node1"])))
    before = copy.deepcopy(document)
    with pytest.raises(RefusedError):
        detach(document, NODES, NODES[:1])
    attach(document, NODES, NODES[1:2], "x0", 110)
    assert document == before
    assert position(network(entry("rack == 'a'"), entry()), NODES[0]) == 1


def test_a_wish_survives_the_document_and_bad_ones_are_the_default() -> None:
    document = wished(network(entry()), Wish("id1", True, 30.0), ["node2"])
    assert Wish.of(Network.of(document)) == Wish("id1", True, 30.0)
    assert document["metadata"]["annotations"][ALLOW_ANNOTATION] == "node2"
    for bad in ("", "[]", "{", '{"seconds": "x"}', '{"seconds": 1e999}', "null"):
        odd = network(entry())
        odd["metadata"]["annotations"] = {CHANGE_ANNOTATION: bad}
        wish = Wish.of(Network.of(odd))
        assert not wish.manual and 2.0 <= wish.seconds <= 600.0


def test_a_fingerprint_changes_with_what_concerns_the_node_only() -> None:
    labels = NODES[0].meta.labels

    def of(document: dict) -> str:
        return fingerprint(Network.of(document), config_of(Network.of(document), labels))

    base = of(network(entry()))
    assert of(network(entry(selector(["node2"]), "other"), entry())) == base
    assert of(network(entry(native=110))) != base and of(network(entry(), vlans=(110,))) != base


STEPS = [
    s.CreateBridge("b", "bascule:b:dc1/110", "02:b5:00:00:00:01", 1500),
    s.CreateStub("s", "x", "bascule:s:dc1/110", "bascule:x:dc1/110", 1500),
    s.SetMux("s", "t", 110),
    s.SetDemux("t", 110, "s"),
    s.SetNative("t", 110),
    s.AttachTrunk("t"),
    s.Enslave("s", "b"),
    s.SetUp("b"),
    s.SetMtu("b", 1500, 1400),
]


@pytest.mark.parametrize("step", [each for step in STEPS for each in (step, step.inverse())])
def test_steps_survive_json(step: s.Step) -> None:
    assert decode(json.loads(json.dumps(encode(step)))) == step


@pytest.mark.parametrize("value", [{}, {"step": "Nope"}, {"step": "SetUp"}, {"step": "SetUp", "link": "b", "more": 1}])
def test_an_unknown_step_is_an_error(value: dict) -> None:
    with pytest.raises(ChangeError):
        decode(value)


def test_faults_replace_good_outcomes_only() -> None:
    good, bad = NetworkOutcome("dc1", True, "Ready", "dc1: ok"), NetworkOutcome("x", False, "TrunkMissing", "x: no")
    fault = Fault("dc1", "VlanSilent", "VLAN 110 is silent")
    repaired = Fault("dc1", "DriftRepaired", "again", repaired=True)
    assert merge([good, bad], []) == (good, bad)
    told = merge([good, bad], [repaired, fault, Fault("x", "VlanSilent", "y")])
    assert (told[0].ok, told[0].reason) == (False, "VlanSilent") and told[1] == bad
    assert merge([good], [repaired])[0].ok
    assert fault.as_finding("node1")["id"] == "trunk-vlan-silent"


def test_the_management_path_needs_the_nodes_name() -> None:
    links = (
        ObservedLink(1, "eth0", default_route=True),
        ObservedLink(2, "trunk0"),
        ObservedLink(3, "v5", "vlan", peer=2),
    )
    on_vlan = Observed(links, addresses=frozenset({(1, "10.110.0.9/24")}))
    above = Observed(links, addresses=frozenset({(3, "192.0.2.1/24")}))
    plain = Observed(links, addresses=frozenset({(1, "198.51.100.1/24")}))
    made = Network.of(network(entry()))
    config = made.host_configs[0]
    assert "VLAN 110" in own_vlan(made, config, on_vlan) and "stands on the trunk" in own_vlan(made, config, above)
    assert own_vlan(made, config, plain) == ""
    assert guard(made, config, on_vlan, "node1")[1].reason == "ManagementPath"
    confirmed = Network.of(wished(network(entry()), Wish(), ["node1"]))
    seen, refusal = guard(confirmed, config, on_vlan, "node1")
    assert refusal is None and not any(link.default_route for link in seen.links)
    assert guard(confirmed, config, on_vlan, "node2")[1] is not None


def test_questions_ask_gateways_then_neighbours() -> None:
    document = network(entry(native=110), vlans=(110,))
    route = {"destination": "0.0.0.0/0", "action": {"nextHop": "10.110.0.1"}}
    document["spec"]["l2Bridge"]["vlans"][0]["subnets"][0]["routes"] = [route]
    document["spec"]["l2Bridge"]["vlans"].append({"vlan": {"range": {"start": 1, "end": 4094}}})
    made = Network.of(document)
    near = {("dc1", 110): ("10.110.0.7",), ("dc1", 300): ("10.0.3.1",)}
    first, second = questions([made], {}, {("dc1", 300)}, near)
    assert (first.vlan, first.tag, first.targets) == (110, None, ("10.110.0.1", "10.110.0.7"))
    assert (second.vlan, second.tag, second.targets) == (300, 300, ("10.0.3.1",))
    assert [q.vlan for q in questions([made], {}, frozenset(), near, {5})] == [5]


def test_the_doctor_names_each_trouble_with_evidence_and_fix() -> None:
    nad = {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "lost", "namespace": "vms"},
        "spec": {"config": json.dumps({"cniVersion": "0.3.1", "type": "calico", "network": "nope", "vlan": 110})},
    }
    pool = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "IPPool",
        "metadata": {"name": "far"},
        "spec": {"cidr": "10.9.0.0/24", "allowedUses": ["L2Workload"], "disableBGPExport": True},
    }
    nic = {"name": "n", "bridge": {}}
    spec = {
        "domain": {"devices": {"interfaces": [nic]}},
        "networks": [{"name": "n", "multus": {"networkName": "lost"}}],
    }
    vm = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": "web", "namespace": "vms"},
        "spec": {"template": {"spec": spec}},
    }
    labels = {"kubernetes.io/hostname": "node1"}
    status = {"addresses": [{"type": "InternalIP", "address": "10.110.0.5"}]}
    host = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1", "labels": labels}, "status": status}
    net = network(entry(), entry(selector(["node1"]), "x0"))
    report = {"networks": [{"name": "dc1", "ready": False, "reason": "BridgeRefused", "message": "dc1: no filtering"}]}
    cells = (
        {"node": "node1", "network": "dc1", "vlan": 110, "verdict": UNPROVEN, "evidence": "nobody answered"},
        {"node": "node2", "network": "dc1", "vlan": 110, "verdict": PROVEN, "evidence": "yes"},
    )
    found = diagnose(Evidence((net, nad, pool, vm, host), {"node1": report}, cells))
    ids = {finding.id for finding in found}
    assert ids >= {
        "bridge-refused",
        "node-shadowed",
        "vlan-missing-on-trunk",
        "vm-without-mac",
        "management-vlan-inside",
        "pool-serves-no-vlan",
        "nad-without-network",
        "vlan-without-pool",
    }
    for finding in found:
        assert finding.message and finding.fix and finding.evidence, finding
        assert set(finding.as_dict()) == {"id", "severity", "object", "message", "evidence", "fix"}
    assert [f.severity for f in found] == sorted((f.severity for f in found), key=["error", "warning", "info"].index)
    assert diagnose(Evidence((network(entry()),))) == []
