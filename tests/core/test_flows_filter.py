"""The filter language: masks against a plain evaluator over rows, errors at their character, partial knowledge."""

import fnmatch
import ipaddress
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.flows.filter import FIELDS, FilterError, complete, read_filter
from bascule.flows.names import Names, PortId
from bascule.flows.record import RECORD
from bascule.flows.rows import rows
from bascule.flows.scene import Scene
from bascule.flows.surroundings import surroundings_of

PORTS = (
    PortId("n1", 7, "web-1", "prod", "net-0", "dc1", 110, "52:54:00:00:6e:01", "10.110.0.11", (("app", "web"),)),
    PortId(
        "n1", 8, "db-1", "test", "net-1", "dc1", 120, "52:54:00:00:78:01", "10.120.0.11", (("app", "db"), ("x", ""))
    ),
    PortId("n2", 9, "web-2", "prod", "net-0", "dc1", 110, "52:54:00:00:6e:02", "10.110.0.12", (("app", "web"),)),
)
SUBNETS = [
    {
        "vlan": {"id": vid},
        "subnets": [{"cidr": f"10.{vid}.0.0/24", "routes": [{"action": {"nextHop": f"10.{vid}.0.1"}}]}],
    }
    for vid in (110, 120)
]
NETWORK = {"metadata": {"name": "dc1"}, "spec": {"l2Bridge": {"vlans": SUBNETS}}}
PARTNERS = {"kind": "GlobalNetworkSet", "metadata": {"name": "partners"}, "spec": {"nets": ["198.51.100.0/24"]}}
AROUND = surroundings_of([NETWORK], [PARTNERS])
WHOLE = Names(PORTS, around=AROUND)
IPS = ["10.110.0.11", "10.110.0.12", "10.110.0.77", "10.120.0.11", "10.110.0.1", "198.51.100.10", "8.8.8.8", "0.0.0.0"]
MACS = ["52:54:00:00:6e:01", "52:54:00:00:6e:02", "02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff"]


def some_records(seed, count=12):
    source = random.Random(seed)
    made = np.zeros(count, RECORD)
    for row in made:
        row["ifindex"], row["direction"] = source.choice([7, 8, 5]), source.choice([0, 1, 2])
        row["verdict"], row["reason"] = source.choice([(1, 0), (2, 0), (3, 4), (3, 99), (0, 0)])
        row["ethertype"], row["proto"] = source.choice([(0x800, 6), (0x800, 17), (0x806, 0), (0x86DD, 0), (0x8035, 0)])
        for side in ("src", "dst"):
            row[f"{side}_ip"] = list(ipaddress.IPv4Address(source.choice(IPS)).packed)
            row[f"{side}_mac"] = list(bytes.fromhex(source.choice(MACS).replace(":", "")))
            row[f"{side}_port"] = source.choice([0, 80, 443, 40000])
        row["vlan"], row["rule"] = source.choice([0, 110, 120]), source.choice([0, 5])
        row["packets"], row["bytes"] = source.choice([1, 5, 1000]), source.choice([60, 1500, 2_000_000])
        row["rtt_us"], row["retransmits"] = source.choice([0, 800, 5000, 6000]), source.choice([0, 3])
    return made


def end_texts(end):
    return [end["name"], end["ip"], end["mac"]]


def like(text, pattern):
    return fnmatch.fnmatchcase(text.lower(), pattern.lower())


def in_cidr(ip, cidr):
    return bool(ip) and ipaddress.ip_address(ip) in ipaddress.ip_network(cidr, strict=False)


TERMS = {
    "web-1": lambda r, n: any(like(t, "web-1") for e in (r["src"], r["dst"]) for t in end_texts(e)),
    "src:web-*": lambda r, n: any(like(t, "web-*") for t in end_texts(r["src"])),
    "dst:10.110.0.0/24": lambda r, n: in_cidr(r["dst"]["ip"], "10.110.0.0/24"),
    "host:198.51.100.10": lambda r, n: "198.51.100.10" in (r["src"]["ip"], r["dst"]["ip"]),
    "src:partners": lambda r, n: r["src"]["name"] == "partners",
    "dst.kind:gateway,outside": lambda r, n: r["dst"]["kind"] in ("gateway", "outside"),
    "dst.ns:prod": lambda r, n: r["dst"]["namespace"] == "prod",
    "ns!=test": lambda r, n: r["namespace"] != "test",
    "vm:web-?,DB-1": lambda r, n: like(r["vm"], "web-?") or like(r["vm"], "db-1"),
    'vm="web-?"': lambda r, n: r["vm"] == "web-?",
    "vlan:110": lambda r, n: r["vlan"] == 110,
    "vlan>=110": lambda r, n: r["vlan"] >= 110,
    "port:443": lambda r, n: 443 in (r["src"]["port"], r["dst"]["port"]),
    "dst.port:80-443,40000": lambda r, n: 80 <= r["dst"]["port"] <= 443 or r["dst"]["port"] == 40000,
    "port!=80": lambda r, n: 80 not in (r["src"]["port"], r["dst"]["port"]),
    "verdict:drop": lambda r, n: r["verdict"] == "drop",
    'reason:""': lambda r, n: r["reason"] == "",
    "reason:spoofed-*,reason-99": lambda r, n: like(r["reason"], "spoofed-*") or r["reason"] == "reason-99",
    "proto:udp": lambda r, n: r["proto"] == "udp",
    "proto:arp,rarp": lambda r, n: r["proto"] in ("arp", "rarp"),
    "dir:egress": lambda r, n: r["direction"] == "egress",
    "rtt>5ms": lambda r, n: r["rtt_us"] > 5000,
    "rtt<=5ms": lambda r, n: 0 < r["rtt_us"] <= 5000,
    "bytes>1.5kB": lambda r, n: r["bytes"] > 1500,
    "packets<6": lambda r, n: r["packets"] < 6,
    "retransmits>0": lambda r, n: r["retransmits"] > 0,
    "label:app=web": lambda r, n: n["port"].get("app") == "web",
    "dst.label:app=d*": lambda r, n: like(n["dst"].get("app", "-"), "d*"),
    "src.label:x": lambda r, n: "x" in n["src"],
    "ip:10.110.*": lambda r, n: any(like(e["ip"], "10.110.*") for e in (r["src"], r["dst"])),
    "mac:ff:ff:ff:ff:ff:ff": lambda r, n: "ff:ff:ff:ff:ff:ff" in (r["src"]["mac"], r["dst"]["mac"]),
    "rule:5": lambda r, n: r["rule"] == "5",
    "node:n*": lambda r, n: like(r["node"], "n*"),
    "network:dc1 nic:net-0": lambda r, n: r["network"] == "dc1" and r["nic"] == "net-0",
}
atoms = st.sampled_from(sorted(TERMS)).map(lambda text: (f"({text})" if " " in text else text, TERMS[text]))


def joined(children):
    def both(pair):
        (a, f), (b, g) = pair
        return f"{a} {b}", lambda r, n: f(r, n) and g(r, n)

    def either(pair):
        (a, f), (b, g) = pair
        return f"({a} or {b})", lambda r, n: f(r, n) or g(r, n)

    def not_(one):
        a, f = one
        return f"!({a})", lambda r, n: not f(r, n)

    two = st.tuples(children, children)
    return st.one_of(two.map(both), two.map(either), children.map(not_))


filters = st.recursive(atoms, joined, max_leaves=6)


def labels_of(names, row, records, at):
    port = names.port(row["node"], int(records[at]["ifindex"]))
    found = {"port": dict(port.labels)}
    for side in ("src", "dst"):
        end = row[side]
        ip = "" if end["ip"] == "0.0.0.0" else end["ip"]
        found[side] = dict(names.who(port.network, row["vlan"], ip, end["mac"]).labels)
    return found


def plain(keeps, records, names):
    made = rows(records, "n1", names)
    return [bool(keeps(row, labels_of(names, row, records, at))) for at, row in enumerate(made)]


@settings(max_examples=150, deadline=None)
@given(filters, st.integers(0, 10_000))
def test_masks_are_what_a_plain_evaluator_says(pair, seed):
    text, keeps = pair
    records = some_records(seed)
    mask = read_filter(text).mask(Scene(records, "n1", WHOLE))
    assert mask.tolist() == plain(keeps, records, WHOLE), text


@settings(max_examples=100, deadline=None)
@given(filters, st.integers(0, 10_000))
def test_an_agent_never_leaves_out_what_the_console_would_show(pair, seed):
    text, _ = pair
    records = some_records(seed)
    here = Names(PORTS[:2])  # the agent of n1: no gateways, no sets, no ports of n2
    whole = read_filter(text).mask(Scene(records, "n1", WHOLE))
    part = read_filter(text).mask(Scene(records, "n1", here, partial=True))
    assert not (whole & ~part).any(), text


def test_an_agent_leaves_out_what_it_can_decide():
    records = some_records(3, 40)
    here = Names(PORTS[:2])
    for text in ("vlan:110 and verdict:drop", "vm:web-1 !proto:udp", "src:10.110.0.0/24", "port:443 dir:egress"):
        scene = Scene(records, "n1", here, partial=True)
        exact = plain_of(text, records)
        assert read_filter(text).mask(scene).tolist() == exact


def plain_of(text, records):
    return read_filter(text).mask(Scene(records, "n1", WHOLE)).tolist()


def test_no_records_no_mask():
    none = np.zeros(0, RECORD)
    for text in TERMS:
        assert read_filter(text).mask(Scene(none, "n1", WHOLE)).tolist() == []


@pytest.mark.parametrize(
    ("text", "at", "length", "words"),
    [
        ("vlan:110 vlna:3", 9, 4, "no field 'vlna'"),
        ("(vlan:110", 0, 1, "never closed"),
        ("vlan:110)", 8, 1, "no parenthesis to close"),
        ("vlan:110 or", 11, 1, "filter ends"),
        ("port:80,", 8, 1, "missing after the comma"),
        ('src:"web', 4, 1, "quote is never closed"),
        ("vlan:1x", 5, 2, "no number"),
        ("port:90-80", 5, 5, "backwards"),
        ("rtt>5", 4, 1, "no time"),
        ("vm>web", 2, 1, "no number"),
        ("dst:10.0.0.300", 4, 10, "no address"),
        ("src: web", 4, 1, "has no value"),
        ("or vlan:1", 0, 2, "a term should stand here"),
        ("(" * 200 + "web", 101, 1, "levels"),
    ],
)
def test_an_error_points_at_the_character(text, at, length, words):
    with pytest.raises(FilterError) as caught:
        read_filter(text)
    error = caught.value
    assert (error.at, error.length) == (at, length) and words in error.message
    assert error.caret == " " * at + "^" * length
    assert error.exit_code == 2


@given(st.text(max_size=30))
def test_any_text_is_a_filter_or_a_filter_error(text):
    try:
        read_filter(text).mask(Scene(some_records(1, 3), "n1", WHOLE))
    except FilterError as error:
        assert 0 <= error.at <= len(text)


def test_completion_offers_fields_and_values_seen():
    assert complete("vl") == ["vlan:"]
    assert complete("vlan:110 !pro") == ["vlan:110 !proto:"]
    assert complete("verdict:d") == ["verdict:deny", "verdict:drop"]
    seen = {"vm": ["web-1", "db 1"], "src": ["web-1"]}
    assert complete("vm:", lambda f: seen.get(f.name, [])) == ["vm:web-1", 'vm:"db 1"']
    assert complete("vm:web-1,d", lambda f: seen.get(f.name, [])) == ['vm:web-1,"db 1"']
    assert complete("nothing:") == [] and complete("") == []


@given(st.text(max_size=20, alphabet=st.characters(codec="utf-8")))
def test_a_completed_value_means_that_value(name):
    if not name:
        return
    (offered,) = complete("vm:", lambda f: [name])[:1] or [None]
    port = PortId("n1", 7, vm=name)
    mask = read_filter(offered).mask(Scene(_at_port_7(), "n1", Names([port])))
    assert mask.tolist() == [True]


def _at_port_7():
    one = np.zeros(1, RECORD)
    one["ifindex"] = 7
    return one


def test_every_field_is_in_the_reference():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "reference" / "flow-filters.md").read_text()
    missing = [name for name in FIELDS if f"`{name}`" not in page]
    assert not missing
