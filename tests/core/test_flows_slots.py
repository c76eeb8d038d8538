"""Slots in numpy against a plain dictionary, also where many keys share a hash."""

from collections.abc import Hashable
from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bascule.flows import slots as module
from bascule.flows.record import RECORD
from bascule.flows.slots import Slots, grown, slots_of

NODES = ("a", "b")
steps = st.lists(
    st.tuples(st.sampled_from(["take", "take", "take", "drop"]), st.sampled_from(NODES), st.sets(st.integers(1, 30))),
    max_size=15,
)


class Plain:
    """What Slots promises, by dictionaries: identities, slots used again last in first out, order of arrival."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, int], int] = {}
        self.free: list[int] = []
        self.size = 0

    def take(self, node: str, ports: list[int]) -> list[int]:
        for port in ports:
            if (node, port) not in self.held:
                slot = self.free.pop() if self.free else self.size
                self.size = max(self.size, slot + 1)
                self.held[node, port] = slot
        return [self.held[node, port] for port in ports]

    def drop(self, node: str, ports: set[int]) -> list[int]:
        gone = [self.held.pop(key) for key in [*self.held] if key[0] == node and key[1] in ports]
        self.free += gone
        return gone


def records(ports: list[int]) -> np.ndarray:
    made = np.zeros(len(ports), RECORD)
    made["src_port"], made["packets"], made["first"] = ports, 7, 3
    return made


def few_hashes(words: np.ndarray, node: int) -> np.ndarray:
    """Keys of both nodes under three hashes."""
    return words[:, 4] // 256 % 3


@given(steps, st.booleans())
def test_slots_are_those_of_a_dictionary(given_steps: list[tuple[str, str, set[int]]], collide: bool) -> None:
    slots, plain, identities = Slots(), Plain(), dict[Hashable, int]()
    with patch.object(module, "hashes", few_hashes if collide else module.hashes):
        for what, node, ports in given_steps:
            if what == "drop":
                slots.drop(np.array(plain.drop(node, ports), np.int64))
                identities = {key: each for key, each in identities.items() if key in plain.held}
                continue
            before, asked = set(plain.held), sorted(ports)
            expected = plain.take(node, asked)
            found, new = slots.take(node, records(asked))
            assert found.tolist() == expected
            assert new.tolist() == [(node, port) not in before for port in asked]
            assert (slots.records["packets"][found[new]] == 0).all() and (slots.records["first"][found] == 3).all()
            ids = slots.identities(found).tolist()
            assert all(identities.setdefault((node, port), one) == one for port, one in zip(asked, ids, strict=True))
    assert len(slots) == len(plain.held) and slots.size == plain.size
    assert slots.live().tolist() == [*plain.held.values()]
    for node in NODES:
        assert slots.live(node).tolist() == [slot for key, slot in plain.held.items() if key[0] == node]
    assert {key: slots.slot(one) for key, one in identities.items()} == plain.held


def test_an_identity_is_never_given_again() -> None:
    slots = Slots()
    (first,) = slots.identities(slots.take("a", records([1]))[0]).tolist()
    slots.drop(slots.live())
    (second,) = slots.identities(slots.take("a", records([1]))[0]).tolist()
    assert slots.slot(first) is None and slots.slot(second) == 0 and first != second
    assert slots_of(np.array([first, second])).tolist() == [0, 0]
    assert (slots.came, slots.left) == (2, 1)


@given(st.integers(0, 600), st.integers(0, 600), st.sampled_from([0, 1]))
def test_growing_keeps_what_is_there(held: int, size: int, axis: int) -> None:
    one = np.arange(3 * held).reshape((held, 3) if axis == 0 else (3, held))
    more = grown(one, size, axis)
    assert more.shape[axis] >= max(held, size) and more.sum() == one.sum()
    assert (np.take(more, np.arange(held), axis) == one).all()
