"""A Network's short form: the few fields that most Networks need, to a manifest and back. Pure.

What the form cannot say (a second hostConfig, a range of several subnets, fields it does not know) is left to YAML:
`from_network` then says what that is instead of losing it. An edit is laid over the object as it is, so that labels and
annotations stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from bascule.resources.read import dig, integer, items, mapping, text
from bascule_console.store.documents import portable
from bascule_kube.kinds import NETWORK

Obj = dict[str, Any]
ANYWHERE = "0.0.0.0/0"
_VLAN = re.compile(r"(?P<start>\d+)(?:-(?P<end>\d+))?(?:\s+(?P<cidr>\S+))?(?:\s+via\s+(?P<gateway>\S+))?")
HOST_CONFIG = "spec.l2Bridge.hostConfig[0]"
TRUNK = f"{HOST_CONFIG}.hostConnections[0].trunkPort"


@dataclass(frozen=True, slots=True)
class NetworkForm:
    """The fields as typed. `bridge` empty means managed; `vlans` has one `ID[-ID] [CIDR [via GATEWAY]]` a line."""

    name: str = ""
    trunk: str = ""
    native: str = ""
    selector: str = ""
    bridge: str = ""
    vlans: str = ""


FIELDS = tuple(field.name for field in fields(NetworkForm))


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with one field; `line` of a field of several lines, from 1."""

    field: str
    message: str
    line: int = 0


def to_network(form: NetworkForm, base: Obj | None = None) -> tuple[Obj, list[Mistake]]:
    """The manifest, and what the form itself gets wrong (lint says the rest). `base` is the object being edited."""
    mistakes = []
    if not form.name.strip():
        mistakes.append(Mistake("name", "a Network needs a name"))
    native = form.native.strip()
    if native and not native.isdecimal():
        mistakes.append(Mistake("native", f"{native} is no VLAN id (1 to 4094, or empty)"))
    trunk: Obj = {"interface": {"name": form.trunk.strip()}}
    if native.isdecimal():
        trunk["nativeVLAN"] = int(native)
    host: Obj = {"nodeSelector": form.selector.strip(), "bridge": _bridge(form, base)}
    if form.trunk.strip():
        host["hostConnections"] = [{"trunkPort": trunk}]
    elif native:
        mistakes.append(Mistake("native", "a native VLAN needs a trunk"))
    vlans, wrong = _vlans(form.vlans)
    spec = {"l2Bridge": {"hostConfig": [host], "vlans": vlans}}
    obj: Obj = portable(base) if base else NETWORK.of(form.name.strip())
    return obj | {"spec": spec}, mistakes + wrong


def from_network(obj: Mapping[str, Any]) -> tuple[NetworkForm, str]:
    """The form of a Network, and why the form cannot hold all of it ("" when it can)."""
    bridge = dig(obj, "spec", "l2Bridge")
    host, entries = dig(bridge, "hostConfig", 0), items(dig(bridge, "vlans"))
    port = mapping(dig(host, "hostConnections", 0, "trunkPort"))
    native = integer(port.get("nativeVLAN"))
    form = NetworkForm(
        name=text(dig(obj, "metadata", "name")),
        trunk=text(dig(port, "interface", "name")),
        native="" if native is None else str(native),
        selector=text(dig(host, "nodeSelector")),
        bridge=text(dig(host, "bridge", "existingBridge", "name")),
        vlans="\n".join(map(_line, entries)),
    )
    again, _ = to_network(form, dict(obj))
    if len(items(dig(bridge, "hostConfig"))) > 1:
        return form, f"it has {len(items(dig(bridge, 'hostConfig')))} hostConfig entries, the form has one"
    lost = _first_difference(mapping(obj.get("spec")), again["spec"], "spec")
    return form, f"the form cannot say {lost}" if lost else ""


def field_of(path: str, form: NetworkForm) -> tuple[str, int]:
    """The form's field, and the line in it, that a field path of the manifest (a finding's) is about."""
    index = re.match(r"spec\.l2Bridge\.vlans\[(\d+)\]", path)
    if index:
        return "vlans", _numbered(form.vlans)[int(index[1])][0] if int(index[1]) < len(_numbered(form.vlans)) else 0
    for start, field in (
        (f"{TRUNK}.nativeVLAN", "native"),
        (f"{HOST_CONFIG}.hostConnections", "trunk"),
        (f"{HOST_CONFIG}.nodeSelector", "selector"),
        (f"{HOST_CONFIG}.bridge", "bridge"),
        ("metadata", "name"),
    ):
        if path.startswith(start):
            return field, 0
    return "vlans" if path.startswith("spec.l2Bridge.vlans") else "name", 0


def _bridge(form: NetworkForm, base: Obj | None) -> Obj:
    if form.bridge.strip():
        return {"existingBridge": {"name": form.bridge.strip()}}
    managed = dig(base, "spec", "l2Bridge", "hostConfig", 0, "bridge", "managedBridge")
    return {"managedBridge": dict(managed) if isinstance(managed, Mapping) else {"stp": "Disabled"}}


def _numbered(vlans: str) -> list[tuple[int, str]]:
    """The lines that say something, each with its number from 1."""
    return [(number, line.strip()) for number, line in enumerate(vlans.splitlines(), 1) if line.strip()]


def _vlans(typed: str) -> tuple[list[Obj], list[Mistake]]:
    entries: list[Obj] = []
    mistakes = []
    for number, line in _numbered(typed):
        match = _VLAN.fullmatch(line)
        if match is None:
            mistakes.append(Mistake("vlans", "write ID[-ID] [CIDR [via GATEWAY]]", number))
            entries.append({})
            continue
        start, end = int(match["start"]), match["end"]
        entry: Obj = {"vlan": {"range": {"start": start, "end": int(end)}} if end else {"id": start}}
        if match["cidr"]:
            subnet: Obj = {"cidr": match["cidr"]}
            if match["gateway"]:
                subnet["routes"] = [{"destination": ANYWHERE, "action": {"nextHop": match["gateway"]}}]
            entry["subnets"] = [subnet]
        entries.append(entry)
    if not entries:
        mistakes.append(Mistake("vlans", "a Network carries at least one VLAN"))
    return entries, mistakes


def _line(entry: Any) -> str:
    span = dig(entry, "vlan", "range")
    ids = f"{dig(span, 'start')}-{dig(span, 'end')}" if isinstance(span, Mapping) else str(dig(entry, "vlan", "id"))
    cidr = text(dig(entry, "subnets", 0, "cidr"))
    gateway = text(dig(entry, "subnets", 0, "routes", 0, "action", "nextHop"))
    return " ".join(part for part in (ids, cidr, f"via {gateway}" if cidr and gateway else "") if part)


def _first_difference(one: Any, other: Any, path: str) -> str:
    """The first path where the two documents differ, "" when they are equal."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        pairs = [(f"{path}.{key}", one.get(key), other.get(key)) for key in dict.fromkeys((*one, *other))]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{path}[{at}]", a, b) for at, (a, b) in enumerate(zip(one, other, strict=True))]
    else:
        return "" if one == other else path
    return next((found for where, a, b in pairs if (found := _first_difference(a, b, where))), "")
