"""The fields of the filter language: one table for parser, completion and docs/reference/flow-filters.md."""

from __future__ import annotations

from dataclasses import dataclass

SIDES = ("src", "dst")


@dataclass(frozen=True)
class Field:
    """`kind`: text, end, ip, number, label. `columns`: Scene columns of which one must match. `unit` of a number.

    `values`: all there are, where they are few and fixed.
    """

    name: str
    kind: str
    columns: tuple[str, ...]
    help: str
    unit: str = ""
    values: tuple[str, ...] = ()


def _sided(name: str, kind: str, help_text: str, values: tuple[str, ...] = ()) -> list[Field]:
    which = {"src": "source", "dst": "destination"}
    return [Field(f"{s}.{name}", kind, (f"{s}.{name}",), help_text.format(which[s]), values=values) for s in SIDES]


_ALL = [
    Field("host", "end", SIDES, "either end: name, address, CIDR or MAC; a bare word means this"),
    Field("src", "end", ("src",), "the source: name, address, CIDR or MAC"),
    Field("dst", "end", ("dst",), "the destination: name, address, CIDR or MAC"),
    Field("vm", "text", ("vm",), "the VM at whose port the frame was seen"),
    Field("ns", "text", ("ns",), "that VM's namespace"),
    Field("nic", "text", ("nic",), "that VM's NIC"),
    Field("label", "label", ("vm",), "a label of that VM: label:app=web, or label:app for any value"),
    Field("node", "text", ("node",), "the node"),
    Field("network", "text", ("network",), "the Network"),
    Field("vlan", "number", ("vlan",), "the VLAN"),
    Field("dir", "text", ("dir",), "egress: from the VM; ingress: to it", values=("egress", "ingress")),
    Field("proto", "text", ("proto",), "the protocol", values=("arp", "icmp", "ipv6", "rarp", "tcp", "udp")),
    Field("verdict", "text", ("verdict",), "what became of it", values=("allow", "deny", "drop", "unknown")),
    Field("reason", "text", ("reason",), 'why it was dropped; reason:"" is none'),
    Field("rule", "text", ("rule",), "the rule that decided"),
    Field("ip", "ip", ("src.ip", "dst.ip"), "either end's address: one, a CIDR, or a glob"),
    Field("mac", "text", ("src.mac", "dst.mac"), "either end's MAC"),
    Field("port", "number", ("src.port", "dst.port"), "either end's TCP or UDP port"),
    Field("packets", "number", ("packets",), "frames counted", unit="size"),
    Field("bytes", "number", ("bytes",), "bytes counted", unit="size"),
    Field("rtt", "number", ("rtt",), "SYN to SYN-ACK, where it was seen (an estimate)", unit="time"),
    Field("retransmits", "number", ("retransmits",), "TCP segments sent again (an estimate)"),
    Field("reordered", "number", ("reordered",), "TCP segments out of order (an estimate)"),
    *_sided("ns", "text", "the {}'s namespace"),
    *_sided("ip", "ip", "the {}'s address"),
    *_sided("mac", "text", "the {}'s MAC"),
    *_sided("port", "number", "the {}'s port"),
    *_sided("label", "label", "a label of the {}"),
    *_sided("kind", "text", "what the {} is", values=("vm", "gateway", "set", "outside", "address", "mac", "group")),
]
FIELDS: dict[str, Field] = {field.name: field for field in _ALL}
ALIASES = {"direction": "dir", "namespace": "ns", "protocol": "proto", "retrans": "retransmits", "size": "bytes"}


def field_of(name: str) -> Field | None:
    """The field of that name or alias."""
    return FIELDS.get(ALIASES.get(name, name))
