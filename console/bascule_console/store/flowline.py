"""One flow at one port as a table's row: the record's bytes and its rates; words are made when somebody reads them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bascule.flows.names import Names
    from bascule.flows.rows import Row

ROWS_KEPT = 2048


class FlowLine:
    """One flow at one port. Rates are per second; `slot` points into the flow store until the next eviction."""

    __slots__ = ("_names", "_node", "_raw", "byte_rate", "packet_rate", "slot")

    def __init__(self, slot: int, node: str, raw: bytes, names: Names, packet_rate: float, byte_rate: float) -> None:
        self.slot = slot
        self.packet_rate = packet_rate
        self.byte_rate = byte_rate
        self._node = node
        self._raw = raw
        self._names = names

    @property
    def row(self) -> Row:
        """The flow as DESIGN section 6 has it."""
        return _row_of(self)

    @property
    def packets(self) -> int:
        """As `row["packets"]`, without making the row."""
        return int.from_bytes(self._raw[40:48], "little")

    @property
    def octets(self) -> int:
        """As `row["bytes"]`, without making the row."""
        return int.from_bytes(self._raw[48:56], "little")

    @property
    def last_ns(self) -> int:
        """When the last frame was seen, CLOCK_REALTIME."""
        return int.from_bytes(self._raw[64:72], "little")

    @property
    def seen(self) -> tuple[str, bytes, Names]:
        """The node, the record's bytes, and who is who."""
        return self._node, self._raw, self._names

    def make_row(self) -> Row:
        """The row, kept nowhere: for a pass over all lines."""
        from bascule.flows.rows import row

        return row(self._raw, self._node, self._names)


@lru_cache(maxsize=ROWS_KEPT)
def _row_of(line: FlowLine) -> Row:
    return line.make_row()
