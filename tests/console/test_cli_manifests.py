"""The document loader: every field knows its line, and no input, however broken, ends in more than one clear error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bascule_console.services.manifests import Document, ManifestError, load, parse
from bascule_console.store.documents import portable

EXAMPLE = Path(__file__).parents[2] / "examples" / "dc1.yaml"
GOOD = """\
# a comment
apiVersion: projectcalico.org/v3
kind: Network
metadata:
  name: dc1
spec:
  l2Bridge:
    vlans:
    - vlan: {id: 110}
      subnets:
      - cidr: 10.110.0.0/24
---
---
apiVersion: v1
kind: Node
metadata: {name: n1, namespace: ns}
"""


def test_documents_know_their_lines() -> None:
    network, node = parse(GOOD.encode(), "f.yaml")
    assert network.object["spec"]["l2Bridge"]["vlans"][0]["vlan"] == {"id": 110}
    assert network.at("spec.l2Bridge.vlans[0].subnets[0].cidr") == "f.yaml:11"
    assert network.at("spec.l2Bridge.vlans[0].vlan.range.start") == "f.yaml:9"
    assert network.at() == "f.yaml:2" and network.at("status.nothing") == "f.yaml:2"
    assert (network.label, node.label, node.at("metadata.name")) == ("Network/dc1", "Node/ns/n1", "f.yaml:16")


HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n"
BOMB = "a0: &a0 [x,x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1},*a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("apiVersion: v1\nkind: Node\nmetadata:\n  name: a\n  name: b\n", 5, "twice"),
        ("kind: Node\nmetadata: {name: a}\n", 1, "apiVersion is missing"),
        ("apiVersion: v1\nkind: Node\nmetadata:\n  name: 12\n", 4, "metadata.name is not a text"),
        ("apiVersion: v1\nkind: Node\nmetadata: []\n", 3, "metadata.name is missing"),
        ("- a\n- b\n", 1, "not an API object"),
        ("apiVersion: v1\nkind: [\n", 3, "no YAML"),
        ("a: b: c\n", 1, "no YAML"),
        ("x: !!python/object:os.system {}\n", 1, "no meaning here"),
        ("x: !!binary aGk=\n", 1, "no meaning here"),
        (HEAD + "  x: .inf\n", 5, "JSON"),
        (HEAD + "  x: !!int many\n", 5, "is no int"),
        (HEAD + "  x: &a [*a]\n", 5, "contains itself"),
        (HEAD + "  x: *nowhere\n", 5, "no YAML"),
        (HEAD + "  <<: {a: b}\n", 5, "no plain text"),
        (HEAD + "  [a]: b\n", 5, "no plain text"),
        (BOMB, 1, "more than"),
        ("[" * 5000, 1, "nested too deeply"),
        ("a: \x01\n", 1, "does not allow"),
        ('a: "\\ud800"\n', 1, "surrogate"),
        ("", 0, "no object in"),
        ("---\n---\n# nothing\n", 0, "no object in"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_broken_document_is_named_with_its_line(tmp_path: Path, text: str, line: int, word: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError) as caught:
        load([str(path)])
    assert word in caught.value.message and caught.value.exit_code == 2
    if line:
        assert caught.value.message.startswith(f"{path}:") and (
            word == "more than" or f":{line}:" in caught.value.message
        )


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"a: 1\nb: \xe4\n")
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(17 << 20)
    for name, word in (("absent", "cannot read"), ("", "cannot read"), ("latin", ":2: not UTF-8"), ("huge", "16 MiB")):
        with pytest.raises(ManifestError, match=word):
            load([str(tmp_path / name)])
    with pytest.raises(ManifestError, match="cannot read"):
        load(["a\0b"])


def test_what_yaml_would_make_a_number_or_a_date_stays_text() -> None:
    text = HEAD + "  mac: 10:20:30:40:50:51\n  day: 2026-11-23\n  n: 12\n  hex: 0x1f\n  yes: true\n  e: 1.5\n  no: ~\n"
    (document,) = parse(text.encode(), "f")
    expected = {"mac": "10:20:30:40:50:51", "day": "2026-11-23", "n": 12, "hex": 31, "yes": True, "e": 1.5, "no": None}
    assert document.object["data"] == expected


def test_a_list_is_taken_apart_and_keeps_its_lines() -> None:
    item = "- apiVersion: v1\n  kind: Node\n  metadata: {name: n%d}\n"
    documents = parse(("kind: List\nitems:\n" + item % 1 + item % 2).encode(), "f")
    assert [(d.label, d.at("metadata.name")) for d in documents] == [("Node/n1", "f:5"), ("Node/n2", "f:8")]


def test_the_example_loads_as_pyyaml_reads_it() -> None:
    documents = load([str(EXAMPLE)])
    assert [d.object for d in documents] == [d for d in yaml.safe_load_all(EXAMPLE.read_text()) if d]


def test_portable_leaves_out_what_the_server_fills_in() -> None:
    obj = {"kind": "Node", "metadata": {"name": "a", "uid": "u", "managedFields": []}, "status": {}, "spec": {"a": 1}}
    assert portable(obj) == {"kind": "Node", "metadata": {"name": "a"}, "spec": {"a": 1}}


FRAGMENTS = st.sampled_from(
    [
        "apiVersion: v1\n",
        "kind: Node\n",
        "kind: List\n",
        "metadata:\n",
        "  name: a\n",
        "items: ",
        "---\n",
        "...\n",
        "# x\n",
    ]
    + [
        "- ",
        "? ",
        ": ",
        "&a ",
        "*a ",
        "!!set ",
        "!!timestamp ",
        "!<a>",
        "<<: ",
        "null",
        "0x",
        "1_0",
        "0o9",
        ".nan",
        "  ",
    ]
    + [
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        "|\n",
        ">-\n",
        "%YAML 1.1\n",
        "%TAG ! x\n",
        "\t",
        "\n",
        "\\u",
        "\x85",
        "\ufeff",
        "@",
        "`",
    ]
)
DAMAGED = st.builds(
    lambda at, new: GOOD.encode()[:at] + new + GOOD.encode()[at + 1 :], st.integers(0, len(GOOD)), st.binary(max_size=3)
)
INPUTS = st.one_of(
    st.lists(FRAGMENTS, max_size=25).map(lambda parts: "".join(parts).encode()),
    st.binary(max_size=80),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    DAMAGED,
)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(INPUTS)
def test_a_thousand_broken_inputs_give_objects_or_one_clear_error(data: bytes) -> None:
    try:
        documents: list[Document] = parse(data, "f")
    except ManifestError as error:
        assert error.message.startswith("f:") and "\n" not in error.message
        return
    for document in documents:
        back: Any = json.loads(json.dumps(document.object, allow_nan=False))
        assert back == document.object and back["metadata"]["name"] and document.at("x.y[3]")
