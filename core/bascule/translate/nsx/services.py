"""NSX services as boxes of packets: entries of every type, nested ones resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bascule.policy.intervals import Range
from bascule.resources.read import integer, strings, text
from bascule.translate.model import ANY_PORT, ICMP, TCP, UDP, Service
from bascule.translate.notes import ERROR, INFO, WARNING, Notes
from bascule.translate.nsx.collect import Found, parts

_ALGS = {
    "FTP": TCP, "TFTP": UDP, "MS_RPC_TCP": TCP, "MS_RPC_UDP": UDP, "SUN_RPC_TCP": TCP, "SUN_RPC_UDP": UDP,
    "ORACLE_TNS": TCP, "NBNS_BROADCAST": UDP, "NBDG_BROADCAST": UDP,
}  # fmt: skip
_ALG_PORTS = {
    "FTP": 21, "TFTP": 69, "MS_RPC_TCP": 135, "MS_RPC_UDP": 135, "SUN_RPC_TCP": 111, "SUN_RPC_UDP": 111,
    "ORACLE_TNS": 1521, "NBNS_BROADCAST": 137, "NBDG_BROADCAST": 138,
}  # fmt: skip
IGMP = 2


class Services:
    """Services by path. `of` answers None for one that does not exist."""

    def __init__(self, objects: Iterable[Found], notes: Notes) -> None:
        self._notes = notes
        self._raw: dict[str, Found] = {}
        self._made: dict[str, tuple[Service, ...]] = {}
        for place, raw in objects:
            path = text(raw.get("path")) or f"/infra/services/{text(raw.get('id'))}"
            if path in self._raw:
                notes(
                    "duplicate",
                    WARNING,
                    path,
                    place,
                    "a second service with this path",
                    "the first counts",
                    "Remove one.",
                )
            else:
                self._raw[path] = place, raw

    def of(self, path: str) -> tuple[Service, ...] | None:
        """The boxes of a service; () for one that is carried by none of its entries."""
        if path not in self._raw:
            return None
        if path not in self._made:
            self._made[path] = self._resolve(path)
        return self._made[path]

    def entries(self, place: str, raw: Mapping[str, Any], name: str) -> tuple[Service, ...]:
        """The boxes of inline entries, of a rule or of a service."""
        found: list[Service] = []
        for where, entry in parts(place, raw, "service_entries", "ServiceEntry"):
            found += self._entry(where, entry, name)
        return tuple(dict.fromkeys(found))

    def _resolve(self, start: str) -> tuple[Service, ...]:
        """All entries that can be reached by nesting; a service that nests itself adds nothing more."""
        found: list[Service] = []
        reached, stack = {start}, [start]
        while stack:
            path = stack.pop()
            place, raw = self._raw[path]
            found += self.entries(place, raw, text(raw.get("display_name")) or path)
            for where, entry in parts(place, raw, "service_entries", "ServiceEntry"):
                nested = text(entry.get("nested_service_path"))
                if not nested:
                    continue
                if nested not in self._raw:
                    self._tell(WARNING, path, where, f"nests {nested}, which is not in the document", "it matches less")
                elif nested in reached:
                    if nested in (start, path):
                        self._tell(WARNING, path, where, "services nest each other in a circle", "each counts once")
                else:
                    reached.add(nested)
                    stack.append(nested)
        return tuple(dict.fromkeys(found))

    def _entry(self, place: str, raw: Mapping[str, Any], name: str) -> Iterable[Service]:
        kind = text(raw.get("resource_type"))
        if kind == "L4PortSetServiceEntry":
            return self._ports(place, raw, name, {"TCP": TCP, "UDP": UDP}.get(text(raw.get("l4_protocol"))))
        if kind == "ICMPTypeServiceEntry":
            return self._icmp(place, raw, name)
        if kind == "IPProtocolServiceEntry":
            number = integer(raw.get("protocol_number"))
            if number is None or not 0 < number < 256:
                self._tell(ERROR, name, place, f"protocol_number {raw.get('protocol_number')!r} is none", "not carried")
                return ()
            return (Service(number),)
        if kind == "ALGTypeServiceEntry":
            return self._alg(place, raw, name)
        if kind == "IGMPTypeServiceEntry":
            self._tell(WARNING, name, place, "IGMP: an L2 port carries no multicast", "multicast stops")
            return (Service(IGMP),)
        if kind == "EtherTypeServiceEntry":
            self._tell(WARNING, name, place, "an EtherType: only IPv4 and ARP pass an L2 port", "not carried")
            return ()
        if kind != "NestedServiceServiceEntry":
            self._tell(ERROR, name, place, f"unknown entry type {kind or 'none'}", "not carried")
        return ()

    def _ports(self, place: str, raw: Mapping[str, Any], name: str, protocol: int | None) -> Iterable[Service]:
        if protocol is None:
            self._tell(
                ERROR, name, place, f"l4_protocol {raw.get('l4_protocol')!r} is neither TCP nor UDP", "not carried"
            )
            return ()
        sources = self._spans(place, raw, "source_ports", name)
        destinations = self._spans(place, raw, "destination_ports", name)
        return [Service(protocol, source, destination) for source in sources for destination in destinations]

    def _spans(self, place: str, raw: Mapping[str, Any], key: str, name: str) -> list[Range]:
        """Port ranges of a list; every port for an empty one, none for one with nothing but faults."""
        listed = strings(raw.get(key))
        if not listed:
            return [ANY_PORT]
        found = []
        for at, each in enumerate(listed):
            low, _, high = each.partition("-")
            numbers = [int(part) for part in (low, high or low) if part.strip().isdecimal()]
            if len(numbers) == 2 and 0 <= numbers[0] <= numbers[1] <= 65535:
                found.append((numbers[0], numbers[1]))
            else:
                self._tell(ERROR, name, f"{place}.{key}[{at}]", f"{each!r} is no port and no range", "not carried")
        return found

    def _icmp(self, place: str, raw: Mapping[str, Any], name: str) -> Iterable[Service]:
        if text(raw.get("protocol")) != "ICMPv4":
            self._tell(INFO, name, place, "ICMPv6: no IPv6 passes an L2 port", "not carried")
            return ()
        kind, code = integer(raw.get("icmp_type")), integer(raw.get("icmp_code"))
        if (kind is not None and not 0 <= kind <= 254) or (code is not None and not 0 <= code <= 255):
            self._tell(ERROR, name, place, f"ICMP type {kind}, code {code} do not exist", "not carried")
            return ()
        if kind is None:
            return (Service(ICMP),)
        return (Service(ICMP, (kind, kind), ANY_PORT if code is None else (code, code)),)

    def _alg(self, place: str, raw: Mapping[str, Any], name: str) -> Iterable[Service]:
        kind = text(raw.get("alg"))
        if kind not in _ALGS:
            self._tell(ERROR, name, place, f"unknown ALG {kind or 'none'}", "not carried")
            return ()
        self._notes(
            "alg", WARNING, name, place, f"{kind} opens further ports as it goes; policies do not follow it",
            "the control connection is carried, data connections on other ports are not",
            "Allow the data ports by a rule of their own, or use a passive mode with a fixed range.",
        )  # fmt: skip
        spans = self._spans(place, raw, "destination_ports", name)
        ports = [(_ALG_PORTS[kind],) * 2] if spans == [ANY_PORT] else spans
        return [Service(_ALGS[kind], ANY_PORT, (low, high)) for low, high in ports]

    def _tell(self, severity: str, name: str, place: str, what: str, effect: str) -> None:
        self._notes("service", severity, name, place, what, effect, "Check the rules that use the service.")
