"""NSX security policies as stages of sections: categories in their order, policies and rules by sequence number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bascule.policy import intervals
from bascule.resources.read import integer, items, strings, text
from bascule.translate.addresses import address_range
from bascule.translate.model import (
    ALLOW,
    ANYONE,
    DROP,
    EVERYTHING,
    IN,
    JUMP,
    OUT,
    REJECT,
    Peers,
    Rule,
    Section,
    Service,
    Stage,
)
from bascule.translate.notes import ERROR, INFO, WARNING, Notes
from bascule.translate.nsx.collect import Found, parts
from bascule.translate.nsx.services import Services

CATEGORIES = ("Emergency", "Infrastructure", "Environment", "Application")
_ACTIONS = {"ALLOW": ALLOW, "DROP": DROP, "REJECT": REJECT, "JUMP_TO_APPLICATION": JUMP}
_DIRECTIONS = {"IN": (IN,), "OUT": (OUT,), "IN_OUT": (IN, OUT), "": (IN, OUT)}
_ALLOWLIST = ("ALLOWLIST", "ALLOWLIST_ENABLE_LOGGING", "WHITELIST", "WHITELIST_ENABLE_LOGGING")
_DENYLIST = ("DENYLIST", "DENYLIST_ENABLE_LOGGING", "BLACKLIST", "BLACKLIST_ENABLE_LOGGING")


class Rules:
    """Reads policies; `groups` are the paths of the groups that exist, `with_nics` those that can hold a NIC."""

    def __init__(self, services: Services, groups: set[str], with_nics: set[str], notes: Notes) -> None:
        self._services, self._groups, self._with_nics, self._notes = services, groups, with_nics, notes
        self._ids: set[str] = set()
        self._connectivity: list[Section] = []

    def stages(self, policies: Iterable[Found]) -> tuple[Stage, ...]:
        """All categories that judge L3 traffic, each with its sections in order; the default section comes last."""
        by_category: dict[str, list[tuple[tuple[Any, ...], Section, bool]]] = {name: [] for name in CATEGORIES}
        for at, (place, raw) in enumerate(policies):
            category = text(raw.get("category")) or "Application"
            name = text(raw.get("display_name")) or text(raw.get("id"))
            if category == "Ethernet":
                self._ethernet(place, raw, name)
                continue
            if category not in by_category:
                self._tell("category", ERROR, name, place, f"unknown category {category}", "its rules are missing")
                continue
            default = raw.get("is_default") is True or "default-layer3" in text(raw.get("id"))
            order = (
                default,
                integer(raw.get("sequence_number")) or 0,
                integer(raw.get("internal_sequence_number")) or 0,
                at,
            )
            by_category[category].append((order, self._section(place, raw, name), default))
        for category, found in by_category.items():
            found.sort(key=lambda each: each[0])
            self._ties(category, found)
        application = by_category["Application"]
        place_at = next((at for at, (_, _, default) in enumerate(application) if default), len(application))
        sections = {category: [section for _, section, _ in found] for category, found in by_category.items()}
        sections["Application"][place_at:place_at] = self._connectivity
        return tuple(
            Stage(name, tuple(sections[name])) for name in CATEGORIES if sections[name] or name == "Application"
        )

    def _ties(self, category: str, found: list[tuple[tuple[Any, ...], Section, bool]]) -> None:
        for (one, first, _), (two, second, _) in zip(found, found[1:], strict=False):
            if one[:3] == two[:3]:
                what = f"{category}: same sequence number as {first.name}: NSX does not say which comes first"
                self._tell("order", WARNING, second.name, second.position, what, "taken in the order of the document")

    def _section(self, place: str, raw: Mapping[str, Any], name: str) -> Section:
        scope = self._scope(f"{place}.scope", raw.get("scope"), name)
        for key, fine, what in (("stateful", True, "stateless"), ("tcp_strict", True, "without tcp_strict")):
            if raw.get(key, fine) is False:
                effect = "policies are stateful: replies pass, TCP in mid-stream does not"
                self._tell(key, WARNING, name, place, f"the section is {what}", effect)
        found = []
        for at, (where, rule) in enumerate(parts(place, raw, "rules", "Rule")):
            read = self._rule(where, rule, scope)
            if read is not None:
                found.append(((integer(rule.get("sequence_number")) or 0, at), read))
        found.sort(key=lambda each: each[0])
        for (one, first), (two, second) in zip(found, found[1:], strict=False):
            if one[0] == two[0] and one[0]:
                what = f"same sequence number as {first.name}: NSX does not say which comes first"
                self._tell("order", WARNING, second.name, second.position, what, "taken in the order of the document")
        self._connect(place, raw, name, scope)
        identity = text(raw.get("path")) or text(raw.get("id")) or place
        return Section(
            identity, name, place, tuple(rule for _, rule in found), integer(raw.get("sequence_number")) or 0
        )

    def _connect(self, place: str, raw: Mapping[str, Any], name: str, scope: tuple[str, ...] | None) -> None:
        """A connectivity strategy is a default rule for the section's scope, before the default section."""
        word = text(raw.get("connectivity_preference")) or text(raw.get("connectivity_strategy"))
        if word in _ALLOWLIST or word in _DENYLIST:
            action = DROP if word in _ALLOWLIST else ALLOW
            identity = self._identity(f"{text(raw.get('path')) or place}/connectivity", place)
            rule = Rule(identity, f"{name} {word}", place, action, scope=scope, logged=word.endswith("LOGGING"))
            self._connectivity.append(Section(identity, f"{name} connectivity", place, (rule,)))
        elif word not in ("", "NONE"):
            self._tell("connectivity", ERROR, name, place, f"unknown connectivity strategy {word}", "no default rule")

    def _rule(self, place: str, raw: Mapping[str, Any], scope: tuple[str, ...] | None) -> Rule | None:
        name = text(raw.get("display_name")) or text(raw.get("id"))
        action = _ACTIONS.get(text(raw.get("action")))
        directions = _DIRECTIONS.get(text(raw.get("direction")))
        why = self._unfit(place, raw, name, action, directions)
        services = self._of_services(place, raw, name)
        if why or services is None or action is None or directions is None:
            return None
        own = self._scope(f"{place}.scope", raw.get("scope"), name)
        return Rule(
            id=self._identity(text(raw.get("path")) or text(raw.get("id")) or place, place),
            name=name,
            position=place,
            action=action,
            directions=directions,
            sources=self._peers(f"{place}.source_groups", raw.get("source_groups"), raw.get("sources_excluded"), name),
            destinations=self._peers(
                f"{place}.destination_groups", raw.get("destination_groups"), raw.get("destinations_excluded"), name
            ),
            services=services,
            scope=own if scope is None else scope,
            logged=raw.get("logged") is True,
            disabled=raw.get("disabled") is True,
            notes=text(raw.get("notes")),
        )

    def _unfit(self, place: str, raw: Mapping[str, Any], name: str, action: Any, directions: Any) -> bool:
        """Say why a rule cannot be carried at all."""
        found = False
        effect = "the rule is missing: what it allowed or denied is decided by later rules"
        profiles = [each for each in strings(raw.get("profiles")) if each != "ANY"]
        reasons = [
            (action is None, "rule", ERROR, f"unknown action {raw.get('action')!r}"),
            (directions is None, "rule", ERROR, f"unknown direction {raw.get('direction')!r}"),
            (bool(profiles), "profile", ERROR, f"L7 or FQDN profile {', '.join(profiles)}: policies decide on packets"),
            (text(raw.get("ip_protocol")) == "IPV6", "ipv6", INFO, "for IPv6 only, none of which passes an L2 port"),
        ]
        for wrong, kind, severity, what in reasons:
            if wrong:
                self._tell(kind, severity, name, place, what, effect if severity == ERROR else "none")
                found = True
        return found

    def _of_services(self, place: str, raw: Mapping[str, Any], name: str) -> tuple[Service, ...] | None:
        listed = strings(raw.get("services"))
        inline = self._services.entries(place, raw, name)
        if (not listed or "ANY" in listed) and not items(raw.get("service_entries")):
            return EVERYTHING
        found = list(inline)
        for at, path in enumerate(each for each in listed if each != "ANY"):
            service = self._services.of(path)
            if service is None:
                effect = "the rule does not match it"
                self._tell(
                    "reference", WARNING, name, f"{place}.services[{at}]", f"{path} is not in the document", effect
                )
            found += service or ()
        if not found:
            self._tell("service", ERROR, name, place, "none of its services can be carried", "the rule is missing")
            return None
        return tuple(dict.fromkeys(found))

    def _peers(self, place: str, value: Any, excluded: Any, name: str) -> Peers:
        listed = strings(value)
        if not listed or "ANY" in listed:
            return ANYONE if excluded is not True else Peers(any=True, excluded=True)
        groups, ranges = [], []
        for at, each in enumerate(listed):
            span = address_range(each)
            if span is not None:
                ranges.append(span)
            elif each in self._groups:
                groups.append(each)
            elif ":" in each and not each.startswith("/"):
                self._tell("ipv6", INFO, name, f"{place}[{at}]", f"{each}: no IPv6 passes an L2 port", "left out")
            else:
                what = (
                    f"{each} is not in the document" if each.startswith("/") else f"{each!r} is no address and no path"
                )
                self._tell("reference", WARNING, name, f"{place}[{at}]", what, "it counts as empty, as a deleted group")
        return Peers(tuple(dict.fromkeys(groups)), intervals.union(ranges), excluded=excluded is True)

    def _scope(self, place: str, value: Any, name: str) -> tuple[str, ...] | None:
        """The groups a rule is applied to; None for all."""
        listed = strings(value)
        if not listed or "ANY" in listed:
            return None
        found = []
        for at, each in enumerate(listed):
            if each not in self._groups:
                self._tell(
                    "reference", WARNING, name, f"{place}[{at}]", f"{each} is not in the document", "applied to less"
                )
            elif each not in self._with_nics:
                what = f"{each} can hold no NIC: a group of addresses is no place to enforce at"
                self._tell("scope", WARNING, name, f"{place}[{at}]", what, "applied to nothing there, as before")
            else:
                found.append(each)
        return tuple(dict.fromkeys(found))

    def _ethernet(self, place: str, raw: Mapping[str, Any], name: str) -> None:
        for where, rule in parts(place, raw, "rules", "Rule"):
            what = f"an L2 rule of {name} ({text(rule.get('action'))})"
            effect = "an L2 port admits IPv4 and ARP with its own MAC and address, and nothing else, whatever it said"
            called = text(rule.get("display_name")) or text(rule.get("id"))
            self._tell("ethernet", WARNING, called, where, what, effect)

    def _identity(self, wanted: str, place: str) -> str:
        """The rule's id, made unique."""
        identity = wanted if wanted not in self._ids else f"{wanted}@{place}"
        if identity != wanted:
            self._tell("duplicate", WARNING, wanted, place, "a second rule with this path", "both are carried")
        self._ids.add(identity)
        return identity

    def _tell(self, kind: str, severity: str, name: str, place: str, what: str, effect: str) -> None:
        todo = "Nothing." if severity == INFO else "Decide how the effect is to be had, and write it as a policy."
        self._notes(kind, severity, name, place, what, effect, todo)
