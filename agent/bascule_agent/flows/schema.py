"""The tables of the node's flow history, and ports as they stand in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.flows.names import PortId

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA journal_size_limit = 16777216;
CREATE TABLE IF NOT EXISTS about(layout INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ports(id INTEGER PRIMARY KEY, document TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS blocks(
    id INTEGER PRIMARY KEY,
    at_ns INTEGER NOT NULL,     -- CLOCK_REALTIME of the last drain in it
    kind INTEGER NOT NULL,      -- 0 one drain, 1 a minute packed, 2 a minute with one record per flow
    records BLOB NOT NULL,
    ports INTEGER NOT NULL,
    seen INTEGER NOT NULL,      -- the ledger's share
    sent INTEGER NOT NULL,
    lost TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS blocks_at ON blocks(at_ns);
CREATE INDEX IF NOT EXISTS blocks_kind ON blocks(kind, at_ns);
CREATE TABLE IF NOT EXISTS dropped(at_ns INTEGER NOT NULL, frames INTEGER NOT NULL);  -- blocks removed for room
"""


def port_document(port: PortId) -> dict[str, Any]:
    """A port as JSON."""
    return {**vars(port), "labels": dict(port.labels)}


def port_of(document: Mapping[str, Any]) -> PortId:
    """The port of a document."""
    return PortId(**{**document, "labels": tuple(sorted(document["labels"].items()))})
