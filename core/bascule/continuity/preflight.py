"""May this VM move to that node now, and will its network go with it? One question a function, each with its evidence.

Pure: documents and answers in, checks out. What nobody answered is `unknown`, never `pass`: an agent that is silent
proves nothing, and the operator decides. Only `fail` keeps a move from starting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address
from typing import Any, Literal

from bascule.continuity.limits import Limits
from bascule.continuity.migratable import cure
from bascule.resources.attachment import Attachment
from bascule.resources.ippool import IPPool
from bascule.resources.kubevirt import Instance, Migration, VirtualMachine, VmNic
from bascule.resources.meta import Meta, condition
from bascule.resources.node import Node

State = Literal["pass", "warn", "fail", "unknown"]
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """One question: `field` is the field of `object` that decides it, "" where no field does."""

    id: str
    state: State
    object: str
    message: str
    field: str = ""
    evidence: str = ""
    fix: str = ""

    def to_json(self) -> dict[str, Any]:
        """As in `bascule vms move --dry-run -o json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known. `reports` are agents' Node reports and `proofs` the target's trunk proof (None: it was not asked
    or is silent)."""

    vm: Document
    vmi: Document | None
    target: str
    nodes: Sequence[Document] = ()
    attachments: Sequence[Document] = ()
    pools: Sequence[Document] = ()
    migrations: Sequence[Document] = ()
    reports: Mapping[str, Document] = field(default_factory=dict)
    proofs: Sequence[Document] | None = None
    limits: Limits = Limits()

    @property
    def instance(self) -> Instance:
        """The VMI's view; an empty one when it does not run."""
        return Instance.of(self.vmi or {})

    @property
    def name(self) -> str:
        """`namespace/name` of the VM."""
        meta = Meta.of(self.vm)
        return f"{meta.namespace}/{meta.name}"

    @property
    def places(self) -> list[tuple[VmNic, Attachment | None]]:
        """The VM's NICs on secondary networks, each with its NAD."""
        nads = {nad.name: nad for nad in map(Attachment.of, self.attachments)}
        return [(nic, nads.get(nic.nad)) for nic in VirtualMachine.of(self.vm).nics if nic.nad]


def preflight(facts: Facts) -> list[Check]:
    """Every check, in the order in which an operator would ask."""
    asked = (_running, _target, _migratable, _mac, _agent, _network, _trunk, _port, _mtu, _address, _in_flight)
    return [check for ask in asked for check in ask(facts)]


def blockers(checks: Sequence[Check]) -> list[Check]:
    """The checks that keep a move from starting."""
    return [check for check in checks if check.state == "fail"]


def _running(facts: Facts) -> Iterator[Check]:
    phase = facts.instance.phase
    if phase == "Running":
        yield Check("vm-running", "pass", facts.name, f"it runs on {facts.instance.node}", "status.phase", phase)
    else:
        message = f"it does not run: its phase is {phase or 'none, there is no VMI'}"
        yield Check("vm-running", "fail", facts.name, message, "status.phase", phase, "start it first")


def _target(facts: Facts) -> Iterator[Check]:
    node = next((n for n in map(Node.of, facts.nodes) if n.name == facts.target), None)
    subject = f"node {facts.target}"
    if node is None:
        names = ", ".join(sorted(n.name for n in map(Node.of, facts.nodes))) or "none"
        yield Check("target", "fail", subject, "there is no such node", "", f"nodes: {names}", "name one of them")
    elif facts.instance.node == facts.target:
        yield Check("target", "fail", subject, f"{facts.name} is there already", "", "", "name another node")
    elif not node.ready:
        yield Check("target", "fail", subject, "it is not ready", "status.conditions[Ready]", "", "name another node")
    elif node.unschedulable:
        fix = f"kubectl uncordon {facts.target}, or name another node"
        yield Check("target", "fail", subject, "it is cordoned", "spec.unschedulable", "true", fix)
    else:
        yield Check("target", "pass", subject, "it is ready", "status.conditions[Ready]", "True")


def _migratable(facts: Facts) -> Iterator[Check]:
    found = condition(facts.instance.conditions, "LiveMigratable")
    if found is None:
        message = "KubeVirt has not said whether it can be migrated"
        yield Check("live-migratable", "fail", facts.name, message, "status.conditions[LiveMigratable]", "", "wait")
    elif found.status == "True":
        yield Check(
            "live-migratable", "pass", facts.name, "KubeVirt can migrate it", "status.conditions", found.message
        )
    else:
        known = cure(found.reason)
        message = f"KubeVirt cannot migrate it: {found.reason or found.message or 'no reason given'}"
        evidence = found.message if found.reason else ""
        yield Check("live-migratable", "fail", facts.name, message, known.field, evidence, known.fix)


def _mac(facts: Facts) -> Iterator[Check]:
    nics = VirtualMachine.of(facts.vm).nics
    for at, nic in enumerate(nics):
        if not nic.nad:
            continue
        where = f"spec.template.spec.domain.devices.interfaces[{at}].macAddress"
        if nic.mac:
            yield Check("mac-set", "pass", f"{facts.name} {nic.name}", "its MAC is set", where, nic.mac)
        else:
            told = next((i.mac for i in facts.instance.interfaces if i.name == nic.name), "")
            message = "no MAC is set: the VM loses its VLAN after a live migration (CORE-13418)"
            fix = f"set it to {told}, which it has now" if told else "set macAddress"
            yield Check("mac-set", "fail", f"{facts.name} {nic.name}", message, where, told, fix)


def _agent(facts: Facts) -> Iterator[Check]:
    report = facts.reports.get(facts.target)
    agent, subject = (report or {}).get("agent"), f"node {facts.target}"
    if agent:
        evidence = f"version {agent.get('version')}, seen {agent.get('seen')}"
        yield Check(
            "target-agent", "pass", f"node {facts.target}", f"its agent answers ({agent['mode']})", "", evidence
        )
    else:
        message = "no agent answers there: the move will have no record"
        yield Check("target-agent", "unknown", subject, message, "", "", "bascule nodes list")


def _network(facts: Facts) -> Iterator[Check]:
    target = next((n for n in facts.nodes if Meta.of(n).name == facts.target), None)
    conditions = Node.of(target).conditions if target else ()
    for network in sorted({nad.network for _, nad in facts.places if nad and nad.network}):
        mine = [c for c in conditions if c.type.startswith("BasculeNetwork-") and _names(c.message, network)]
        where, subject = "status.conditions[BasculeNetwork-…]", f"Network {network} on {facts.target}"
        if not mine:
            yield Check("network-ready", "unknown", subject, "no agent has said whether it is ready there", where)
        elif mine[0].status == "True":
            yield Check("network-ready", "pass", subject, "it is ready there", where, mine[0].message)
        else:
            message = f"it is not ready there: {mine[0].reason}"
            yield Check("network-ready", "fail", subject, message, where, mine[0].message, "bascule networks show")
    for nic, nad in facts.places:
        if nad is None:
            message, fix = f"its NAD {nic.nad} does not exist", "create it, or correct the VM"
            yield Check("nad", "fail", f"{facts.name} {nic.name}", message, "spec.template.spec.networks", "", fix)


def _names(message: str, network: str) -> bool:
    return message == network or message.startswith((f"{network}:", f"{network} "))


def _trunk(facts: Facts) -> Iterator[Check]:
    for nic, nad in facts.places:
        if nad is None or nad.vlan is None:
            continue
        subject = f"VLAN {nad.vlan} on {facts.target}"
        if facts.proofs is None:
            yield Check("vlan-proven", "unknown", subject, "the target's trunk was not asked", "", "", _prove(facts))
            continue
        cell = next((p for p in facts.proofs if (p["network"], p["vlan"]) == (nad.network, nad.vlan)), None)
        verdict = str(cell["verdict"]) if cell else "not asked"
        evidence = str(cell.get("evidence") or "") if cell else ""
        if verdict == "proven":
            yield Check("vlan-proven", "pass", subject, f"proven on the trunk for {nic.name}", "", evidence)
        else:
            state: State = "fail" if verdict == "failed" else "unknown"
            yield Check("vlan-proven", state, subject, f"{verdict} on the target's trunk", "", evidence, _prove(facts))


def _prove(facts: Facts) -> str:
    return f"bascule trunks prove --node {facts.target}"


def _port(facts: Facts) -> Iterator[Check]:
    """The port is made when the target's pod comes; what can be known before is whether its maker is in order."""
    report, subject = facts.reports.get(facts.target), f"node {facts.target}"
    mode = ((report or {}).get("agent") or {}).get("mode")
    if mode == "manage":
        broken = [f for f in (report or {}).get("findings") or [] if f.get("severity") == "error"]
        if broken:
            message = f"its agent reports {len(broken)} errors"
            yield Check("port-ready", "warn", subject, message, "", str(broken[0].get("message")), "bascule doctor")
        else:
            message = "the port's program is attached, read back and held before the VM may speak there"
            yield Check("port-ready", "pass", subject, message, "", "mode manage, no error reported")
    elif mode:
        yield Check("port-ready", "unknown", subject, "the ports there are Calico's, not ours", "", f"mode {mode}")
    else:
        yield Check("port-ready", "unknown", subject, "no agent answers there", "", "", "bascule nodes list")


def _mtu(facts: Facts) -> Iterator[Check]:
    def mtu(node: str) -> int:
        return int(((facts.reports.get(node) or {}).get("trunk") or {}).get("mtu") or 0)

    source, target = mtu(facts.instance.node), mtu(facts.target)
    subject, evidence = f"trunk of {facts.target}", f"{facts.instance.node} {source}, {facts.target} {target}"
    if not source or not target:
        yield Check("mtu", "unknown", subject, "the trunks' MTUs are not known on both sides", "mtu")
    elif target < source:
        message = f"its MTU is {target}, the source's is {source}: large frames will be lost after the move"
        yield Check("mtu", "fail", subject, message, "mtu", evidence, f"set the trunk's MTU on {facts.target}")
    else:
        yield Check("mtu", "pass", subject, f"MTU {target} is enough", "mtu", evidence)


def _address(facts: Facts) -> Iterator[Check]:
    pools = [pool for pool in map(IPPool.of, facts.pools) if pool.l2 and not pool.disabled]
    for nic, nad in facts.places:
        ip = next((i.ip for i in facts.instance.interfaces if i.name == nic.name), "")
        subject = f"{facts.name} {nic.name}"
        try:
            address = IPv4Address(ip)
        except ValueError:
            yield Check("address", "warn", subject, "its address is not known", "status.interfaces", ip, "")
            continue
        named = [pool for pool in pools if nad is None or not nad.pools or pool.name in nad.pools]
        home = next((pool for pool in named if pool.network and address in pool.network), None)
        if home:
            message = "its address stays with it: IPAM holds it for the VM"
            yield Check("address", "pass", subject, message, "status.interfaces[].ipAddress", f"{ip} of {home.name}")
        else:
            message, fix = f"{ip} is in no enabled L2Workload pool of its NAD", "bascule addresses check"
            yield Check("address", "warn", subject, message, "spec.config ipam.ipv4_pools", "", fix)


def _in_flight(facts: Facts) -> Iterator[Check]:
    running = [m for m in map(Migration.of, facts.migrations) if not m.ended]
    own = [m for m in running if f"{m.meta.namespace}/{m.vmi}" == facts.name]
    if own:
        message, fix = f"it is being moved already, by {own[0].name}", "wait until that has ended, or abort it"
        yield Check("in-flight", "fail", facts.name, message, "status.phase", own[0].phase, fix)
        return
    out = sum(bool(m.state and m.state.source_node == facts.instance.node) for m in running)
    limits = facts.limits
    evidence = (
        f"{len(running)} of {limits.cluster} in the cluster, {out} of {limits.outbound} leave "
        f"{facts.instance.node or 'its node'} ({limits.source})"
    )
    if len(running) >= limits.cluster or out >= limits.outbound:
        message = "KubeVirt will queue it: as many migrations as it allows are running"
        yield Check("in-flight", "warn", facts.name, message, "spec.configuration.migrations", evidence, "wait")
    else:
        yield Check("in-flight", "pass", facts.name, "no other migration is in its way", "", evidence)
