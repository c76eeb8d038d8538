"""Many records in few bytes: how history and recorded files keep them.

The bytes of all records are put column by column (the first byte of every record, then the second, …), where most
columns hardly change, and deflated at the lowest level: about 16 bytes a record of 88, at some 100 MB/s. Only zlib is
needed to read it back.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.errors import BasculeError
from bascule.flows.record import RECORD

LEVEL = 1
LAYOUT = zlib.crc32(repr(RECORD.descr).encode())
"""Changes with the record's layout: whoever keeps blocks keeps this with them."""


class BlockError(BasculeError):
    """Bytes that are no block of records."""


def pack(records: NDArray[Any]) -> bytes:
    """RECORD-typed records as one block."""
    rows = np.ascontiguousarray(records).view(np.uint8).reshape(len(records), RECORD.itemsize)
    return zlib.compress(rows.T.tobytes(), LEVEL)


def unpack(block: bytes) -> NDArray[Any]:
    """The records of a block. Raises BlockError."""
    try:
        flat = zlib.decompress(block)
    except zlib.error as error:
        raise BlockError("a block of flow records cannot be read", cause=str(error)) from None
    if len(flat) % RECORD.itemsize:
        cause = f"{len(flat)} bytes are no whole number of {RECORD.itemsize}-byte records"
        raise BlockError("a block of flow records cannot be read", cause=cause)
    rows = np.frombuffer(flat, np.uint8).reshape(RECORD.itemsize, -1).T
    return np.ascontiguousarray(rows).reshape(-1).view(RECORD)
