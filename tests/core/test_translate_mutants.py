"""The proof can fail: each of these bugs, put into the translation one at a time, is caught by it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests_mutants import Mutant, imported_anew
from tests_nsx_cases import Documents

from bascule.translate.model import RuleBase
from bascule.translate.nsx import read_nsx
from bascule.translate.proof import EQUAL, prove

ESTATE = Path(__file__).parents[2] / "examples/old-firewall/nsx.json"
PREFIXES = tuple(f"bascule.translate.{name}" for name in ("calico", "chosen", "entries", "names"))
# (name, module, what stands there, the bug)
BUGS = [
    ("REJECT allows", "entries", 'REJECT: "Deny"', 'REJECT: "Allow"'),
    ("JUMP allows", "entries", 'JUMP: "Pass"', 'JUMP: "Allow"'),
    ("negated groups select", "entries", 'entity["notSelector"] = whole', 'entity["selector"] = whole'),
    ("negated addresses match", "entries", '{"notNets" if peers.excluded else "nets"', '{"nets"'),
    (
        "addresses beside groups are lost",
        "entries",
        "alternatives(peers.groups) if peers.groups else []), own]",
        "alternatives(peers.groups) if peers.groups else [])]",
    ),
    ("source ports are lost", "entries", "if source != ANY_PORT:", "if False:"),
    ("a range loses its end", "entries", 'f"{ports[0]}:{ports[1]}"', 'f"{ports[0]}:{ports[1] - 1}"'),
    ("destination ports are lost", "entries", "if joined == (ANY_PORT,):", "if True:"),
    ("ICMP types are lost", "entries", "if types in (ANY_PORT, ICMP_ANY):", "if True:"),
    (
        "protocol numbers become TCP",
        "entries",
        "_PROTOCOLS.get(protocol, protocol)",
        '_PROTOCOLS.get(protocol, "TCP")',
    ),
    (
        "only the first service counts",
        "entries",
        "for part in services(rule.services)]",
        "for part in list(services(rule.services))[:1]]",
    ),
    ("applied-to is ignored", "entries", "if rule.scope is None else [governed, chooser.nics(rule.scope)]", ""),
    ("a negated side selects the policy", "entries", "if peers.any or peers.excluded or", "if peers.any or"),
    ("the local side is forgotten", "entries", "parts.append(narrowed)", "pass"),
    (
        "logging decides",
        "entries",
        'for action in ("Log", entry["action"])]',
        'for action in ("Allow", entry["action"])]',
    ),
    (
        "source and destination are swapped",
        "entries",
        "(mine, theirs) if direction == OUT",
        "(theirs, mine) if direction == OUT",
    ),
    (
        "rules for both directions get one",
        "calico",
        "direction not in rule.directions",
        "direction != rule.directions[0]",
    ),
    ("disabled rules are carried", "calico", "if rule.disabled or direction", "if direction"),
    ("tiers decide at their end", "calico", '"defaultAction": "Pass"', '"defaultAction": "Deny"'),
    ("tiers in the opposite order", "calico", "FIRST_TIER + at * TIER_STEP", "FIRST_TIER - at * TIER_STEP"),
    ("policies in the opposite order", "calico", '"order": self._order * 10', '"order": -self._order * 10'),
    ("the default is missing", "calico", "if last and not decides_all(stage):", "if False:"),
    ("everyone is governed", "calico", "if True in governed:", "if True:"),
    (
        "any scope is as none",
        "chosen",
        'condition.operator == "EQUALS" and condition.scope is not None',
        'condition.operator == "EQUALS"',
    ),
    ("NOTEQUALS is EQUALS", "chosen", 'positive = condition.operator != "NOTEQUALS"', "positive = True"),
    ("groups of addresses are empty", "chosen", "if group and ranges != NONE:", "if False:"),
    (
        "sets lose their last prefix",
        "chosen",
        '"spec": {"nets": nets(ranges)}',
        '"spec": {"nets": nets(ranges)[:-1]}',
    ),
    ("AND is OR", "chosen", 'return " && ".join(', 'return " || ".join('),
    ("computed labels are not written", "chosen", 'self.labels[vm][key] = ""', "pass"),
    ("the scope of a tag is not in its label", "names", 'f"{scope}.{tag}" if scope else tag)\n', "tag)\n"),
]


@pytest.fixture(scope="module")
def bases() -> list[RuleBase]:
    """The estate we ship, one NIC of it off the firewall, and drawn ones; one with defaults of its own."""
    estate = read_nsx([("nsx.json", json.loads(ESTATE.read_text()))])
    spared = replace(estate, nics=(replace(estate.nics[0], governed=False), *estate.nics[1:]))
    found = [estate, spared, *(read_nsx([("nsx.json", Documents(seed).draw())]) for seed in range(40))]
    stages = tuple(replace(stage, sections=stage.sections[:1]) for stage in estate.stages)
    return [*found, replace(estate, stages=stages, default_in="DROP", default_out="DROP")]


def caught(translate: Any, bases: list[RuleBase]) -> bool:
    return any(prove(base, translate(base)).verdict != EQUAL for base in bases)


@pytest.mark.parametrize(("module", "old", "new"), [bug[1:] for bug in BUGS], ids=[bug[0] for bug in BUGS])
def test_a_seeded_bug_is_caught(module: str, old: str, new: str, bases: list[RuleBase]) -> None:
    with imported_anew(Mutant(f"translate.{module}", old, new), PREFIXES, "bascule.translate.calico") as (calico,):
        assert caught(calico.translate, bases)


def test_without_a_bug_all_are_equal(bases: list[RuleBase]) -> None:
    with imported_anew(Mutant("translate.names", "plain", "plain"), PREFIXES, "bascule.translate.calico") as (calico,):
        assert not caught(calico.translate, bases)
