"""The first rules of `bascule doctor`; each is one function from the evidence to findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address
from typing import Any

from bascule.hostplan.management import allowed
from bascule.lint import lint
from bascule.lint.finding import Severity
from bascule.resources.ippool import IPPool
from bascule.resources.network import Network
from bascule.resources.node import Node
from bascule.selectors import SelectorError
from bascule.trunks.proof import FAILED, PROVEN

Obj = Mapping[str, Any]
BRIDGE_REASONS = ("BridgeMissing", "BridgeUnsuitable", "BridgeRefused", "BridgeShared", "BadBridge", "TrunkEnslaved")
QUIET_REASONS = ("NotSelected", "Ready", "DriftRepaired")
FROM_LINT = {
    "vm-mac-missing": "vm-without-mac",
    "nad-network-missing": "nad-without-network",
    "nad-network-not-found": "nad-without-network",
    "pool-outside-subnet": "pool-serves-no-vlan",
}
_SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding as DESIGN section 6 has it; `object` is `Kind/name` or `Kind/namespace/name`."""

    id: str
    severity: Severity
    object: str
    message: str
    evidence: str
    fix: str

    def as_dict(self) -> dict[str, str]:
        """The JSON form."""
        return asdict(self)


@dataclass(frozen=True)
class Evidence:
    """What there is to judge: `objects` (Networks, NADs, IPPools, VMs, Nodes as documents), `reports` of the agents by
    node, `cells` of the trunk proof."""

    objects: tuple[Obj, ...]
    reports: Mapping[str, Obj] = field(default_factory=dict)
    cells: tuple[Obj, ...] = ()

    def of_kind(self, kind: str) -> Iterator[Obj]:
        return (each for each in self.objects if each.get("kind") == kind)

    @property
    def networks(self) -> list[Network]:
        return [Network.of(each) for each in self.of_kind("Network")]

    @property
    def nodes(self) -> list[Node]:
        return [Node.of(each) for each in self.of_kind("Node")]


def diagnose(evidence: Evidence) -> list[Finding]:
    """All findings, the worst first, then by object."""
    found = [finding for rule in RULES for finding in rule(evidence)]
    return sorted(dict.fromkeys(found), key=lambda each: (_SEVERITIES.index(each.severity), each.object, each.id))


def network_refused(evidence: Evidence) -> Iterator[Finding]:
    """A node refuses a Network's bridge, or the whole Network, and says why."""
    for node, report in sorted(evidence.reports.items()):
        for entry in report.get("networks") or []:
            if entry.get("ready") or entry.get("reason") in QUIET_REASONS:
                continue
            bridge = entry.get("reason") in BRIDGE_REASONS
            yield Finding(
                "bridge-refused" if bridge else "network-not-ready",
                "error",
                f"Network/{entry.get('name')}",
                f"node {node} does not serve it: {entry.get('reason')}",
                str(entry.get("message", "")),
                f"do what the message says; then: bascule networks show {entry.get('name')}",
            )


def node_shadowed(evidence: Evidence) -> Iterator[Finding]:
    """A node is named by a hostConfig entry that it never gets, because an earlier entry takes it first."""
    for network in evidence.networks:
        for node in evidence.nodes:
            hits = [n for n, config in enumerate(network.host_configs) if _selects(config, node)]
            first = network.host_configs[hits[0]] if hits else None
            lost = [n for n in hits[1:] if network.host_configs[n].node_selector not in ("", "all()")]
            if first is None or not lost:
                continue
            yield Finding(
                "node-shadowed",
                "warning",
                f"Network/{network.name}",
                f"node {node.name} gets hostConfig[{hits[0]}], not hostConfig[{lost[0]}], which names it too",
                f"{first.node_selector or '(empty)'} comes before {network.host_configs[lost[0]].node_selector}",
                f"move hostConfig[{lost[0]}] above hostConfig[{hits[0]}], or make the selectors exclude each other",
            )


def vlan_missing(evidence: Evidence) -> Iterator[Finding]:
    """A VLAN of a Network is not proven on a node's trunk; an error when other nodes have it."""
    proven = {(c["network"], c["vlan"]) for c in evidence.cells if c["verdict"] == PROVEN}
    for cell in evidence.cells:
        if cell["verdict"] == PROVEN:
            continue
        elsewhere = (cell["network"], cell["vlan"]) in proven
        yield Finding(
            "vlan-missing-on-trunk",
            "error" if elsewhere or cell["verdict"] == FAILED else "warning",
            f"Node/{cell['node']}",
            f"VLAN {cell['vlan']} of Network {cell['network']} is {cell['verdict']} on its trunk"
            + (", other nodes reach it" if elsewhere else ""),
            str(cell["evidence"]),
            f"carry VLAN {cell['vlan']} on the switch port of {cell['node']}; then: bascule trunks prove",
        )


def management_inside(evidence: Evidence) -> Iterator[Finding]:
    """A node's own address lies in a VLAN of a Network that selects the node (CORE-13399)."""
    for network in evidence.networks:
        for node in evidence.nodes:
            if not any(_selects(config, node) for config in network.host_configs):
                continue
            for entry in network.vlans:
                for subnet in entry.subnets:
                    if subnet.network and any(_inside(address, subnet) for _, address in node.addresses):
                        confirmed = allowed(network, node.name)
                        yield Finding(
                            "management-vlan-inside",
                            "info" if confirmed else "error",
                            f"Network/{network.name}",
                            f"node {node.name} is itself on VLAN {entry.ids.start}: the Network can cut it off",
                            f"{node.internal_ip} lies in {subnet.network}",
                            f"take the VLAN out of the Network, or: bascule trunks attach --confirm-name {node.name}",
                        )


def vlan_without_pool(evidence: Evidence) -> Iterator[Finding]:
    """A VLAN with a subnet that a NAD uses and no pool serves: VMs get no address."""
    pools = [pool for pool in map(IPPool.of, evidence.of_kind("IPPool")) if pool.l2 and pool.network]
    for network in evidence.networks if pools else ():
        for entry in network.vlans:
            known = [subnet.network for subnet in entry.subnets if subnet.network]
            if known and not any(pool.network and pool.network.subnet_of(net) for pool in pools for net in known):
                yield Finding(
                    "vlan-without-pool",
                    "warning",
                    f"Network/{network.name}",
                    f"no IPPool lies in a subnet of VLAN {entry.ids.start}: a VM there gets no address",
                    ", ".join(map(str, known)),
                    "make an IPPool with allowedUses [L2Workload] inside the subnet",
                )


def from_lint(evidence: Evidence) -> Iterator[Finding]:
    """VMs without macAddress, pools that serve no VLAN, NADs that name no Network."""
    wanted = ("NetworkAttachmentDefinition", "IPPool", "VirtualMachine")
    judged = [each for each in evidence.objects if each.get("kind") in wanted]
    for found in lint(judged, evidence.objects):
        if found.id in FROM_LINT:
            where = f"{found.field}: {found.evidence}" if found.field else found.evidence
            yield Finding(FROM_LINT[found.id], found.severity, found.object, found.message, where, found.fix)


def agent_findings(evidence: Evidence) -> Iterator[Finding]:
    """What agents found by themselves: drift, silent VLANs, a trunk that is down."""
    for node, report in sorted(evidence.reports.items()):
        for each in report.get("findings") or []:
            severity: Severity = "info" if each.get("repaired") else "error"
            words = [str(each.get(key, "")) for key in ("id", "message", "evidence", "fix")]
            yield Finding(words[0], severity, f"Node/{node}", words[1], words[2], words[3])


RULES: tuple[Callable[[Evidence], Iterable[Finding]], ...] = (
    network_refused,
    node_shadowed,
    vlan_missing,
    management_inside,
    vlan_without_pool,
    from_lint,
    agent_findings,
)


def _selects(config: Any, node: Node) -> bool:
    try:
        return bool(config.selects(node.meta.labels))
    except SelectorError:
        return False


def _inside(address: str, subnet: Any) -> bool:
    try:
        return IPv4Address(address) in subnet.network
    except ValueError:
        return False
