"""Policy figures: a label change over ten thousand selectors, and what-if over a hundred thousand flows.

Baseline and subject alternate in one run; medians of CPU time are given. A goal that is a ratio decides `met`; one that
is a time or a rate is for a quiet machine: missed on a busy one, `met` is None.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bascule.flows.record import RECORD
from bascule.policy.compile import Compiler
from bascule.policy.endpoints import Endpoint
from bascule.policy.flow import Flow
from bascule.policy.model import PolicySet
from bascule.policy.verdict import Judge
from bascule.policy.whatif import WhatIf
from bascule.selectors import parse
from bascule.selectors.index import SelectorIndex

Doc = dict[str, Any]
ROUNDS = 7
SELECTORS, ENDPOINTS, FLOWS = 10_000, 200, 100_000


def rows() -> list[dict[str, Any]]:
    """One object for each figure: name, value, unit, baseline, ratio, goal, met."""
    return [label_change(), what_if(), compile_all(), compile_one()]


def label_change() -> dict[str, Any]:
    """CPU time of one endpoint's label change over 10,000 selectors: the index against evaluating each of them."""
    source = random.Random(1)
    nodes = [parse(_selector(source, number)) for number in range(SELECTORS)]
    index: SelectorIndex[int, int] = SelectorIndex()
    labels = [_labels(source) for _ in range(ENDPOINTS)]
    for at, each in enumerate(labels):
        index.put_endpoint(at, each)
    for number, node in enumerate(nodes):
        index.put_selector(number, node)
    scan, mine = [], []
    for turn in range(ROUNDS * 20):
        at = source.randrange(ENDPOINTS)
        labels[at] = {**labels[at], "app": f"app-{source.randrange(2000)}"}
        mine.append(_cpu(lambda at=at: index.put_endpoint(at, labels[at])))
        if turn % 20 == 0:
            found: list[int] = []
            scan.append(
                _cpu(lambda at=at, to=found: to.extend(i for i, n in enumerate(nodes) if n.matches(labels[at])))
            )
            assert index.selectors(at) == set(found)
    value, baseline = statistics.median(mine), statistics.median(scan)
    ratio = baseline / value
    return _row("policy-label-change", value * 1e3, "ms", baseline * 1e3, ratio, ">= 20x a scan, <= 1 ms", ratio >= 20)


def what_if() -> dict[str, Any]:
    """Verdicts a second over 100,000 distinct flows under 200 policies of 5 rules; baseline is one flow at a time."""
    documents, endpoints = cluster(200)
    policies = PolicySet.of(documents)
    records = flows(endpoints, FLOWS)
    judge, engine = Judge(policies, endpoints), WhatIf(policies, endpoints)
    sample = [_flow(record) for record in records[:500]]
    one, many = [], []
    for _ in range(ROUNDS):
        one.append(len(sample) / _cpu(lambda: [judge.connection(flow) for flow in sample]))
        many.append(FLOWS / _cpu(lambda: engine.judge(records)))
    value, baseline = statistics.median(many), statistics.median(one)
    return _row(
        "policy-what-if", value, "verdicts/s", baseline, value / baseline, ">= 1,000,000/s", value >= 1e6 or None
    )


def compile_all() -> dict[str, Any]:
    """1,000 policies for 200 NICs, from documents to rows and sets; baseline is reading the documents alone."""
    documents, endpoints = cluster(1000)
    read, full = [], []
    for _ in range(3):
        read.append(_cpu(lambda: PolicySet.of(documents)))
        full.append(_cpu(lambda: Compiler().load(PolicySet.of(documents), endpoints)))
    value, baseline = statistics.median(full), statistics.median(read)
    return _row("policy-compile", value, "s", baseline, value / baseline, "<= 1 s", value <= 1 or None)


def compile_one() -> dict[str, Any]:
    """One changed label under 1,000 policies and 200 NICs, against compiling everything again."""
    documents, endpoints = cluster(1000)
    policies = PolicySet.of(documents)
    compiler = Compiler()
    baseline = _cpu(lambda: compiler.load(policies, endpoints))
    source, times, touched = random.Random(3), [], []
    for _ in range(ROUNDS * 3):
        before = source.choice(endpoints)
        after = Endpoint(before.namespace, before.pod, before.interface, before.vm, before.nic, before.network,
                         before.vlan, before.ips, {**before.labels, "app": f"app-{source.randrange(40)}"})  # fmt: skip
        times.append(_cpu(lambda after=after: touched.append(len(compiler.put(after).programs))))
    value = statistics.median(times)
    row = _row("policy-relabel", value * 1e3, "ms", baseline * 1e3, baseline / value, "<= 50 ms", value <= 0.05 or None)
    return {**row, "programs": statistics.median(touched)}


def cluster(policies: int) -> tuple[list[Doc], list[Endpoint]]:
    """Policies of 5 rules in three tiers, of which most select one application in one environment, and 200 NICs."""
    source = random.Random(2)
    documents: list[Doc] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "vms"}}]
    for name, order in (("security", 100), ("platform", 200)):
        spec = {"order": order, "defaultAction": "Pass"}
        documents.append(
            {"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": name}, "spec": spec}
        )
    documents += [_policy(source, number) for number in range(policies)]
    endpoints = [
        Endpoint("vms", f"pod-{n}", "net", f"vm-{n}", "net-0", "dc1", 110, (f"10.110.{n // 250}.{n % 250 + 1}",),
                 {**_labels(source), "app": f"app-{n % 40}"})
        for n in range(ENDPOINTS)
    ]  # fmt: skip
    return documents, endpoints


def flows(endpoints: list[Endpoint], count: int) -> np.ndarray[Any, Any]:
    """Distinct flows between the NICs and with the outside."""
    source = np.random.default_rng(4)
    own = np.array([[int(part) for part in endpoint.ips[0].split(".")] for endpoint in endpoints], np.uint8)
    found = np.zeros(count, RECORD)
    found["src_ip"] = own[source.integers(0, len(own), count)]
    found["dst_ip"] = own[source.integers(0, len(own), count)]
    outside = source.random(count) < 0.3
    found["dst_ip"][outside] = source.integers(1, 255, (int(outside.sum()), 4), np.uint8)
    found["proto"] = source.choice([6, 6, 6, 17], count)
    found["src_port"] = 32768 + np.arange(count) % 28000
    found["dst_port"] = source.choice([22, 53, 80, 443, 5432, 8080, 8443, 9100], count)
    found["ethertype"] = 0x0800
    return found


def _policy(source: random.Random, number: int) -> Doc:
    ingress = [_rule(source, "source") for _ in range(3)]
    egress = [_rule(source, "destination") for _ in range(2)]
    spec = {
        "tier": source.choice(("default", "default", "platform", "security")),
        "order": source.randrange(1000),
        "selector": f"app == 'app-{number % 40}'" + (" && has(env)" if number % 3 else ""),
        "types": ["Ingress", "Egress"],
        "ingress": ingress,
        "egress": egress,
    }
    meta = {"name": f"p{number}", "namespace": "vms"}
    return {"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}


def _rule(source: random.Random, side: str) -> Doc:
    peer: Doc = {"selector": f"app == 'app-{source.randrange(40)}'"}
    if source.random() < 0.3:
        peer = {"nets": [f"10.{source.randrange(256)}.0.0/16", "192.0.2.0/24"]}
    rule: Doc = {"action": source.choice(("Allow", "Allow", "Allow", "Deny", "Pass")), "protocol": "TCP", side: peer}
    rule.setdefault("destination", {})["ports"] = source.sample([22, 80, 443, 5432, 8080, 8443], 2)
    return rule


def _selector(source: random.Random, number: int) -> str:
    app, env = f"app-{number % 2000}", source.choice(("prod", "test", "dev"))
    return source.choice((
        f"app == '{app}'", f"app == '{app}' && env == '{env}'", f"env == '{env}' && app in {{'{app}', 'x'}}",
        f"app != '{app}'", f"env == '{env}' && !has(old-{number})", f"has(role-{number % 500}) || app == '{app}'",
        f"app starts with '{app}' && tier == 't{number % 50}'", f"zone not in {{'z{number}'}} && app == '{app}'",
    ))  # fmt: skip


def _labels(source: random.Random) -> dict[str, str]:
    return {
        "app": f"app-{source.randrange(2000)}",
        "env": source.choice(("prod", "test", "dev")),
        "tier": f"t{source.randrange(50)}",
        "zone": f"z{source.randrange(20)}",
        f"role-{source.randrange(500)}": "yes",
    }


def _flow(record: Any) -> Flow:
    source, destination = (".".join(map(str, record[name])) for name in ("src_ip", "dst_ip"))
    return Flow.of(source, destination, int(record["proto"]), int(record["dst_port"]), int(record["src_port"]))


def _cpu(work: Callable[[], Any]) -> float:
    start = time.process_time_ns()
    work()
    return max(time.process_time_ns() - start, 1) / 1e9


def _row(
    name: str, value: float, unit: str, baseline: float, ratio: float, goal: str, met: bool | None
) -> dict[str, Any]:
    figures = {"value": round(value, 4), "unit": unit, "baseline": round(baseline, 4), "ratio": round(ratio, 1)}
    return {"name": name, **figures, "goal": goal, "met": met}


if __name__ == "__main__":
    for row in rows():
        print(json.dumps(row))
