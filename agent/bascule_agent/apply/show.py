"""`bascule-agent plan` and `status`: what would be done, and what is attached. Both change nothing."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from bascule.hostplan.names import parse_alias
from bascule_agent.apply.host import Host
from bascule_agent.apply.node import Node
from bascule_agent.apply.ports import Ports
from bascule_agent.apply.worker import Worker
from bascule_agent.bpf import layout, tcx
from bascule_agent.bpf.objects import Objects, source_hash
from bascule_agent.errors import AgentError
from bascule_agent.flows.count import find_counter
from bascule_agent.netlink import Netlink
from bascule_agent.ports import PortManager
from bascule_agent.watch import Known, Watch
from bascule_kube.cluster import Cluster

SYNC_SECONDS = 15.0
DIRECTIONS = ("ingress", "egress")


def plan(node: str, kubeconfig: Path, pin_root: Path) -> int:
    """Print the steps that a pass would do now, one a line; why a Network gets none goes to stderr."""
    known = asyncio.run(_known(node, kubeconfig))
    objects = _pins(pin_root / node)
    host, worker = Host(objects), Worker()
    try:
        observed = host.observe()
        passes = Node(node, host, worker, Ports(node, host, worker), manage=True)
        desired, steps = passes.plan(known, observed)
        for step in steps:
            print(step)
        ports = host.ports.state() if host.ports else {}
        for nic in known.nics:
            ifindex = host.resolve(nic)
            if ifindex not in ports:
                where = observed.name_of(ifindex) if ifindex else f"the host side of {nic.interface}, not there yet"
                print(f"port {where}: bring up for {nic.namespace}/{nic.vm} on {nic.network}/{nic.vlan}")
        for outcome in desired.outcomes:
            print(f"{outcome.reason}: {outcome.message}", file=sys.stderr)
    finally:
        host.close()
        worker.close()
        if objects:
            objects.close()
    return 0


async def _known(node: str, kubeconfig: Path) -> Known:
    async with await Cluster.open(kubeconfig) as cluster:
        watch = Watch(cluster, node, lambda: None)
        try:
            async with asyncio.timeout(SYNC_SECONDS):
                await watch.start()
        except TimeoutError:
            causes = "; ".join(str(error) for error in watch.errors) or "no answer"
            raise AgentError(f"the cluster did not answer within {SYNC_SECONDS:g} s", cause=causes) from None
        finally:
            await watch.stop()
        return watch.known()


def status(node: str, pin_root: Path) -> int:
    """Print everything of Bascule's on this node: pins, links by alias, programs, ports."""
    root = pin_root / node
    objects = _pins(root)
    counter = find_counter(root)
    mine = {each.pin_dir for each in (objects, counter) if each}
    for pins in sorted(root.iterdir()) if root.is_dir() else []:
        print(f"pins {pins}{' (this version)' if pins in mine else ''}")
    for pins in sorted(drops.iterdir()) if (drops := pin_root / f"{node}_drops").is_dir() else []:
        print(f"pins {pins} at raw tracepoint kfree_skb while the agent runs")
    names = {each.program_id(name): name for each in (objects, counter) if each for name in each.programs}
    with Netlink() as netlink:
        for link in netlink.links():
            if parse_alias(link.alias):
                print(f"link {link.name} {link.kind} {'up' if link.up else 'down'} {link.alias}")
            for direction in DIRECTIONS:
                for found in netlink.filters(link.index, direction):
                    if found.prog_id in names:
                        print(f"program {names[found.prog_id]} on {link.name} {direction} id {found.prog_id}")
                for prog_id in tcx.programs(link.index, direction):
                    if prog_id in names:
                        print(f"program {names[prog_id]} on {link.name} {direction} tcx id {prog_id}")
        for port in PortManager(netlink, objects).state().values() if objects else ():
            link_ = netlink.find(port.ifindex)
            name = link_.name if link_ else f"if{port.ifindex}"
            print(f"port {name} {port.state.name.lower()} vlan {port.vlan} {port.mac} {port.ip}")
    for each in (objects, counter):
        if each:
            each.close()
    return 0


def _pins(root: Path) -> Objects | None:
    pin_dir = root / source_hash(layout.SOURCE, layout.defines(), layout.LAYOUT)
    return Objects.open(pin_dir, layout.LAYOUT) if pin_dir.exists() else None
