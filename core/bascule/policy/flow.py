"""A connection to be judged: addresses, protocol, ports, or ICMP type and code."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address


@dataclass(frozen=True, slots=True)
class Flow:
    """The first packet of a connection. Addresses are whole numbers of IP `version`; ports are 0 where there are none.

    `icmp` is (type, code), None when it is not known, as in flow records: a rule that asks for a type then makes the
    verdict unknown instead of guessing.
    """

    version: int
    source: int
    destination: int
    protocol: int
    source_port: int = 0
    destination_port: int = 0
    icmp: tuple[int, int] | None = None

    @classmethod
    def of(
        cls, source: str, destination: str, protocol: int, port: int = 0, source_port: int = 0,
        icmp: tuple[int, int] | None = None,
    ) -> Flow:  # fmt: skip
        """From addresses as text. Raises ValueError for what is no address, or two of different families."""
        one, two = ip_address(source), ip_address(destination)
        if one.version != two.version:
            raise ValueError(f"{source} and {destination} are of different families")
        return cls(one.version, int(one), int(two), protocol, source_port, port, icmp)
