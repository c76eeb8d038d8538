"""IPv4 addresses and ranges as old firewalls write them."""

from __future__ import annotations

import ipaddress

from bascule.policy.intervals import Range


def address_range(value: str) -> Range | None:
    """`10.0.0.1`, `10.0.0.0/24` or `10.0.0.1-10.0.0.9` as a range; None for anything else, IPv6 too."""
    low, dash, high = value.strip().partition("-")
    try:
        if dash:
            first, last = int(ipaddress.IPv4Address(low.strip())), int(ipaddress.IPv4Address(high.strip()))
            return (first, last) if first <= last else None
        net = ipaddress.IPv4Network(low, strict=False)
    except ValueError:
        return None
    return int(net.network_address), int(net.broadcast_address)


def address_text(address: int) -> str:
    """An IPv4 address as text."""
    return str(ipaddress.IPv4Address(address))
