"""Find the objects in an NSX Policy document, whatever shape it came in.

Three shapes (reference/anchors.md 4.3): np-guard's dump with named lists, the hierarchical `children` of
GET /policy/api/v1/infra, and list answers with `results`. All are walked alike: an object is known by its
resource_type, by the list it stands in, or by its Child wrapper. Each comes with its place in the document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bascule.resources.read import items, mapping, text

Found = tuple[str, Mapping[str, Any]]
"""An object's place in its document, and the object."""

_LISTS = {
    "services": "Service",
    "virtual_machines": "VirtualMachine",
    "virtual_network_interface": "VirtualNetworkInterface",
    "virtual_network_interfaces": "VirtualNetworkInterface",
    "segments": "Segment",
    "segment_ports": "SegmentPort",
    "groups": "Group",
    "security_policies": "SecurityPolicy",
    "gateway_policies": "GatewayPolicy",
    "redirection_policies": "RedirectionPolicy",
    "domains": "Domain",
    "tier0": "Tier0",
    "tier1": "Tier1",
}
USED = (
    *("Service", "Group", "SecurityPolicy", "GatewayPolicy", "RedirectionPolicy", "Segment", "SegmentPort"),
    *("VirtualMachine", "VirtualNetworkInterface", "PolicyExcludeList", "Rule", "ServiceEntry"),
)
_HOLDERS = ("Infra", "Domain", "Tier0", "Tier1", "PolicyContextProfile", "PolicyAttributes", "")
_DEEPEST = 64


@dataclass
class Collected:
    """Objects by kind, in the order of the documents; `unknown` are resource types that nothing here reads."""

    objects: dict[str, list[Found]] = field(default_factory=dict)
    unknown: list[tuple[str, str]] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)

    def of(self, *kinds: str) -> Iterator[Found]:
        """The objects of these kinds."""
        for kind in kinds:
            yield from self.objects.get(kind, ())


def collect(documents: Iterable[tuple[str, Any]]) -> Collected:
    """Walk documents, each with the name that its places begin with."""
    found = Collected()
    for name, document in documents:
        stack: list[tuple[str, str, Any, int]] = [(name, "", document, 0)]
        while stack:
            place, kind, value, depth = stack.pop()
            if depth > _DEEPEST:
                found.broken.append((place, f"nested more than {_DEEPEST} deep"))
            elif isinstance(value, list):
                stack += [(f"{place}[{at}]", kind, each, depth + 1) for at, each in reversed(list(enumerate(value)))]
            elif isinstance(value, Mapping):
                stack += reversed(list(_object(place, kind, value, depth, found)))
            elif kind:
                found.broken.append((place, f"a {kind} was expected, this is {type(value).__name__}"))
    return found


def _object(
    place: str, kind: str, value: Mapping[str, Any], depth: int, found: Collected
) -> Iterator[tuple[str, str, Any, int]]:
    """Note one object; yields what to walk next."""
    said = text(value.get("resource_type"))
    if said.startswith("Child"):
        wrapped = said.removeprefix("Child")
        yield f"{place}.{wrapped}", wrapped, value.get(wrapped), depth + 1
        return
    kind = said or kind
    if kind in USED:
        found.objects.setdefault(kind, []).append((place, value))
        return
    if kind not in _HOLDERS and kind != "Domain":
        found.unknown.append((place, kind))
        return
    for key, below in value.items():
        if key in ("children", "results", "resources", "infra"):
            yield f"{place}.{key}", "", below, depth + 1
        elif key in _LISTS:
            yield f"{place}.{key}", _LISTS[key], below, depth + 1


def parts(place: str, owner: Mapping[str, Any], key: str, kind: str) -> list[Found]:
    """An object's own parts: in a list under `key`, or as `children` in Child wrappers of `kind`."""
    found: list[Found] = []
    for at, each in enumerate(items(owner.get(key))):
        if isinstance(each, Mapping):
            found.append((f"{place}.{key}[{at}]", each))
    for at, each in enumerate(items(owner.get("children"))):
        wrapped = mapping(mapping(each).get(kind))
        if wrapped:
            found.append((f"{place}.children[{at}].{kind}", wrapped))
    return found
