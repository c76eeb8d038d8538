"""Address rows: an address's whole life on its VLAN, from reservation to what the wire says, and what is wrong. Pure.

A row is the JSON of `bascule addresses list`. What nobody could tell is None (`answering`, `pool`), never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bascule_console.store.claims import ASKED, HELD, PORT, Claim, Claims, by_segment
from bascule_console.store.conflicts import Evidence, conflicts
from bascule_console.store.inventory import Inventory
from bascule_console.store.reserved import Plan, ipv4
from bascule_console.store.sightings import Sighting, Sightings
from bascule_console.store.vms import MIGRATIONS, moves_in_flight

Place = tuple[str, int | None, str]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What probing an address brought: `sent` and `received` ICMP echoes, the quickest reply, from where and when.

    `error` says why nothing could be asked; then nothing is known.
    """

    source: str
    sent: int = 0
    received: int = 0
    rtt_ms: float | None = None
    at: str = ""
    error: str = ""

    @property
    def answers(self) -> bool | None:
        """True or False; None when it could not be asked."""
        return None if self.error or not self.sent else self.received > 0

    def document(self) -> dict[str, Any]:
        """The JSON of one answer."""
        found = asdict(self)
        return {"from": found.pop("source"), **found}


class AddressBook:
    """Makes the rows; objects are parsed once each."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._claims = Claims(inventory)

    def rows(
        self, reports: Mapping[str, Mapping[str, Any]], sightings: Sightings, answers: Mapping[Place, Answer]
    ) -> dict[Place, Row]:
        """Every address that anything is known about, by (Network, VLAN, address), in that order."""
        plan = Plan(self._inventory)
        claims = self._claims.now(reports)
        places = by_segment(claims)
        for place in (*plan.hops(), *answers, *(p for p in sightings.places() if plan.inside(*p))):
            places.setdefault(place, [])
        evidence = Evidence.of(claims, moves_in_flight(self._inventory.all(MIGRATIONS)), plan)
        found = {}
        for place in sorted(places, key=_order):
            seen = sightings.of(place[0], place[1], place[2]) if place[1] is not None else []
            found[place] = _row(place, places[place], plan, evidence, seen, answers.get(place))
        return found


def _order(place: Place) -> tuple[str, int, int]:
    address = ipv4(place[2])
    return place[0], place[1] or 0, int(address) if address else 0


def _row(
    place: Place, claims: list[Claim], plan: Plan, evidence: Evidence, seen: list[Sighting], answer: Answer | None
) -> Row:
    network, vlan, ip = place
    reserved = plan.reserved(*place)
    best = max(claims, key=lambda claim: (ASKED, HELD, PORT).index(claim.by), default=None)
    problems = conflicts(place, claims, evidence, reserved, seen, answer)
    namespace, _, name = best.vm.partition("/") if best else ("", "", "")
    return {
        "name": ip,
        "network": network,
        "vlan": vlan,
        "ip": ip,
        "namespace": namespace,
        "vm": name,
        "nic": best.nic if best else "",
        "mac": best.mac if best else "",
        "node": next((claim.node for claim in reversed(claims) if claim.node), ""),
        "claims": [claim.document() for claim in claims],
        "reserved": reserved,
        "pool": plan.pool(ip),
        "seen": [{"mac": s.mac, "node": s.node, "at": _time(s.at_ns)} for s in seen],
        "answering": answer.answers if answer else None,
        "answer": answer.document() if answer else None,
        "conflicts": problems,
        "state": _state(claims, reserved, seen, answer, bool(problems), evidence),
    }


def _time(at_ns: int) -> str:
    from bascule.flows.rows import time_text  # numpy costs 0.1 s, which the first paint does not need

    return time_text(at_ns)


def _state(
    claims: list[Claim], reserved: str, seen: list[Sighting], answer: Answer | None, wrong: bool, evidence: Evidence
) -> str:
    """One word for where in its life the address is."""
    if wrong:
        return "conflict"
    if any(claim.vm in evidence.moving for claim in claims):
        return "moving"
    if any((claim.by, claim.state) in ((PORT, "live"), (HELD, "Running")) for claim in claims):
        return "in use"
    if claims:
        return "held" if any(claim.by != ASKED for claim in claims) else "asked"
    if reserved:
        return "reserved"
    return "stranger" if seen or (answer and answer.answers) else "free"


def searchable(row: Row) -> str:
    """What a filter looks at."""
    macs = " ".join(entry["mac"] for entry in row["seen"])
    place = f"{row['ip']} {row['network']} vlan {row['vlan']} {row['namespace']}/{row['vm']} {row['nic']} {row['mac']}"
    return f"{place} {macs} {row['node']} {row['state']} {row['reserved']} {row['pool'] or ''} {row['conflicts']}"


def life(row: Row) -> list[tuple[str, str]]:
    """The address's life as (stage, words), from what plans it to what answers now."""
    where = f"VLAN {row['vlan']} of {row['network']}" if row["network"] else "no VLAN that is known"
    pool = "not known" if row["pool"] is None else row["pool"] or "in no L2 pool"
    found = [("planned", f"{where}; pool: {pool}")]
    if row["reserved"]:
        found.append(("reserved", row["reserved"]))
    for claim in row["claims"]:
        parts = [claim["vm"], claim["nic"], claim["mac"], claim["node"], claim["state"]]
        found.append((claim["by"], "  ".join(part for part in parts if part)))
    found += [("seen", f"{entry['mac']}  at {entry['node']}  {entry['at']}") for entry in row["seen"]]
    found.append(("answers", answer_words(row["answer"])))
    found += [("conflict", text) for text in row["conflicts"]]
    return found


def answer_words(answer: Mapping[str, Any] | None) -> str:
    """What probing brought, in words."""
    if answer is None:
        return "not asked"
    if answer["error"]:
        return f"could not be asked: {answer['error']}"
    rtt = f", quickest {answer['rtt_ms']:.1f} ms" if answer["rtt_ms"] is not None else ""
    return f"{answer['received']} of {answer['sent']} from {answer['from']}{rtt}"
