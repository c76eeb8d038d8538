"""Build, pin, adopt, and the raw calls below; the witness for ids and pins is bpftool where it counts."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bascule.flows.reasons import Reason
from bascule.flows.record import KEY, RECORD, VALUE
from bascule_agent.bpf import layout, objects, raw
from bascule_agent.bpf.errors import BpfError
from bascule_agent.bpf.objects import Objects, ensure, source_hash
from bascule_agent.bpf.ring import Ring
from bascule_agent.bpf.source import expand

EVENT = np.dtype([("number", "<u8"), ("length", "<u4"), ("pad", "<u4")])
TINY = """
struct event { u64 number; u32 length; u32 pad; };
BPF_ARRAY(count, u64, 1);
BPF_RINGBUF_OUTPUT(events, 1);
int tell(struct __sk_buff *skb) {
    u32 zero = 0; u64 *count_ = count.lookup(&zero);
    struct event *event = events.ringbuf_reserve(sizeof(*event));
    if (!event) return 2;
    event->number = count_ ? __sync_fetch_and_add(count_, 1) : 0;
    event->length = skb->len; event->pad = STEP;
    events.ringbuf_submit(event, 0);
    return 0;
}
int pass(struct __sk_buff *skb) { return 0; }
"""


def test_a_record_is_88_bytes_without_padding():
    assert (KEY.itemsize, VALUE.itemsize, RECORD.itemsize) == (40, 32, 88)
    offsets = [RECORD.fields[name][1] for name in RECORD.names]
    assert offsets == [0, 4, 5, 6, 7, 8, 14, 20, 22, 24, 28, 32, 34, 36, 40, 48, 56, 64, 72, 76, 80, 84]


def test_every_reason_has_a_number_of_its_own_and_a_sentence():
    assert all(reason.text and " " not in reason.label for reason in Reason)
    assert max(reason for reason in Reason if reason < 100) < 100 and max(Reason) < 256
    source = expand(layout.SOURCE)
    assert [reason.name for reason in Reason if f"R_{reason.name}" not in source] == []


def test_the_hash_follows_source_defines_and_layout(tmp_path):
    source = tmp_path / "a.c"
    source.write_text(TINY)
    plain = source_hash(source)
    layouts = [{"m": (np.dtype("<u4"), np.dtype([("a", "<u4"), ("b", t)]))} for t in ("<u4", ">u4")]
    hashes = {plain, source_hash(source, {"A": 1}), source_hash(source, {"A": 2})}
    hashes |= {source_hash(source, None, each) for each in layouts}
    source.write_text(TINY + "\n")
    assert len(hashes | {source_hash(source)}) == 6 and len(plain) == 16


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("bpf") / "tiny.c"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def tiny(pins, source):
    with ensure(source, pins / "tiny", {"STEP": 7}, {"count": (np.dtype("<u4"), np.dtype("<u8"))}) as opened:
        yield opened
    shutil.rmtree(pins / "tiny")


@pytest.mark.root
def test_every_map_and_program_is_pinned_and_found_again(tiny):
    assert sorted(tiny.maps) == ["count", "events"] and sorted(tiny.programs) == ["pass", "tell"]
    tiny.put("count", (0,), (41,))
    ids = {name: tiny.program_id(name) for name in tiny.programs}
    code = (
        "import sys; from pathlib import Path; import numpy as np; from bascule_agent.bpf.objects import Objects\n"
        "o = Objects.open(Path(sys.argv[1]), {'count': (np.dtype('<u4'), np.dtype('<u8'))})\n"
        "print(int(o.get('count', 0)), o.program_id('pass'), o.program_id('tell'), 'bcc' in sys.modules)"
    )
    argv = [sys.executable, "-c", code, str(tiny.pin_dir)]
    out = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert out == ["41", str(ids["pass"]), str(ids["tell"]), "False"]
    assert set(ids.values()) <= raw.ids("prog") and {tiny.info(name).id for name in tiny.maps} <= raw.ids("map")


@pytest.mark.root
def test_a_second_build_leaves_the_first_alone(tiny, source):
    before = tiny.program_id("tell")
    objects.build(source, tiny.pin_dir, {"STEP": 7})
    with Objects.open(tiny.pin_dir) as again:
        assert again.program_id("tell") == before
    assert [path.name for path in tiny.pin_dir.parent.iterdir()] == [tiny.pin_dir.name]


@pytest.mark.root
def test_leftovers_of_a_killed_build_are_removed(tiny, source):
    half = tiny.pin_dir.with_name(f"tmp-{'0' * 16}-4194999")
    half.mkdir()
    raw.pin(tiny.programs["pass"], half / "pass")
    other = tiny.pin_dir.with_name("0" * 16)
    objects.build(source, other, {"STEP": 8})
    assert sorted(path.name for path in tiny.pin_dir.parent.iterdir()) == sorted([tiny.pin_dir.name, other.name])
    shutil.rmtree(other)


@pytest.mark.root
def test_another_layout_is_refused_not_read_wrongly(tiny):
    with pytest.raises(BpfError, match="count .* not what this version expects; cause: it is 4\\+8 bytes, not 4"):
        Objects.open(tiny.pin_dir, {"count": (np.dtype("<u4"), np.dtype("V16"))})
    with pytest.raises(BpfError, match="map other .* missing"):
        Objects.open(tiny.pin_dir, {"other": (np.dtype("<u4"), np.dtype("<u4"))})


@pytest.mark.root
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("int f(struct __sk_buff *skb) { return nothing; }", "undeclared identifier 'nothing'"),
        ("int f(struct __sk_buff *skb) { return *(int *)(long)skb->data; }", "does not compile or load"),
    ],
)
def test_a_source_that_does_not_compile_or_verify_is_one_error(pins, tmp_path, text, says):
    source = tmp_path / "bad.c"
    source.write_text(text)
    with pytest.raises(BpfError, match=says):
        ensure(source, pins / "bad")
    assert not (pins / "bad").exists() or list((pins / "bad").iterdir()) == []


@pytest.mark.root
def test_pins_outside_a_bpffs_are_refused(tmp_path):
    (tmp_path / "a.c").write_text("int f(struct __sk_buff *skb) { return 0; }")
    with pytest.raises(BpfError, match="cannot pin under"):
        ensure(tmp_path / "a.c", tmp_path / "pins")


@pytest.mark.root
def test_the_ring_gives_every_record_once_also_across_its_end(tiny):
    ring = Ring(tiny.maps["events"], EVENT)
    ring.read()
    tiny.put("count", (0,), (0,))
    got: list[int] = []
    for burst in (0, 1, 2, *(100 for _ in range(40))):  # the ring holds 170
        for _ in range(burst):
            assert raw.test_run(tiny.programs["tell"], bytes(60))[0] == 0
        records = ring.read()
        assert len(records) == burst
        got += records["number"].tolist()
    assert got == list(range(4003)) and set(records["length"].tolist()) == {60} and set(records["pad"].tolist()) == {7}
    ring.close()


@pytest.mark.root
def test_a_full_ring_loses_the_newest_and_keeps_order(tiny):
    ring = Ring(tiny.maps["events"], EVENT)
    ring.read()
    results = [raw.test_run(tiny.programs["tell"], bytes(60))[0] for _ in range(300)]
    assert 2 in results
    records = ring.read()
    assert len(records) == results.count(0) and (np.diff(records["number"].astype(int)) == 1).all()
    ring.close()


@pytest.mark.root
def test_batches_read_and_empty_a_map(pins):
    with ensure(layout.SOURCE, pins / "batch", layout.defines(flow_entries=64), layout.LAYOUT) as opened:
        for n in range(64):
            opened.put("native", (n,), (n * 2,))
        with pytest.raises(BpfError, match="cannot write map native"):
            opened.put("native", (64,), (0,))
        keys, values = opened.rows("native")
        assert dict(zip(keys.tolist(), values.tolist(), strict=True)) == {n: n * 2 for n in range(64)}
        assert opened.remove("native", 3) is True and opened.remove("native", 3) is False
        assert len(opened.rows("native", remove=True)[0]) == 63 and len(opened.rows("native")[0]) == 0
        assert opened.get("native", 5) is None


@pytest.mark.root
def test_raw_instructions_load_and_run():
    drop = struct.pack("<BBHi", 0xB7, 0, 0, 2) + struct.pack("<BBHi", 0x95, 0, 0, 0)  # r0 = 2; exit
    fd = raw.prog_load(drop, "drop_all")
    info = raw.prog_info(fd)
    assert (info.name, info.type) == ("drop_all", raw.SCHED_CLS)
    assert raw.test_run(fd, bytes(60)) == (2, bytes(60))
    assert raw.prog_info(raw.by_id("prog", info.id)).tag == info.tag
    with pytest.raises(OSError):
        raw.prog_load(drop[:8], "no_exit")


def test_bcc_is_imported_by_the_build_alone():
    code = (
        "import sys; from bascule_agent.bpf import build, flows_map, layout, objects, ring; print('bcc' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path("/"))
    assert done.stdout.strip() == "False"
