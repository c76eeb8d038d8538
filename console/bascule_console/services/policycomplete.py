"""What may stand at the cursor of a policy that is being written, from what the cluster has. Pure.

Labels and their values, namespaces, tiers, whole selectors that other policies use, Networks and NADs: in a Network's
label value every Network is offered, also one that no NIC is on yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bascule.resources.meta import Meta
from bascule.resources.policy import POLICY_KINDS, STAGED_ACTIONS
from bascule.resources.policy_rule import ACTIONS
from bascule.resources.policy_scope import OBJECT_NAME
from bascule.resources.read import dig, items, mapping, text
from bascule_console.store.policyworld import World

NETWORK, NAD = "projectcalico.org/network", "projectcalico.org/network-attachment"
PROTOCOLS = ("TCP", "UDP", "ICMP", "SCTP")
_FUNCTIONS = ("all()", "has(")
_WORD = re.compile(r"[A-Za-z0-9_./-]*$")
_VALUE = re.compile(r"""([A-Za-z0-9_./-]+)\s*(?:==|!=|(?:not\s+)?in\s*\{(?:[^}]*,)?)\s*(['"])([^'"]*)$""")
_KEYED = re.compile(r"^\s*(?:-\s+)?([A-Za-z]+):\s*(.*)$")
_PEER = re.compile(r"^\s*(?:in|out)\s+\w+.*?\s(?:from|to)\s+(.*)$")
_SELECTORS = ("selector", "notSelector", "namespaceSelector", "serviceAccountSelector")


@dataclass(frozen=True)
class Known:
    """Label keys with their values, of endpoints and sets, and of namespaces; and what else is offered by name."""

    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    namespace_labels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    namespaces: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    selectors: tuple[str, ...] = ()


def known(world: World, networks: Iterable[Any] = (), nads: Iterable[Any] = ()) -> Known:
    """What the cluster has."""
    labels: dict[str, set[str]] = {NETWORK: set(), NAD: set()}
    for endpoint in world.endpoints:
        _gather(labels, endpoint.labels)
    for network_set in world.live.sets:
        _gather(labels, network_set.labels)
    labels[NETWORK] |= {Meta.of(each).name for each in networks}
    labels[NAD] |= {Meta.of(each).name for each in nads}
    spaces: dict[str, set[str]] = {OBJECT_NAME: set(world.live.namespaces)}
    for each in world.live.namespaces.values():
        _gather(spaces, each)
    return Known(
        {key: frozenset(values) for key, values in labels.items()},
        {key: frozenset(values) for key, values in spaces.items()},
        tuple(sorted(world.live.namespaces)),
        tuple(each.tier.name for each in world.live.tiers),
        tuple(sorted(set(_selectors(world.raw.values())))),
    )


def complete_yaml(line: str, have: Known) -> list[str]:
    """What `line`, the text before the cursor, may go on with: whole words, the part already typed included in none of
    them, so that each is inserted as it is. Best first."""
    match = _KEYED.match(line)
    if match is None:
        word = line.strip().removeprefix("-").strip()
        lists = ("Ingress", "Egress") if re.match(r"^\s*-\s*[IE]", line) else ()
        return _rest(word, lists)
    key, value = match[1], match[2]
    fixed = {
        "tier": have.tiers, "namespace": have.namespaces, "action": ACTIONS, "protocol": PROTOCOLS,
        "kind": (*POLICY_KINDS[:4],), "stagedAction": STAGED_ACTIONS,
    }  # fmt: skip
    if key in fixed:
        return _rest(value, fixed[key])
    if key not in _SELECTORS:
        return []
    opened = value[:1] if value[:1] in ("'", '"') else ""
    return complete_selector(value.removeprefix(opened), have, key)


def complete_rule(line: str, have: Known) -> list[str]:
    """As `complete_yaml`, in a form's rule line."""
    words = line.split(" ")
    if len(words) == 1:
        return _rest(words[0], ("in ", "out "))
    if len(words) == 2:
        return _rest(words[1], tuple(f"{action} " for action in ACTIONS))
    side = "from " if words[0] == "in" else "to "
    match = _PEER.match(line)
    if match is None:
        return _rest(words[-1], ("tcp ", "udp ", "icmp ", side, "ports "))
    peer, split, spaces = match[1].partition(" namespaces ")
    if split:
        return complete_selector(spaces, have, "namespaceSelector")
    return complete_selector(peer, have) or _rest(words[-1], ("nets ", "namespaces ", "ports "))


def complete_selector(typed: str, have: Known, key: str = "selector") -> list[str]:
    """As `complete_yaml`, inside a selector."""
    labels = have.namespace_labels if key == "namespaceSelector" else have.labels
    match = _VALUE.search(typed)
    if match:
        values = sorted(labels.get(match[1], ()))
        return [rest + match[2] for rest in _rest(match[3], values)]
    word = _WORD.search(typed)
    start = word[0] if word else ""
    before = typed[: len(typed) - len(start)].rstrip()
    if before and before[-1] not in "&|(!":
        return _rest(start, ("in {", "contains '", "starts with '")) if start else []
    whole = _rest(typed, have.selectors) if typed and key == "selector" else []
    more = ("global()",) if key == "namespaceSelector" else ()
    found = _rest(start, [*sorted(labels), *_FUNCTIONS, *more]) if start or typed else []
    inside = before.endswith("has(")
    ends = [f"{rest})" if inside else rest if rest.endswith(("(", ")")) else f"{rest} == '" for rest in found]
    return [*ends, *whole]


def _rest(typed: str, words: Iterable[str]) -> list[str]:
    return [word[len(typed) :] for word in words if word.startswith(typed) and word != typed]


def _gather(into: dict[str, set[str]], labels: Mapping[str, str]) -> None:
    for key, value in labels.items():
        into.setdefault(key, set()).add(value)


def _selectors(documents: Iterable[Any]) -> Iterator[str]:
    for document in documents:
        spec = dig(document, "spec")
        found = [dig(spec, "selector")]
        for rule in (*items(dig(spec, "ingress")), *items(dig(spec, "egress"))):
            found += [dig(mapping(rule), side, "selector") for side in ("source", "destination")]
        yield from (text(each) for each in found if text(each))
