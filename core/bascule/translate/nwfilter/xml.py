"""libvirt's filters and domains from XML: elements with their places, nothing judged yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from bascule.translate.errors import RuleFileError

_MOST = 200_000


@dataclass(frozen=True, slots=True)
class RuleElement:
    """One `<rule>`: its attributes, and for each protocol element in it the name and attributes."""

    attributes: dict[str, str]
    protocols: tuple[tuple[str, dict[str, str]], ...]
    position: str


@dataclass
class FilterElement:
    """One `<filter>`; `parts` keeps rules and references (name, parameters, place) in their order."""

    name: str
    chain: str
    position: str
    parts: list[RuleElement | Reference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reference:
    """One `<filterref>`; a parameter that is given several times is a list."""

    filter: str
    parameters: dict[str, tuple[str, ...]]
    position: str


@dataclass(frozen=True, slots=True)
class InterfaceElement:
    """One `<interface>` of a domain."""

    mac: str
    source: str
    vlans: tuple[int, ...]
    trunk: bool
    reference: Reference | None
    position: str


@dataclass(frozen=True, slots=True)
class DomainElement:
    """One `<domain>`."""

    name: str
    uuid: str
    interfaces: tuple[InterfaceElement, ...]
    position: str


def parse(name: str, data: bytes) -> Iterator[FilterElement | DomainElement]:
    """The filters and domains of a file, wherever they stand in it. Raises RuleFileError."""
    try:
        root = fromstring(data, forbid_dtd=True)
    except ParseError as error:
        line, column = error.position
        ended = "no element found" in str(error) or "unclosed" in str(error)
        what = "it ends before it is complete: truncated" if ended else str(error)
        raise RuleFileError(f"{name}:{line}: no XML: {what}", f"column {column}", "dump it again") from None
    except (DefusedXmlException, ValueError) as error:
        fix = "remove the DOCTYPE; libvirt writes none"
        raise RuleFileError(f"{name}: refused", f"it declares a document type or entities ({error})", fix) from None
    if sum(1 for _ in root.iter()) > _MOST:
        raise RuleFileError(f"{name}: more than {_MOST} elements", "", "import it in parts")
    for at, element in enumerate(root.iter("filter")):
        if element.get("name"):
            yield _filter(f"{name}:filter[{at}]", element)
    for element in root.iter("domain"):
        yield _domain(name, element)


def _filter(place: str, element: Element) -> FilterElement:
    called = element.get("name", "")
    place = f"{place} {called}"
    found = FilterElement(called, element.get("chain", "root"), place)
    number = 0
    for part in element:
        if part.tag == "rule":
            protocols = tuple((each.tag, dict(each.attrib)) for each in part)
            found.parts.append(RuleElement(dict(part.attrib), protocols, f"{place} rule[{number}]"))
            number += 1
        elif part.tag == "filterref":
            found.parts.append(_reference(place, part))
    return found


def _reference(place: str, element: Element) -> Reference:
    parameters: dict[str, tuple[str, ...]] = {}
    for each in element.iter("parameter"):
        key = each.get("name", "")
        parameters[key] = (*parameters.get(key, ()), each.get("value", ""))
    name = element.get("filter", "")
    return Reference(name, parameters, f"{place} filterref {name}")


def _domain(name: str, element: Element) -> DomainElement:
    called = element.findtext("name", "").strip()
    place = f"{name}:domain {called}"
    interfaces = tuple(
        _interface(f"{place} interface[{at}]", each) for at, each in enumerate(element.iter("interface"))
    )
    return DomainElement(called, element.findtext("uuid", "").strip() or called, interfaces, place)


def _interface(place: str, element: Element) -> InterfaceElement:
    mac, source, vlan = element.find("mac"), element.find("source"), element.find("vlan")
    given = source.attrib if source is not None else {}
    where = given.get("bridge") or given.get("network") or given.get("dev") or ""
    if given.get("portgroup"):
        where = f"{where}/{given['portgroup']}"
    tags = [each.get("id", "") for each in vlan.iter("tag")] if vlan is not None else []
    reference = element.find("filterref")
    return InterfaceElement(
        mac.get("address", "").lower() if mac is not None else "",
        where,
        tuple(int(tag) for tag in tags if tag.isdecimal()),
        vlan is not None and (vlan.get("trunk") == "yes" or len(tags) > 1),
        None if reference is None else _reference(place, reference),
        place,
    )
