"""Plans: merged with what exists, clean for the linter, the same bytes for the same input; waves, steps, Forklift."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_rvtools import book, estate

from bascule.estate.load import load
from bascule.estate.model import Disk, Estate, Vm
from bascule.lint import lint
from bascule.migration.answers import Answers
from bascule.migration.errors import MigrationInputError
from bascule.migration.forklift import forklift
from bascule.migration.forklift_status import read_status
from bascule.migration.machine import APPLY, CHECK, REVERT, ROLLBACK, VERIFY, Event, following
from bascule.migration.options import Options
from bascule.migration.plan import Plan, PolicyStep, build
from bascule.migration.plan_document import as_dict, documents, read_plan
from bascule.migration.readiness import assess
from bascule.migration.segments import assumed
from bascule.migration.steps import steps_of
from bascule.migration.talk import Talk
from bascule.migration.target import Target
from bascule.migration.waves import plan_waves
from bascule.migration.world import World
from bascule.resources.network import Network

OPTIONS = Options(trunk="trunk0", labels=("Application",))


def world(vms: int = 6, cluster: list[dict[str, Any]] | None = None, **more: Any) -> World:
    found: Estate = load([("export.xlsx", book(estate(vms)))])
    subnets = {vid: (f"10.{vid}.0.0/16", f"10.{vid}.255.254") for vid in (110, 120, 130)}
    given: dict[str, Any] = {"answers": Answers(subnets=subnets), **more}
    return World(found, Target(cluster or []), **given)


def plan(of: World, options: Options = OPTIONS, policy: PolicyStep | None = None) -> Plan:
    return build(of, assess(of, ""), options, policy)


def files(of: World, made: Plan) -> dict[str, list[dict[str, Any]]]:
    return documents(made, {vm.key: vm for vm in of.vms})


def test_a_new_network_with_all_it_needs_and_nothing_for_the_linter() -> None:
    here = world()
    made = plan(here)
    found = files(here, made)
    network = Network.of(found["networks.yaml"][0])
    assert (network.name, network.carried_vlans()) == ("dc1", {110, 120, 130})
    assert network.host_configs[0].trunk is not None and network.host_configs[0].trunk.interface == "trunk0"
    assert [doc["metadata"]["name"] for doc in found["pools.yaml"]] == ["dc1-vlan-110", "dc1-vlan-120", "dc1-vlan-130"]
    own = [doc for name in ("networks.yaml", "pools.yaml", "nads.yaml", "vms.yaml") for doc in found[name]]
    errors = [each for each in lint(own) if each.severity == "error"]
    assert errors == []


def test_a_vm_keeps_address_mac_and_vlan() -> None:
    here = world()
    machine = files(here, plan(here))["vms.yaml"][0]
    spec = machine["spec"]["template"]["spec"]
    nic = here.vms[0].nics[0]
    assert spec["domain"]["devices"]["interfaces"][0]["macAddress"] == nic.mac
    pinned = machine["spec"]["template"]["metadata"]["annotations"]["cni.projectcalico.org/net-0.ipAddrs"]
    assert json.loads(pinned) == list(nic.ips)
    assert spec["networks"][0]["multus"]["networkName"] == "vms/vlan-110"
    assert machine["metadata"]["labels"]["estate.bascule.dev/application"] == "shop0"
    assert machine["spec"]["runStrategy"] == "Halted"


def test_what_exists_is_kept_and_added_to() -> None:
    here = world()
    first = files(here, plan(here))
    network = json.loads(json.dumps(first["networks.yaml"][0]))
    network["metadata"]["resourceVersion"] = "7"
    network["spec"]["l2Bridge"]["vlans"] = [
        {"vlan": {"range": {"start": 110, "end": 119}}, "subnets": [{"cidr": "10.110.0.0/16"}]},
        {"vlan": {"id": 777}},
    ]
    node = {"kind": "Node", "metadata": {"name": "node1", "labels": {}}}
    cluster = [network, first["pools.yaml"][0], first["nads.yaml"][0], node]
    there = world(cluster=cluster)
    made = plan(there)
    found = files(there, made)
    vlans = found["networks.yaml"][0]["spec"]["l2Bridge"]["vlans"]
    assert vlans[:2] == network["spec"]["l2Bridge"]["vlans"] and len(vlans) == 4
    assert "resourceVersion" not in found["networks.yaml"][0]["metadata"]
    assert [doc["metadata"]["name"] for doc in found["pools.yaml"]] == ["dc1-vlan-120", "dc1-vlan-130"]
    assert [doc["metadata"]["name"] for doc in found["nads.yaml"]] == ["vlan-120", "vlan-130"]
    (trunk,) = made.networks.trunks
    assert (trunk["node"], trunk["added"]) == ("node1", [120, 130])
    everything = [*found["networks.yaml"], *first["pools.yaml"], *first["nads.yaml"], node]
    again = plan(world(cluster=everything))
    assert again.networks.documents == ()


def test_a_nads_name_that_is_taken_and_two_networks() -> None:
    taken = {"kind": "NetworkAttachmentDefinition", "metadata": {"name": "vlan-110", "namespace": "vms"},
             "spec": {"config": '{"type": "bridge"}'}}  # fmt: skip
    here = world(cluster=[taken])
    assert plan(here).networks.segments[110].nad == "vms/dc1-vlan-110"
    networks = [
        {"kind": "Network", "metadata": {"name": name}, "spec": {"l2Bridge": {"vlans": [], "hostConfig": []}}}
        for name in ("a", "b")
    ]
    with pytest.raises(MigrationInputError, match="--network"):
        plan(world(cluster=networks))
    assert plan(world(cluster=networks), replace(OPTIONS, network="b")).networks.segments[110].network == "b"


def test_a_network_of_another_type_is_refused() -> None:
    vrf = {"kind": "Network", "metadata": {"name": "blue"}, "spec": {"vrf": {}}}
    with pytest.raises(MigrationInputError, match="another type"):
        plan(world(cluster=[vrf]), replace(OPTIONS, network="blue"))


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 5000) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["l2Bridge", "vlans", "vlan", "id", "subnets", "cidr", "hostConfig", "config"])
            | st.text(max_size=4),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
_KINDS = st.sampled_from(["Network", "IPPool", "NetworkAttachmentDefinition", "VirtualMachine", "Node", "Installation"])


@given(st.lists(st.tuples(_KINDS, _JUNK), max_size=6))
@settings(max_examples=150, deadline=None)
def test_no_cluster_breaks_a_plan(junk: list[tuple[str, Any]]) -> None:
    cluster = [
        {"kind": kind, "metadata": {"name": f"n{at}", "namespace": "vms"}, "spec": spec}
        for at, (kind, spec) in enumerate(junk)
    ]
    here = replace(_BASE, target=Target(cluster))
    try:
        made = plan(here)
    except MigrationInputError as error:
        assert error.fix
        return
    files(here, made)
    as_dict(made)


def test_a_subnet_that_is_guessed_is_asked_about() -> None:
    made = plan(world(answers=Answers()))
    assert made.networks.segments[110].subnets[0].origin == "assumed"
    assert any("10.110.0.0/24 is assumed" in each for each in made.open)


def test_errors_hold_a_vm_back_and_take_takes_it() -> None:
    rows = estate(4)
    rows["vNetwork"][0]["IPv4 Address"] = "224.0.0.9"
    rows["dvPort"][1]["VLAN"] = ""
    rows["vNetwork"][3]["IPv4 Address"] = rows["vInfo"][3]["Primary IP Address"] = ""
    here = replace(world(), estate=load([("export.xlsx", book(rows))]))
    made = {vm.name: vm for vm in plan(here).vms}
    assert made["app00000"].wave == 0 and made["app00000"].held[0].startswith("ip-valid")
    assert made["app00001"].held[0].startswith("vlan-known") and made["app00002"].wave == 1
    assert made["app00003"].held[0].startswith("ip-known")
    assert {vm.name: vm for vm in plan(here, replace(OPTIONS, take=("app00000",))).vms}["app00000"].wave


def test_the_same_input_gives_the_same_bytes() -> None:
    data = book(estate(12))

    def text() -> str:
        here = world(1, talks=[Talk("10.110.0.10", "10.120.0.10", 6, 80, 1, 5)])
        here = replace(here, estate=load([("export.xlsx", data)]))
        made = plan(here)
        return json.dumps([as_dict(made), files(here, made)])

    assert text() == text()


def test_the_document_reads_back_and_junk_does_not() -> None:
    made = json.dumps(as_dict(plan(world()))).encode()
    assert read_plan("plan.json", made)["format"] == "bascule-plan/1"
    for junk in (b"", b"[]", b'{"format": "bascule-plan/1"}', made[:-9]):
        with pytest.raises(MigrationInputError, match="plan.json"):
            read_plan("plan.json", junk)


def test_policies_plug_in() -> None:
    policy = PolicyStep((("policies.yaml", "0123456789ab", 9),), {"app00000": {"fw.bascule.dev/vm": "app00000"}})
    made = plan(world(), policy=policy)
    assert made.vms[0].labels["fw.bascule.dev/vm"] == "app00000"
    assert not any("no policies" in each for each in made.open)


# waves


def talk(a: int, b: int, size: int) -> Talk:
    def ip(number: int) -> str:
        return f"10.{(110, 120, 130)[number % 3]}.0.{number // 3 + 10}"

    return Talk(ip(a), ip(b), 6, 443, 1, size)


def test_those_who_talk_move_together() -> None:
    here = world(9, talks=[talk(0, 1, 900), talk(1, 2, 800), talk(3, 4, 700), talk(2, 3, 10), talk(7, 8, 5)])
    waves = plan_waves(here, here.vms, Options(wave_vms=3))
    groups = [{key.rpartition("-")[2] for key in wave.vms} for wave in waves]
    assert {"1000", "1001", "1002"} in groups
    assert any({"1003", "1004"} <= group for group in groups) and any({"1007", "1008"} <= group for group in groups)
    crossing = [each for wave in waves for each in wave.crossing]
    assert sum(each[2] for each in crossing) == 20  # the one cut conversation, seen from both sides


def test_a_known_optimum_is_found() -> None:
    """Ten applications of six VMs that talk among themselves; waves of six: nothing is cut."""
    talks = [talk(app * 6 + a, app * 6 + b, 100 + a) for app in range(10) for a in range(6) for b in range(a)]
    here = world(60, talks=talks)
    waves = plan_waves(here, here.vms, Options(wave_vms=6))
    assert len(waves) == 10 and all(not wave.crossing for wave in waves)


def test_shared_disks_are_in_one_wave() -> None:
    base = world(8)
    quorum = Disk("[san] quorum.vmdk", "san", 1024, shared=True)
    vms = tuple(replace(vm, disks=(*vm.disks, quorum)) if at in (0, 5) else vm for at, vm in enumerate(base.estate.vms))
    here = replace(base, estate=replace(base.estate, vms=vms))
    waves = plan_waves(here, here.vms, Options(wave_vms=2))
    together = [set(wave.vms) for wave in waves]
    assert any({vms[0].key, vms[5].key} <= each for each in together)


@given(st.integers(1, 25), st.lists(st.tuples(st.integers(0, 23), st.integers(0, 23), st.integers(1, 99)), max_size=40))
@settings(max_examples=80, deadline=None)
def test_every_vm_is_in_exactly_one_wave_and_no_wave_is_too_full(room: int, spoken: list[tuple[int, int, int]]) -> None:
    here = replace(_BASE, talks=[talk(a, b, size) for a, b, size in spoken])
    waves = plan_waves(here, here.vms, Options(wave_vms=room))
    keys = [key for wave in waves for key in wave.vms]
    assert sorted(keys) == sorted(vm.key for vm in here.vms)
    assert all(len(wave.vms) <= room for wave in waves)


_BASE = world(24)


@given(st.lists(st.ip_addresses(v=4), min_size=1, max_size=8))
def test_assumed_subnets_hold_every_address(addresses: list[Any]) -> None:
    nets = assumed(sorted(addresses))
    assert all(any(ip in net for net in nets) for ip in addresses)
    assert all(16 <= net.prefixlen <= 24 for net in nets)


# steps


STEPS = ("network", "policy", "create", "stop")


@given(st.lists(st.sampled_from(["ok", "fail", "rollback", "crash"]), max_size=40))
def test_the_machine_resumes_anywhere_and_undoes_in_reverse(story: list[str]) -> None:
    events: list[Event] = []
    applied: list[str] = []
    for what in story:
        before = following(STEPS, events)
        assert following(STEPS, events) == before  # a restart reads the same journal and decides the same
        if what == "rollback" and before.state != "rolled back":
            events.append(Event("", ROLLBACK, True))
            continue
        if what == "crash" or not before.action:
            continue
        ok = what == "ok"
        events.append(Event(before.step, before.action, ok))
        if before.action == APPLY:
            assert before.step not in applied
            applied.append(before.step)
        if before.action == REVERT and ok:
            assert applied.pop() == before.step
    end = following(STEPS, events)
    assert (end.state == "rolled back") <= (not applied)
    assert (end.state == "done") <= (applied == list(STEPS))


def test_a_failed_check_blocks_and_changes_nothing() -> None:
    events = [Event("network", CHECK, True), Event("network", APPLY, True), Event("network", VERIFY, True)]
    blocked = following(STEPS, [*events, Event("policy", CHECK, False)])
    assert (blocked.state, blocked.step, blocked.action) == ("blocked", "policy", CHECK)
    stuck = following(STEPS, [*events, Event("", ROLLBACK, True), Event("network", REVERT, False)])
    assert (stuck.state, stuck.action) == ("stuck", REVERT)


def test_the_source_is_silent_before_the_target_speaks() -> None:
    vm = plan(world()).moving[0]
    order = [step.id for step in steps_of(vm, "vms")]
    assert order.index("stop") < order.index("start")
    assert all(step.check and step.apply and step.verify and step.revert for step in steps_of(vm, "vms"))
    stop = next(step for step in steps_of(vm, "vms") if step.id == "stop")
    assert vm.nics[0].ip in stop.verify and "silent" in stop.verify


# Forklift


def test_forklift_with_and_without_the_calico_block() -> None:
    here = world()
    made = plan(here)
    by_key = {vm.key: vm for vm in here.vms}
    plain = forklift(made, by_key, calico=False)
    assert [doc["kind"] for doc in plain] == ["Provider", "Provider", "StorageMap", "NetworkMap", "Plan", "Migration"]
    pairs = plain[3]["spec"]["map"]
    assert [(each["source"]["name"], each["destination"]["name"]) for each in pairs] == [
        ("pg-110", "vlan-110"), ("pg-120", "vlan-120"), ("pg-130", "vlan-130")
    ]  # fmt: skip
    assert plain[4]["spec"]["vms"][0] == {"id": "vm-1000", "targetName": "app00000"}
    assert {each["source"]["name"] for each in plain[2]["spec"]["map"]} == {"ds0", "ds1", "ds2", "ds3"}
    fork = forklift(made, by_key, calico=True)
    maps = [doc["spec"]["map"] for doc in fork if doc["kind"] == "NetworkMap"]
    assert len(maps) == 3
    for each in maps:
        blocks = [pair for pair in each if "calico" in pair["destination"]]
        assert len(blocks) == 1 and blocks[0]["destination"]["type"] == "pod"
        assert blocks[0]["destination"]["calico"]["network"] == "dc1"
    listed = [vm["id"] for doc in fork if doc["kind"] == "Plan" for vm in doc["spec"]["vms"]]
    assert sorted(listed) == sorted(vm.id for vm in here.vms)


def test_vms_that_forklift_cannot_fetch_are_not_given_to_it() -> None:
    here = world()
    vms: tuple[Vm, ...] = tuple(replace(vm, server="", id="") for vm in here.estate.vms)
    here = replace(here, estate=replace(here.estate, vms=vms))
    assert "forklift.yaml" not in files(here, plan(here))


STATUS: dict[str, Any] = {
    "kind": "Plan",
    "metadata": {"name": "bascule-wave-1"},
    "status": {
        "conditions": [
            {"type": "Ready", "status": "True", "category": "Required", "message": "The plan is ready."},
            {"type": "Executing", "status": "True", "category": "Advisory"},
            {"type": "VMMissingGuestIPs", "status": "True", "category": "Warn", "message": "no guest IPs",
             "items": ["id:vm-1000"]},
        ],
        "migration": {
            "vms": [
                {"id": "vm-1000", "name": "app00000", "phase": "CopyDisks", "started": "2026-11-23T12:00:00Z",
                 "pipeline": [
                     {"name": "Initialize", "phase": "Completed", "progress": {"completed": 1, "total": 1}},
                     {"name": "DiskTransfer", "phase": "Running", "progress": {"completed": 300, "total": 1200}},
                     {"name": "VirtualMachineCreation", "phase": "Pending"},
                 ]},
                {"id": "vm-1001", "name": "app00001", "phase": "Completed", "started": "2026-11-23T12:00:00Z",
                 "completed": "2026-11-23T12:09:00Z", "conditions": [{"type": "Succeeded", "status": "True"}]},
                {"id": "vm-1002", "name": "app00002", "phase": "ConvertGuest", "started": "2026-11-23T12:00:00Z",
                 "error": {"phase": "ConvertGuest", "reasons": ["virt-v2v: no root device"]}},
                {"id": "vm-1003", "name": "app00003"},
            ]
        },
    },
}  # fmt: skip


def test_forklifts_status_is_read() -> None:
    found = read_status(STATUS)
    assert found.state == "running" and found.warnings == ("VMMissingGuestIPs no guest IPs (id:vm-1000)",)
    assert [vm.state for vm in found.vms] == ["running", "succeeded", "failed", "pending"]
    assert (found.vms[0].step, found.vms[0].percent) == ("DiskTransfer", 25)
    assert found.vms[2].error == "virt-v2v: no root device"


def test_a_plan_that_says_ready_and_has_a_critical_condition_is_blocked() -> None:
    critical = {"type": "MacConflicts", "status": "True", "category": "Critical", "message": "MAC in use"}
    conditions = [{"type": "Ready", "status": "True", "category": "Required"}, critical]
    found = read_status({"metadata": {"name": "p"}, "status": {"conditions": conditions}})
    assert found.state == "blocked" and found.blockers == ("MacConflicts MAC in use",)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["status", "conditions", "migration", "vms", "pipeline", "progress", "error", "type", "items"]
                )
                | st.text(max_size=4),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_status_is_read(junk: Any) -> None:
    read_status({"metadata": {"name": "p"}, "status": junk})
    read_status({"status": {"migration": {"vms": [junk]}, "conditions": [junk]}})
