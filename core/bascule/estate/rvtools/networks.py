"""dvPort, vPort, vSwitch and dvSwitch: port groups with their VLANs, and the switches' MTU.

A standard port group stands once per host. Where all hosts agree it is one port group; where they do not, each host
has its own, so that a VM is judged by the VLAN of the host it is on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from bascule.estate.cells import number, vlan, yes_no
from bascule.estate.model import DISTRIBUTED, STANDARD, PortGroup, Switch, Vlan
from bascule.estate.rvtools.vms import server_of, skipped
from bascule.estate.sheet import Sheet


def read_distributed(sheet: Sheet) -> list[PortGroup]:
    """dvPort: one row a distributed port group; uplink groups are left out, no VM can be in one."""
    types = sheet.texts("type")
    return [each for at, each in _rows(sheet, DISTRIBUTED) if "uplink" not in types[at].lower()]


def read_standard(sheets: Iterable[Sheet]) -> list[PortGroup]:
    """vPort: one row a host and port group."""
    by_name: dict[str, list[PortGroup]] = defaultdict(list)
    for sheet in sheets:
        hosts = sheet.texts("host")
        for at, group in _rows(sheet, STANDARD):
            by_name[group.key].append(replace(group, hosts=(hosts[at],) if hosts[at] else ()))
    found: list[PortGroup] = []
    for key, groups in by_name.items():
        same = {replace(group, hosts=(), place="") for group in groups}
        if len(same) == 1:
            hosts_of_it = tuple(sorted({host for group in groups for host in group.hosts}))
            found.append(replace(groups[0], hosts=hosts_of_it))
        else:
            found += {
                f"{key}/{','.join(group.hosts)}": replace(group, key=f"{key}/{','.join(group.hosts)}")
                for group in groups
            }.values()
    return found


def _rows(sheet: Sheet, kind: str) -> list[tuple[int, PortGroup]]:
    servers, names, switches = server_of(sheet), sheet.texts("name"), sheet.texts("switch")
    vlans = sheet.values("vlan", vlan, Vlan())
    policy = {
        name: sheet.values(name, yes_no, None)
        for name in ("promiscuous", "mac_changes", "forged", "shaping", "override")
    }
    found = []
    for at, name in enumerate(names):
        if not name:
            if not skipped(sheet, at):
                sheet.reject(at, "the port group has no name", "give it one")
        elif not (name == sheet.header("name") and skipped(sheet, at)):
            group = PortGroup(
                key=f"{servers[at]}/{switches[at]}/{name}",
                name=name,
                switch=switches[at],
                kind=kind,
                server=servers[at],
                vlan=vlans[at],
                promiscuous=policy["promiscuous"][at],
                mac_changes=policy["mac_changes"][at],
                forged=policy["forged"][at],
                shaping=policy["shaping"][at],
                vlan_override=policy["override"][at],
                place=sheet.place(at),
            )
            found.append((at, group))
    return found


def read_switches(sheet: Sheet, kind: str) -> list[Switch]:
    """vSwitch (one row a host) or dvSwitch; of several rows the smallest MTU counts."""
    servers, names, hosts = server_of(sheet), sheet.texts("name"), sheet.texts("host")
    mtus = sheet.values("mtu", number, 0)
    members = sheet.texts("members")
    found: dict[str, Switch] = {}
    for at, name in enumerate(names):
        if not name or (name == sheet.header("name") and skipped(sheet, at)):
            continue
        key = f"{servers[at]}/{name}"
        here = tuple(filter(None, (part.strip() for part in (members[at] or hosts[at]).split(","))))
        known = found.get(key)
        if known is None:
            found[key] = Switch(key, name, servers[at], kind, tuple(sorted(here)), mtus[at], sheet.place(at))
        else:
            mtu = min(known.mtu or mtus[at], mtus[at] or known.mtu)
            found[key] = replace(known, hosts=tuple(sorted({*known.hosts, *here})), mtu=mtu)
    return list(found.values())


class Joiner:
    """Which port group a NIC is in: its network and switch, on its host, in its vCenter."""

    def __init__(self, groups: Iterable[PortGroup]) -> None:
        self._exact: dict[tuple[str, str, str, str], str] = {}
        self._loose: dict[tuple[str, str], set[str]] = defaultdict(set)
        for group in groups:
            for host in (*group.hosts, "") if len(group.key.split("/")) < 4 or not group.hosts else group.hosts:
                self._exact.setdefault((group.server, host, group.switch, group.name), group.key)
            self._loose[group.server, group.name].add(group.key)

    def key(self, server: str, host: str, switch: str, network: str) -> str:
        """The port group's key, "" when there is none or the row does not tell which of several."""
        if not network:
            return ""
        for place in (host, ""):
            found = self._exact.get((server, place, switch, network))
            if found:
                return found
        loose = self._loose.get((server, network), set()) if not switch else set()
        return next(iter(loose)) if len(loose) == 1 else ""
