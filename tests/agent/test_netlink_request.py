"""Our own rtnetlink encoding, without a kernel: what is packed is what is unpacked, and no bytes make it fail."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule_agent.netlink import NetlinkError, request
from bascule_agent.netlink.rawlinks import decode

KINDS = st.integers(1, 0x3FFF)
PARTS = st.lists(st.tuples(KINDS, st.binary(max_size=40)), max_size=12)


@given(PARTS)
def test_attributes_come_back_as_they_were_put(parts):
    packed = b"".join(request.attribute(kind, value) for kind, value in parts)
    assert len(packed) % 4 == 0
    assert list(request.attributes(packed)) == parts
    nested = request.nested(7 | request.NESTED, packed)
    assert [(kind, value) for kind, value in request.attributes(nested)] == [(7, packed)]


@given(PARTS, st.sets(KINDS))
def test_the_chosen_ones_are_the_last_of_their_kind(parts, kinds):
    packed = b"".join(request.attribute(kind, value) for kind, value in parts)
    assert request.chosen(packed, 0, kinds) == {kind: value for kind, value in parts if kind in kinds}


@given(st.binary(max_size=400))
def test_no_bytes_from_a_socket_make_the_readers_fail(data):
    list(request.messages(data))
    list(request.attributes(data))
    request.chosen(data, 0, {1, 2, 3})


def test_messages_of_one_datagram_come_apart():
    one = struct.pack("=IHHII", 20, 16, 2, 7, 0) + b"abcd"
    two = struct.pack("=IHHII", 18, 3, 0, 7, 0) + b"xy" + b"\0\0"
    assert list(request.messages(one + two)) == [(16, (2, 7), b"abcd"), (3, (0, 7), b"xy")]


def test_a_link_is_read_from_its_message():
    parts = (
        *(request.text(3, "br0"), request.u32(4, 1450), request.attribute(1, bytes.fromhex("02b500000001"))),
        *(request.attribute(20, b"bascule:b:dc1/110"), request.u8(33, 1)),
        request.nested(18, request.text(1, "bridge"), request.nested(2, request.u8(7, 1), request.u16(39, 0))),
    )
    link = decode(struct.pack("=BxHiII", 0, 1, 9, 1, 0) + b"".join(parts))
    assert (link.index, link.name, link.kind, link.alias) == (9, "br0", "bridge", "bascule:b:dc1/110")
    assert (link.up, link.carrier, link.mtu, link.mac, link.master) == (True, True, 1450, "02:b5:00:00:00:01", 0)
    assert link.bridge is not None and (link.bridge.vlan_filtering, link.bridge.default_pvid) == (True, 0)


def test_a_socket_that_is_closed_is_one_clear_error():
    requests = request.Requests()
    requests.close()
    with pytest.raises(NetlinkError, match="list links") as caught:
        requests.dump(18, b"\0" * 16, 16, "list links")
    assert caught.value.code == errno.EBADF
