"""Rows: exactly the contract's keys, every field from the right bytes."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.flows.names import Gateway, Names, PortId
from bascule.flows.record import RECORD
from bascule.flows.rows import ip_text, proto_text, reason_text, rows, time_text

KEYS = [
    *("time", "node", "vm", "namespace", "nic", "network", "vlan", "direction", "src", "dst"),
    *("proto", "packets", "bytes", "verdict", "reason", "rule"),
    *("rtt_us", "retransmits", "reordered", "flags"),
]
PORT = PortId("node1", 7, "web-1", "vms", "net-0", "dc1", 110, "52:54:00:00:6e:01", "10.110.0.11")
NAMES = Names([PORT], [Gateway("dc1", 110, "10.110.0.1")])
VM = {"namespace": "vms", "kind": "vm", "why": ""}
GATEWAY = {"namespace": "", "kind": "gateway", "why": ""}
# Written by hand from contracts.md section 4, so that the layout itself is under test.
FRAME = (
    bytes.fromhex("0700000001010006525400006e015254000000fe08006e00")
    + bytes([10, 110, 0, 11, 10, 110, 0, 1])
    + bytes.fromhex("9c40005000000000")
    + (5).to_bytes(8, "little")
    + (700).to_bytes(8, "little")
    + (1_700_000_000_000_000_000).to_bytes(8, "little")
    + (1_700_000_000_250_000_000).to_bytes(8, "little")
    + bytes.fromhex("dc050000020000000100000012000000")
)


def test_a_row_from_bytes():
    assert len(FRAME) == RECORD.itemsize == 88
    (row,) = rows(np.frombuffer(FRAME, RECORD), "node1", NAMES)
    assert list(row) == KEYS
    assert row == {
        "time": "2023-11-14T22:13:20.250Z",
        "node": "node1",
        "vm": "web-1",
        "namespace": "vms",
        "nic": "net-0",
        "network": "dc1",
        "vlan": 110,
        "direction": "egress",
        "src": {"mac": "52:54:00:00:6e:01", "ip": "10.110.0.11", "port": 40000, "name": "web-1"} | VM,
        "dst": {"mac": "52:54:00:00:00:fe", "ip": "10.110.0.1", "port": 80, "name": "gateway dc1/110"} | GATEWAY,
        "proto": "tcp",
        "packets": 5,
        "bytes": 700,
        "verdict": "allow",
        "reason": "",
        "rule": "",
        "rtt_us": 1500,
        "retransmits": 2,
        "reordered": 1,
        "flags": "SA",
    }


@given(st.lists(st.binary(min_size=88, max_size=88), max_size=8))
def test_any_bytes_make_rows_that_json_can_hold(frames):
    records = np.frombuffer(b"".join(frames), RECORD)
    made = rows(records, "node1", NAMES)
    assert len(made) == len(frames)
    for row, record in zip(json.loads(json.dumps(made)), records, strict=True):
        assert list(row) == KEYS
        assert row["packets"] == int(record["packets"]) and row["bytes"] == int(record["bytes"])
        assert row["src"]["port"] == int(record["src_port"]) and row["dst"]["port"] == int(record["dst_port"])


def test_frames_without_addresses_have_none():
    frame = bytearray(FRAME)
    frame[20:22] = bytes.fromhex("86dd")
    (row,) = rows(np.frombuffer(bytes(frame), RECORD), "node1", NAMES)
    assert row["proto"] == "ipv6" and row["src"]["ip"] == "" and row["src"]["name"] == "web-1"


@pytest.mark.parametrize(
    ("ethertype", "proto", "text"),
    [(0x0800, 1, "icmp"), (0x0800, 17, "udp"), (0x0800, 200, "200"), (0x0806, 0, "arp"), (0x1234, 0, "0x1234")],
)
def test_protocol_names(ethertype, proto, text):
    assert proto_text(ethertype, proto) == text


def test_reasons_are_words_and_unknown_ones_stay_numbers():
    assert reason_text(0) == ""
    assert reason_text(255) == "reason-255"


def test_texts():
    assert ip_text(bytes([198, 51, 100, 10])) == "198.51.100.10"
    assert time_text(0) == "1970-01-01T00:00:00.000Z"
