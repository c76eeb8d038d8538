"""Step 3: what becomes of each VLAN, where its subnet is from, and what the cluster has already."""

from __future__ import annotations

from bascule.migration.wizard_answers import SUBNET, VLAN
from bascule.migration.wizard_page import NUMBER, Field, Gate, Problem, Table
from bascule_console.services.wizard.made import Made
from bascule_console.services.wizard.parts import ask, faults, few, plural, shortened, table

ORIGINS = {
    "network": "the cluster's Network",
    "answer": "your answer",
    "source": "the source",
    "hypervisor": "hypervisors' own addresses",
    "assumed": "assumed from the VMs' addresses",
}
_CONFIRM = ("assumed", "answer")


def fields(made: Made) -> tuple[Field, ...]:
    """Where new VLANs go, and what no source tells."""
    names = [network.name for network in made.world.target.networks] if made.world else []
    there = f"the cluster has {few(names)}; " if names else ""
    default = made.plan.options.namespace if made.plan else "vms"
    network = names[0] if len(names) == 1 else "" if names else "dc1"
    found = [
        ask(made, "networks.network", "Network for new VLANs", default=network,
            help=f"{there}a name that is not there becomes a new Network"),
        *_new(made),
        ask(made, "networks.namespace", "Namespace of the VMs", default=default, help="where VMs and NADs are made"),
    ]  # fmt: skip
    return (*found, *_subnets(made), *_vlans(made))


def _new(made: Made) -> list[Field]:
    """What only a Network that is new needs."""
    segments = made.plan.networks.segments.values() if made.plan else ()
    if segments and all(each.network_exists for each in segments):
        return []
    trunk = "the nodes' interface to the switch, like ens2f1"
    return [
        ask(made, "networks.trunk", "Trunk of the new Network", help=trunk),
        ask(made, "networks.nodes", "Nodes of the new Network", help="a Calico selector; empty is all nodes"),
    ]


def _subnets(made: Made) -> list[Field]:
    """VLANs whose subnet nobody told, or was answered."""
    found = []
    for vid, segment in made.plan.networks.segments.items() if made.plan else ():
        if not segment.subnets or any(each.origin in _CONFIRM for each in segment.subnets):
            told = ", ".join(f"{each.cidr} {each.gateway}".strip() for each in segment.subnets)
            how = ORIGINS[segment.subnets[0].origin] if segment.subnets else "no source tells it"
            text = f"subnet and gateway, like 10.{vid % 256}.0.0/24 10.{vid % 256}.0.1; now: {how}"
            found.append(ask(made, f"{SUBNET}{vid}", f"Subnet of VLAN {vid}", default=told, help=text))
    return found


def _vlans(made: Made) -> list[Field]:
    """Port groups whose VLAN no source tells, or that was answered."""
    if made.world is None:
        return []
    told = [group for group in made.world.used_groups if made.world.vlan_of(group) is None]
    answered = [group for group in made.world.used_groups if VLAN + group.name in made.state.answers]
    names = sorted({group.name for group in (*told, *answered) if group.name})
    text = "the id that its frames have on the wire, 1 to 4094"
    return [ask(made, VLAN + name, f"VLAN of port group {name}", NUMBER, help=text) for name in names]


def facts(made: Made) -> tuple[Table, ...]:
    """Segments and trunks."""
    if made.plan is None:
        return ()
    new = {True: "", False: " (new)"}
    rows = [
        (
            each.vlan,
            each.network + new[each.network_exists] + ("" if each.vlan_exists else " + VLAN"),
            each.port_groups,
            [net.cidr for net in each.subnets] or "not known",
            [ORIGINS[net.origin] for net in each.subnets],
            [net.gateway or "not known" for net in each.subnets],
            [net.pool + new[net.pool_exists] for net in each.subnets],
            each.nad + new[each.nad_exists],
            each.nics,
        )
        for each in made.plan.networks.segments.values()
    ]
    columns = ("vlan", "network", "port groups", "subnet", "known from", "gateway", "pool", "nad", "nics")
    trunks = [
        (each["node"], each["network"], each["interface"], each["native"], each["before"], each["added"])
        for each in made.plan.networks.trunks
    ]
    empty = "no node has a trunk of these Networks yet"
    return (
        table("segments", "What becomes of each VLAN", columns, rows, "no NIC has a VLAN that is known"),
        table("trunks", "Trunks of the nodes", ("node", "network", "interface", "native", "carries", "added"), trunks,
              empty),
    )  # fmt: skip


def problems(made: Made) -> tuple[Problem, ...]:
    """What is not known yet."""
    found = faults(made, "networks")
    for text in made.plan.networks.open if made.plan else ():
        vid = text.split(":")[0].removeprefix("VLAN ") if text.startswith("VLAN ") else ""
        name = f"{SUBNET}{vid}" if vid and "subnet" in text else "networks.trunk" if "has no trunk" in text else ""
        fix = "answer its subnet" if name.startswith(SUBNET) else "name the interface" if name else "look at the pools"
        found.append(Problem("warning" if "no subnet" not in text else "unknown", text, "", fix, name))
    for field in _vlans(made):
        if not field.value:
            held = "its VMs are held back"
            found.append(Problem("unknown", f"{field.label} is not known", held, "answer it", field.id))
    return shortened(found, "the table of VLANs")


def summary(made: Made) -> str:
    """How many Networks and VLANs."""
    if made.plan is None:
        return "not planned yet"
    segments = made.plan.networks.segments.values()
    names = {each.network for each in segments}
    new = sum(1 for each in segments if not each.vlan_exists)
    return f"{plural(len(segments), 'VLAN')} on {plural(len(names), 'Network')}, {new} new"


def gate(made: Made) -> Gate:
    """There has to be a plan."""
    broken = next((each.error for each in made.faults if each.step == "networks"), None)
    if broken is not None:
        return Gate(False, f"{broken.message}: {broken.fix}" if broken.fix else broken.message)
    if made.plan is None:
        return Gate(False, "there is nothing to plan yet: go back to Source")
    if not made.plan.networks.segments:
        return Gate(False, "no VLAN is known: answer the VLANs of the port groups")
    return Gate(True, "give each NIC its place")
