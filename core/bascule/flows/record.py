"""The layout of a flow record: what the BPF program counts, what travels in FlowBatch, what the store reads.

88 bytes without padding, little endian but for fields taken off the wire as they are (docs/design/contracts.md,
section 4; agent/bascule_agent/bpf/port.c holds the same structs). ARP puts sender and target addresses into src_ip and
dst_ip; ports are 0 for what has none and for later fragments.

Key and value are exact. The estimates behind them come from a table that may forget: `rtt_us` is the time from a
TCP SYN to its SYN-ACK seen at this port (0: not known), `retransmits` and `reordered` are segments, `flags` the TCP
flags seen.
"""

from __future__ import annotations

import numpy as np

_KEY = [
    ("ifindex", "<u4"),
    ("direction", "u1"),
    ("verdict", "u1"),
    ("reason", "u1"),
    ("proto", "u1"),
    ("src_mac", "u1", (6,)),
    ("dst_mac", "u1", (6,)),
    ("ethertype", ">u2"),
    ("vlan", "<u2"),
    ("src_ip", "u1", (4,)),
    ("dst_ip", "u1", (4,)),
    ("src_port", ">u2"),
    ("dst_port", ">u2"),
    ("rule", "<u4"),
]
_VALUE = [("packets", "<u8"), ("bytes", "<u8"), ("first", "<u8"), ("last", "<u8")]
_ESTIMATE = [("rtt_us", "<u4"), ("retransmits", "<u4"), ("reordered", "<u4"), ("flags", "<u4")]
KEY = np.dtype(_KEY)
VALUE = np.dtype(_VALUE)
ESTIMATE = np.dtype(_ESTIMATE)
RECORD = np.dtype([*_KEY, *_VALUE, *_ESTIMATE])

INGRESS, EGRESS = 0, 1
ALLOW, DENY, DROP = 1, 2, 3
