"""XML of untrusted files: no document types, no entities, bounded elements, and one error that names the line."""

from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from bascule.estate.errors import EstateFileError

_MOST = 400_000


def root_of(name: str, data: bytes) -> Element:
    """The root element. Raises EstateFileError."""
    try:
        root = fromstring(data, forbid_dtd=True)
    except ParseError as error:
        line, column = error.position
        ended = "no element found" in str(error) or "unclosed" in str(error)
        what = "it ends before it is complete: truncated" if ended else str(error)
        raise EstateFileError(f"{name}:{line}: no XML: {what}", f"column {column}", "export it again") from None
    except (DefusedXmlException, ValueError, LookupError) as error:
        cause = f"it declares a document type or entities ({error})"
        raise EstateFileError(f"{name}: refused", cause, "remove the DOCTYPE; no hypervisor writes one") from None
    if sum(1 for _ in root.iter()) > _MOST:
        raise EstateFileError(f"{name}: more than {_MOST} elements", "", "import it in parts")
    assert isinstance(root, Element)
    return root


def local(tag: object) -> str:
    """A tag or attribute without its namespace."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Element, name: str) -> str:
    """An attribute by its local name, "" when absent."""
    return next((value for key, value in element.attrib.items() if local(key) == name), "")


def children(element: Element, name: str) -> list[Element]:
    """Direct children by local name."""
    return [each for each in element if local(each.tag) == name]


def child_text(element: Element, name: str) -> str:
    """The text of the first direct child of that name, "" when absent."""
    found = children(element, name)
    return (found[0].text or "").strip() if found else ""
