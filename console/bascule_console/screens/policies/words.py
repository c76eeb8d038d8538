"""What is said about a tier, a policy or a rule, and about what a change would do. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from bascule.flows.rows import ETH_IPV4, proto_text
from bascule.policy.shadow import EFFECTIVE, NOTHING, REDUNDANT, SHADOWED, UNDECIDED, UNSELECTED, RuleEffect, Witness
from bascule.resources.policy import INGRESS
from bascule.resources.policy_read import ICMP, WITH_PORTS
from bascule_console.screens.policies.tree import NEVER, NO_AGENT, POLICY, TIER, Line
from bascule_console.services.policyimpact import Impact, RuleImpact, peers_of, talker_rows, told
from bascule_console.store.policybook import Hits
from bascule_console.store.policyworld import World
from bascule_console.widgets.detail import fact, heading
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.units import size

TALKERS_MOST = 6
MISFITS_MOST = 2
_WHY = {
    SHADOWED: "shadowed: earlier rules decide all it matches",
    REDUNDANT: "without effect: the rules after it decide the same",
    NOTHING: "matches nothing: no address meets it",
    UNSELECTED: "its policy selects no NIC",
    UNDECIDED: "not decided: too many cases to look at",
    EFFECTIVE: "has an effect",
}


def about(line: Line, world: World, hits: Hits, glyphs: Glyphs) -> list[Parts]:
    """One line of the tree."""
    if line.level == TIER:
        return [
            heading(f"Tier {line.name}"),
            fact("order", line.order or "none"),
            fact("its end", f"{line.words}, where one of its policies selects the NIC and no rule decides"),
        ]
    if line.identity not in world.every:
        return []
    return _policy(line, world, hits, glyphs) if line.level == POLICY else _rule(line, world, hits, glyphs)


def _policy(line: Line, world: World, hits: Hits, glyphs: Glyphs) -> list[Parts]:
    found = _view(world, line)
    nics = [endpoint.name for endpoint in world.selected(found)] if found else []
    ref = "/".join(part for part in line.identity if part)
    tone = "" if line.state == "enforced" else "busy" if line.staged else "bad"
    lines = [
        heading(ref),
        fact("state", f"{line.state}, tier {line.tier}, order {line.order}", tone),
        fact("selector", line.words),
        fact("selects", told(nics, "NIC", 8)),
    ]
    if line.staged:
        lines.append(fact("next", "w what it would do   P put it in force   ctrl+d discard it", "muted"))
    idle = [each for each in world.known_effects(line.identity) if each.effect not in (EFFECTIVE, UNSELECTED)]
    if idle:
        listed = ", ".join(f"{_way(each.direction)} {each.rule} {each.effect}" for each in idle)
        lines.append(fact("idle rules", listed, "busy"))
    held = [f"{nic}: {why}" for nic, why in sorted(hits.refused.items()) if nic in nics]
    return [*lines, *(fact("not loaded", each, "bad") for each in held)]


def _rule(line: Line, world: World, hits: Hits, glyphs: Glyphs) -> list[Parts]:
    found = _view(world, line)
    if found is None:
        return []
    rule = found.rules(line.direction)[line.rule]
    ref = "/".join(part for part in line.identity if part)
    lines = [
        heading(f"{ref} {_way(line.direction)} {line.rule}"),
        fact("rule", f"{line.action} {line.words}"),
        fact("peers", peers_of(world, rule, line.direction)),
    ]
    if line.state == "enforced":
        counted = NO_AGENT if line.hits is None else NEVER if line.hits == 0 else f"{line.hits} packets"
        since = f" since loaded, on {', '.join(hits.nodes)}" if hits.nodes else " counts this rule"
        lines.append(fact("hits", f"{counted}{since}", "muted" if line.hits is None else ""))
    effects = world.known_effects(line.identity)
    mine = next((each for each in effects if (each.direction, each.rule) == (line.direction, line.rule)), None)
    return [*lines, *effect_facts(mine)] if mine else lines


def effect_facts(effect: RuleEffect) -> list[Parts]:
    """What a rule does, with what takes its packets or the packet that proves it."""
    lines = [fact("effect", _WHY[effect.effect], "" if effect.effect == EFFECTIVE else "busy")]
    if effect.by:
        lines.append(fact("because", "; ".join(effect.by)))
    if effect.witness is not None:
        lines.append(fact("proof", witness_words(effect.witness, effect.direction), "muted"))
    return lines


def witness_words(found: Witness, direction: str) -> str:
    """A packet in words."""
    ends = (found.peer, found.own) if direction == INGRESS else (found.own, found.peer)
    source, destination = (str(ip_address(end)) for end in ends)
    proto = proto_text(ETH_IPV4, found.protocol)
    if found.protocol in ICMP:
        return f"{proto} type {found.source_port} code {found.destination_port}, {source} to {destination}"
    port = f" port {found.destination_port}" if found.protocol in WITH_PORTS else ""
    return f"{proto} from {source} to {destination}{port}"


# -- the live panel


def impact_lines(impact: Impact, world: World, window: str, glyphs: Glyphs, talkers: int = TALKERS_MOST) -> list[Parts]:
    """What a proposal would do, in lines."""
    lines = [heading("If this were in force")]
    if impact.refused:
        return [*lines, fact("refused", impact.refused, "bad")]
    lines += [fact("too big", f"{nic}: {why}", "bad") for nic, why in sorted(impact.misfits.items())[:MISFITS_MOST]]
    lines.append(fact("selects", told(list(impact.selected), "NIC")))
    if impact.gained:
        lines.append(fact("now too", told(list(impact.gained), "NIC"), "good"))
    if impact.lost:
        lines.append(fact("no longer", told(list(impact.lost), "NIC"), "bad"))
    lines += forecast_lines(impact, world, window, glyphs, talkers)
    idle = [rule for rule in impact.rules if rule.effect is not None and rule.effect.effect != EFFECTIVE]
    for rule in (*idle, *(rule for rule in impact.rules if rule not in idle)):
        lines += _rule_lines(rule)
    return lines


def _rule_lines(rule: RuleImpact) -> Iterator[Parts]:
    effect = rule.effect
    name = f"{_way(rule.direction)} {rule.rule}"
    if effect is None or effect.effect == EFFECTIVE:
        yield fact(name, f"{'from' if rule.direction == INGRESS else 'to'} {rule.peers}")
        return
    by = f" ({effect.by[0]})" if effect.by else ""
    yield fact(name, f"{_WHY[effect.effect]}{by}", "busy")


def forecast_lines(impact: Impact, world: World, window: str, glyphs: Glyphs, talkers: int) -> Iterator[Parts]:
    """The recorded traffic under the proposal."""
    found = impact.forecast
    if found is None:
        yield fact("what-if", window, "muted")
        return
    rows = talker_rows(found, world.endpoints)
    denied, allowed = changes(found.counts, "deny"), changes(found.counts, "allow")
    tone = "bad" if denied else "good"
    yield fact("what-if", f"{denied} newly denied, {allowed} newly allowed {window}", tone if found.changed else "")
    for row in rows[:talkers]:
        mark = glyphs.bad if row["after"] == "deny" else glyphs.good if row["after"] == "allow" else glyphs.unknown
        service = f"{row['proto']} {row['port'] or ''}".strip()
        words = f"{mark} {row['source']} {glyphs.arrow} {row['destination']} {service}, {row['packets']} packets"
        yield fact("", words, "deny" if row["after"] == "deny" else "good")
    if len(rows) > talkers:
        yield fact("", f"{len(rows) - talkers} more talkers: f5 shows all", "muted")


def changes(counts: dict[tuple[str, str], int], after: str) -> int:
    """Conversations that newly get this verdict."""
    return sum(number for (before, then), number in counts.items() if then == after != before)


def summary(found: Any, window: str) -> str:
    """A forecast in one line."""
    denied, allowed = changes(found.counts, "deny"), changes(found.counts, "allow")
    return f"{denied} newly denied, {allowed} newly allowed {window}"


def about_talker(row: Mapping[str, Any], glyphs: Glyphs) -> list[Parts]:
    """A talker whose verdict changes, with the rules that decide."""
    service = f"{row['proto']} {row['port'] or ''}".strip()
    ends = f"{row['source']} ({row['source_ip']}) {glyphs.arrow} {row['destination']} ({row['destination_ip']})"
    plural = "" if row["flows"] == 1 else "s"
    return [
        heading(f"{ends} {service}"),
        fact("now", f"{row['before']}  {row['rule_before']}"),
        fact("then", f"{row['after']}  {row['rule_after']}", "deny" if row["after"] == "deny" else "good"),
        fact("traffic", f"{row['packets']} packets, {size(row['bytes'])} in {row['flows']} connection{plural}"),
    ]


def window_words(judged: int, seconds: float, silent: Sequence[str]) -> str:
    """Which traffic a forecast is made of."""
    missing = f"; no flows of {', '.join(silent)}" if silent else ""
    return f"of {judged} conversations of the last {seconds:g} s{missing}"


def _way(direction: str) -> str:
    return "in" if direction == INGRESS else "out"


def _view(world: World, line: Line) -> Any:
    return world.every.get(line.identity)
