"""The result of an import for people and programs: what was carried, what was proven, what is left to do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bascule.htmlpage import page, table, text
from bascule.translate.calico import Translation
from bascule.translate.model import RuleBase
from bascule.translate.proof import Proof

_SEVERITIES = ("error", "warning", "info")
_SIGNS = {"error": "✗", "warning": "!", "info": "·"}


def as_dict(base: RuleBase, translation: Translation, proof: Proof | None) -> dict[str, Any]:
    """The JSON form. `rules[]` says of every old rule which policies carry it; `leftovers[]` are worst first."""
    rules = [
        {
            "id": rule.id,
            "name": rule.name,
            "stage": stage.name,
            "section": section.name,
            "position": rule.position,
            "action": rule.action,
            "disabled": rule.disabled,
            "policies": list(translation.policies.get(rule.id, ())),
        }
        for stage in base.stages
        for section in stage.sections
        for rule in section.rules
    ]
    return {
        "source": base.source,
        "objects": base.counts,
        "rules": rules,
        "vms": len(base.vms),
        "documents": len(translation.documents),
        "leftovers": [asdict(each) for each in ordered(translation)],
        "proof": None if proof is None else _proof(proof),
    }


def ordered(translation: Translation) -> list[Any]:
    """Leftovers, errors first, else as they were met."""
    return sorted(translation.leftovers, key=lambda each: _SEVERITIES.index(each.severity))


def _proof(proof: Proof) -> dict[str, Any]:
    found = asdict(proof)
    if proof.counterexample is not None:
        found["counterexample"]["packet"]["text"] = proof.counterexample.packet.text
    return found


def verdict_lines(proof: Proof) -> list[str]:
    """What the proof says, in words."""
    if proof.counterexample is not None:
        example = proof.counterexample
        return [
            f"different: {proof.differing} of {proof.classes} classes of packets fare differently; the plainest:",
            f"  {example.packet.text}",
            f"  before: {example.old} by {' → '.join(example.old_path)}",
            f"  after:  {example.new} by {' → '.join(example.new_path)}",
        ]
    if proof.reasons:
        more = f" (and {len(proof.reasons) - 1} more)" if len(proof.reasons) > 1 else ""
        return [f"not proven: {proof.reasons[0]}{more}"]
    places = f"at {proof.points} places (address of a NIC × direction)"
    return [f"equal: {proof.classes} classes of packets {places} fare alike, {proof.seconds:.1f} s"]


def html(base: RuleBase, translation: Translation, proof: Proof | None) -> str:
    """One self-contained page; every text that came from the old side is escaped."""
    found = as_dict(base, translation, proof)
    carried = sum(1 for rule in found["rules"] if rule["policies"])
    counts = {each: sum(1 for one in found["leftovers"] if one["severity"] == each) for each in _SEVERITIES}
    proven = (
        "<p>not asked for (--prove)</p>" if proof is None else f"<pre>{text(chr(10).join(verdict_lines(proof)))}</pre>"
    )
    parts = [
        f"<h1>Old firewall rules ({text(base.source)}) on Calico policies</h1>",
        f"<p>{carried} of {len(found['rules'])} rules carried by {found['documents']} objects,",
        f"for {found['vms']} VMs.</p>",
        f"<p>Left over: {counts['error']} errors, {counts['warning']} warnings, {counts['info']} notes.</p>",
        "<h2>Proof</h2>",
        proven,
        "<h2>What is left to do</h2>",
        table(
            ("", "Rule", "What", "Effect", "What to do", "Place"),
            [
                (_SIGNS[each["severity"]], each["rule"], each["what"], each["effect"], each["todo"], each["position"])
                for each in found["leftovers"]
            ],
            [each["severity"] for each in found["leftovers"]],
        ),
        "<h2>Every old rule</h2>",
        table(
            ("Stage", "Section", "Rule", "Action", "Carried by", "Place"),
            [
                (
                    rule["stage"],
                    rule["section"],
                    rule["name"] or rule["id"],
                    rule["action"],
                    _carried(rule),
                    rule["position"],
                )
                for rule in found["rules"]
            ],
            ["" if rule["policies"] or rule["disabled"] else "warning" for rule in found["rules"]],
        ),
    ]
    return page(f"Old firewall rules ({base.source})", parts, _STYLE)


def _carried(rule: dict[str, Any]) -> str:
    if rule["disabled"]:
        return "disabled"
    return "\n".join(rule["policies"]) or "nothing: see above"


_STYLE = """
td:last-child, td:nth-child(5) { overflow-wrap: anywhere; }
pre { background: #f3f5f7; padding: .8rem 1rem; overflow-x: auto; white-space: pre-wrap; }
"""
