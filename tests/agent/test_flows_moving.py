"""Kinds of announcement in flow records: which first frame of a moved VM was which."""

import numpy as np

from bascule.flows.record import RECORD
from bascule_agent.apply.moving import kinds


def record(ethertype: int, src: tuple[int, ...], dst: tuple[int, ...], first: int):
    one = np.zeros(1, RECORD)
    one["ethertype"], one["src_ip"], one["dst_ip"], one["first"] = ethertype, src, dst, first
    return one


def test_a_gratuitous_arp_asks_for_the_senders_own_address():
    ip, peer, none = (10, 110, 0, 11), (10, 110, 0, 1), (0, 0, 0, 0)
    records = np.concatenate(
        [
            record(0x8035, none, none, 1),
            record(0x0806, ip, ip, 2),
            record(0x0806, ip, peer, 3),
            record(0x0800, ip, peer, 4),
            record(0x0800, ip, ip, 5),
        ]
    )
    found = {kind: chosen["first"].tolist() for kind, chosen in kinds(records).items()}
    assert found == {"rarp": [1], "garp": [2], "arp": [3], "ip": [4, 5]}
    assert kinds(records[:0]) == {}
