"""Proxmox and nwfilter by their own rules, the shipped examples proven equal, and files that are wrong."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bascule.policy.flow import Flow
from bascule.policy.model import PolicySet
from bascule.policy.verdict import Judge
from bascule.translate.calico import translate
from bascule.translate.errors import RuleFileError
from bascule.translate.load import File, load
from bascule.translate.model import RuleBase
from bascule.translate.proof import EQUAL, prove
from bascule.translate.report import as_dict, html
from bascule.translate.rows import endpoint

EXAMPLES = Path(__file__).parents[2] / "examples/old-firewall"
WEB, DB, ADMIN, STRANGER = "10.110.0.11", "10.120.0.11", "198.51.100.10", "203.0.113.9"


def files(directory: str) -> list[File]:
    return [(path.name, path.read_bytes()) for path in sorted((EXAMPLES / directory).iterdir())]


def verdict(base: RuleBase, source: str, destination: str, port: int, protocol: int = 6) -> str:
    translation = translate(base)
    assert prove(base, translation).verdict == EQUAL
    judge = Judge(
        PolicySet.of(translation.documents), [endpoint(base, at, translation) for at in range(len(base.nics))]
    )
    icmp = (port, 0) if protocol == 1 else None
    return judge.connection(Flow.of(source, destination, protocol, 0 if icmp else port, icmp=icmp)).action


# (source, destination, port or ICMP type, protocol, verdict): by hand from Proxmox's documentation
PROXMOX = [
    (STRANGER, WEB, 443, 6, "allow"),
    (STRANGER, WEB, 444, 6, "deny"),
    (ADMIN, WEB, 22, 6, "allow"),
    ("10.98.0.2", DB, 22, 6, "allow"),
    ("10.98.0.13", DB, 22, 6, "deny"),
    (WEB, DB, 5432, 6, "allow"),
    (WEB, DB, 7, 6, "allow"),
    (WEB, DB, 5433, 6, "deny"),
    (STRANGER, DB, 5432, 6, "deny"),
    (STRANGER, DB, 8, 1, "allow"),
    (DB, "10.120.0.1", 53, 17, "allow"),
    (DB, STRANGER, 443, 6, "deny"),
    (WEB, STRANGER, 25, 6, "allow"),
]
# the same from libvirt's: accepted unless a rule drops it
NWFILTER = [
    (STRANGER, WEB, 443, 6, "allow"),
    (STRANGER, WEB, 444, 6, "deny"),
    (ADMIN, WEB, 22, 6, "allow"),
    (STRANGER, WEB, 22, 6, "deny"),
    (STRANGER, WEB, 8, 1, "allow"),
    (WEB, DB, 5432, 6, "allow"),
    (STRANGER, DB, 5432, 6, "deny"),
    (DB, "198.51.100.77", 443, 6, "deny"),
    (DB, STRANGER, 443, 6, "allow"),
    (WEB, "10.120.0.99", 5432, 6, "allow"),
    (WEB, STRANGER, 5432, 6, "allow"),
    (WEB, STRANGER, 25, 6, "deny"),
]


@pytest.mark.parametrize(("source", "destination", "port", "protocol", "wanted"), PROXMOX)
def test_proxmox_as_documented(source: str, destination: str, port: int, protocol: int, wanted: str) -> None:
    assert verdict(load(files("proxmox")), source, destination, port, protocol) == wanted


@pytest.mark.parametrize(("source", "destination", "port", "protocol", "wanted"), NWFILTER)
def test_nwfilter_as_documented(source: str, destination: str, port: int, protocol: int, wanted: str) -> None:
    assert verdict(load(files("nwfilter")), source, destination, port, protocol) == wanted


def changed(directory: str, name: str, old: bytes, new: bytes) -> list[File]:
    found = [(each, data.replace(old, new) if each == name else data) for each, data in files(directory)]
    assert found != files(directory)
    return found


@pytest.mark.parametrize(
    ("name", "old"), [("cluster.fw", b"enable: 1"), ("101.fw", b"enable: 1"), ("101.conf", b"firewall=1")]
)
def test_trap_22_three_levels_must_be_on(name: str, old: bytes) -> None:
    base = load(changed("proxmox", name, old, old.replace(b"1", b"0")))
    assert verdict(base, STRANGER, WEB, 444) == "allow"
    assert any(each.kind == "disabled-level" for each in base.leftovers)
    assert verdict(base, STRANGER, DB, 5432) == ("allow" if name == "cluster.fw" else "deny")


def test_trap_24_an_address_that_libvirt_learns_is_not_proven() -> None:
    base = load(changed("nwfilter", "domains.xml", b'<parameter name="IP" value="10.110.0.11"/>', b""))
    assert any(each.kind == "no-address" and "trap 24" in each.what for each in base.leftovers)
    assert prove(base, translate(base)).verdict == "not proven"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"IN NoSuchMacro(ACCEPT)", "NoSuchMacro is not known"),
        (b"IN ACCEPT -dport 80", "without -p"),
        (b"IN ACCEPT -p tcp -dport 99999", "99999 is no port"),
        (b"SIDEWAYS ACCEPT", "no direction"),
        (b"IN ACCEPT -source +gone", "ipset gone does not exist"),
        (b"IN ACCEPT -source nobody", "no alias has that name"),
        (b"IN ACCEPT -source fe80::1", "no IPv6"),
        (b"GROUP gone", "security group gone does not exist"),
        (b"FORWARD ACCEPT", "not of a guest"),
        (b'IN ACCEPT -source "10.0.0.1', "quotes do not match"),
        (b"IN ACCEPT -x 1", "-x is no option"),
    ],
)
def test_a_bad_line_is_one_leftover_and_the_rest_is_read(line: bytes, words: str) -> None:
    base = load(changed("proxmox", "101.fw", b"GROUP web\n", b"GROUP web\n" + line + b"\n"))
    found = [each for each in base.leftovers if words in each.what]
    assert [each.position for each in found] == ["101.fw:7"]
    assert verdict(base, STRANGER, WEB, 443) == "allow"


@pytest.mark.parametrize(
    ("old", "new", "kind", "words"),
    [
        (b'dstportstart="$PORTS"', b'dstportstart="$NOTHING"', "rule", "has no value"),
        (b'filter="shop-base"', b'filter="gone"', "reference", "gone is not in the files"),
        (b'<filterref filter="clean-traffic"/>', b'<filterref filter="shop-web"/>', "cycle", "shop-web"),
        (b'action="reject"', b'action="explode"', "rule", "explode"),
        (b'<icmp type="8"', b'<icmp dscp="8"', "rule", "dscp"),
        (b'priority="210"><tcp', b'priority="210"><tcp-ipv6', "ipv6", "tcp-ipv6"),
    ],
)
def test_a_bad_filter_is_one_leftover(old: bytes, new: bytes, kind: str, words: str) -> None:
    given = changed("nwfilter", "filters.xml", old, new)
    assert any(each.kind == kind and words in each.what for each in load(given).leftovers)


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><filters>&b;</filters>'


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "no file"),
        ([("a.json", b"  ")], "a.json: empty"),
        ([("a.json", b'{"services": [')], "a.json:1: no JSON: it ends before it is complete"),
        ([("a.json", b'{"services": }')], "a.json:1: no JSON"),
        ([("a.json", b"[" * 100_000)], "nested too deeply"),
        ([("a.json", b'{"a": "\xff"}')], "a.json:1: not UTF-8"),
        ([("a.txt", b"hello")], "not known which firewall"),
        ([("a.json", b"{}"), ("1.fw", b"[RULES]\n")], "different firewalls"),
        ([("a.xml", b"<filters><filter name='x'>")], "a.xml:1: no XML: it ends before it is complete"),
        ([("a.xml", BOMB)], "a.xml: refused"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_error(given: list[File], words: str) -> None:
    with pytest.raises(RuleFileError) as caught:
        load(given)
    assert words in str(caught.value)


@pytest.mark.parametrize("directory", ["proxmox", "nwfilter"])
def test_hundreds_of_mangled_files_never_raise_anything_else(directory: str) -> None:
    draw = random.Random(directory)
    for _ in range(200):
        mangled = []
        for name, data in files(directory):
            raw = bytearray(data)
            for _ in range(draw.randint(0, 3)):
                at = draw.randrange(len(raw))
                raw[at : at + draw.randint(0, 4)] = bytes(
                    draw.choices(b'"<>/=:-,.|+! \n0129azRULES[]', k=draw.randint(0, 5))
                )
            mangled.append((name, bytes(raw)))
        try:
            translate(load(mangled))
        except RuleFileError:
            continue


@pytest.mark.parametrize("directory", ["proxmox", "nwfilter"])
def test_the_report_names_every_rule_and_escapes(directory: str) -> None:
    base = load([(name, data.replace(b"web-1", b"<b>web-1</b>\x1b[2J" if name.endswith(".conf") else b"web-1"))
                 for name, data in files(directory)])  # fmt: skip
    translation = translate(base)
    found = as_dict(base, translation, prove(base, translation))
    assert len(found["rules"]) == len(base.rules) > 10
    page = html(base, translation, None)
    assert "<b>web-1" not in page and "\x1b" not in page
    for rule in base.rules:
        assert rule.disabled or found["rules"][base.rules.index(rule)]["policies"]
