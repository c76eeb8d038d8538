"""Is this VLAN really on this trunk? Facts of one node's probes in, one verdict per VLAN with its evidence out.

`proven` needs an answer on the VLAN that was asked, so it holds for both directions. `failed` needs evidence against:
a dead link, an answer on another VLAN, a frame size that does not pass. Everything else is `unproven`: nobody answered,
which a wrong switch port and a gateway that is switched off have in common. The evidence holds nothing that changes
from one run to the next while the trunk does not, so that two matrices can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

PROVEN, UNPROVEN, FAILED = "proven", "unproven", "failed"
FULL_SIZE = 1500


@dataclass(frozen=True, slots=True)
class Answered:
    """Who answered: `vlan` is the one the answer came in on, None for untagged on a trunk without native VLAN."""

    target: str
    mac: str
    vlan: int | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What one node's probes of one VLAN brought.

    `trunk` is the link's name; `link` is "" or why it cannot carry anything; `asked` the addresses asked, gateway
    first; `answers` to frames of minimal size; `sizes` what became of a frame of that many bytes behind the Ethernet
    header: True answered, False not, None larger than the trunk's own MTU; `seen`: frames of the VLAN came in by
    themselves; `untagged`: the VLAN is the trunk's native one; `wrong_native`: the VLAN in which an untagged frame was
    answered instead.
    """

    trunk: str
    link: str = ""
    asked: tuple[str, ...] = ()
    answers: tuple[Answered, ...] = ()
    sizes: Mapping[int, bool | None] | None = None
    seen: bool = False
    untagged: bool = False
    wrong_native: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One node x VLAN of the matrix (DESIGN section 6)."""

    node: str
    network: str
    vlan: int
    verdict: str
    evidence: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def judge(node: str, network: str, vlan: int, facts: Facts) -> Cell:
    """The verdict on one VLAN."""
    verdict, evidence = _judge(vlan, facts)
    return Cell(node, network, vlan, verdict, evidence)


def _judge(vlan: int, facts: Facts) -> tuple[str, str]:
    if facts.link:
        return FAILED, facts.link
    how = "untagged" if facts.untagged else "tagged"
    good = next((answer for answer in facts.answers if answer.vlan == vlan), None)
    if good is None:
        return _not_answered(vlan, facts, how)
    too_small = [size for size, passed in sorted((facts.sizes or {}).items()) if passed is False]
    if too_small:
        return FAILED, (
            f"{good.target} answers {how} on {facts.trunk}, but not to a frame of {too_small[0]} bytes: "
            "an MTU on the way is smaller"
        )
    own = [size for size, passed in sorted((facts.sizes or {}).items()) if passed is None]
    passed = [str(size) for size, passed in sorted((facts.sizes or {}).items()) if passed]
    words = f"{good.target} ({good.mac}) answers {how} on {facts.trunk}"
    if passed:
        words += f", to {' and '.join(passed)} bytes too"
    if own:
        words += f"; {own[0]} bytes not asked: {facts.trunk}'s own MTU is smaller"
    return PROVEN, words


def _not_answered(vlan: int, facts: Facts, how: str) -> tuple[str, str]:
    for answer in facts.answers:
        came = "untagged" if answer.vlan is None else f"on VLAN {answer.vlan}"
        return FAILED, (
            f"asked {how} for VLAN {vlan} on {facts.trunk}, {answer.target} answers {came}: "
            "the native VLAN here and on the switch port differ"
        )
    if facts.wrong_native:
        return FAILED, (
            f"VLAN {vlan} is native here, but an untagged frame lands in VLAN {facts.wrong_native}: "
            "the switch port has another native VLAN"
        )
    if not facts.asked:
        words = f"VLAN {vlan} has no gateway and no known neighbour to ask"
    else:
        words = f"nobody answered {how} on {facts.trunk}: asked {', '.join(facts.asked)}"
    return UNPROVEN, words + ("; frames of the VLAN come in by themselves" if facts.seen else "; no frame of it seen")


def failed_cells(node: str, network: str, vlans: Iterable[int], why: str) -> list[Cell]:
    """The cells of a Network whose trunk cannot be asked at all."""
    return [Cell(node, network, vlan, FAILED, why) for vlan in sorted(vlans)]


def all_proven(cells: Iterable[Mapping[str, Any]]) -> bool:
    """Is every cell proven? False for an empty matrix: nothing was proven."""
    verdicts = [cell["verdict"] for cell in cells]
    return bool(verdicts) and all(verdict == PROVEN for verdict in verdicts)
