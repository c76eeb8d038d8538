"""Old rules: how long translation and proof take, how that grows with the rules, and how much memory it needs.

A drawn estate of 2,000 VMs in applications of three tiers with 500 groups; each size in a process of its own, CPU time
and peak RSS. The baseline of the growth is the step from 100 to 1,000 and from 1,000 to 5,000 rules: below quadratic.
"""

from __future__ import annotations

import json
import math
import random
import resource
import subprocess
import sys
import time
from typing import Any

VMS, GROUPS = 2000, 500
SIZES = (100, 1000, 5000)
GROUP, SERVICE = "/infra/domains/default/groups/", "/infra/services/"
TIERS = ("web", "app", "db")


def rows() -> list[dict[str, Any]]:
    """One object for each figure: name, value, unit, baseline, ratio, goal, met."""
    found = {size: _measured(size) for size in SIZES}
    thousand = found[1000]
    steps = [(small, large, _exponent(found, small, large)) for small, large in zip(SIZES, SIZES[1:], strict=False)]
    text = f"{thousand['classes']} classes, {thousand['verdict']}"
    return [
        _row("old-rules-1000", thousand["cpu"], "s CPU", None, None, "<= 60 s", thousand["cpu"] <= 60, text),
        _row("old-rules-memory", thousand["rss"], "MiB", None, None, "<= 1024", thousand["rss"] <= 1024, text),
        *(
            _row(
                f"old-rules-growth-{large}", found[large]["cpu"], "s CPU", found[small]["cpu"], power,
                "exponent < 2", power < 2, found[large]["verdict"],
            )
            for small, large, power in steps
        ),
    ]  # fmt: skip


def _exponent(found: dict[int, Any], small: int, large: int) -> float:
    return math.log(found[large]["cpu"] / found[small]["cpu"]) / math.log(large / small)


def _measured(size: int) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", __name__, str(size)], capture_output=True, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    print(f"  {size} rules: {measured}", file=sys.stderr, flush=True)
    return measured


def _row(
    name: str, value: float, unit: str, baseline: Any, ratio: Any, goal: str, met: bool, note: str
) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "baseline": baseline, "ratio": ratio, "goal": goal, "met": met,
            "note": note}  # fmt: skip


def estate(size: int) -> dict[str, Any]:
    """An NSX document with `size` rules: three in four between tiers of one application, others wider."""
    draw = random.Random(7)
    apps = VMS // 12
    vms, vnis = [], []
    for at in range(VMS):
        app, tier = at // 12, TIERS[at % 3]
        tags = [("app", f"a{app}"), ("tier", tier), ("env", "prod" if app % 4 else "test")]
        vms.append({"external_id": f"v{at}", "display_name": f"a{app}-{tier}-{at}",
                    "tags": [{"scope": scope, "tag": tag} for scope, tag in tags]})  # fmt: skip
        address = f"10.{app // 250}.{app % 250}.{at % 12 + 10}"
        vnis.append({"owner_vm_id": f"v{at}", "ip_address_info": [{"ip_addresses": [address]}]})
    groups = [_group(at, apps, draw) for at in range(GROUPS)]
    services = [_service(at, draw) for at in range(60)]
    policies = []
    for start in range(0, size, 20):
        category = ("Application", "Application", "Application", "Infrastructure", "Environment")[start // 20 % 5]
        listed = [_rule(f"{start + n}", n, draw) for n in range(min(20, size - start))]
        policies.append({"id": f"p{start}", "display_name": f"Policy {start}", "category": category,
                         "sequence_number": start + 1, "rules": listed})  # fmt: skip
    last = {"id": "default-layer3-section", "category": "Application", "sequence_number": 2147483647,
            "rules": [{"id": "d", "action": "DROP"}]}  # fmt: skip
    resources = {"groups": groups, "security_policies": [*policies, last]}
    return {"virtual_machines": vms, "virtual_network_interface": vnis, "services": services,
            "domains": [{"resources": resources}]}  # fmt: skip


def _group(at: int, apps: int, draw: random.Random) -> dict[str, Any]:
    def tag(value: str) -> dict[str, Any]:
        return {"resource_type": "Condition", "member_type": "VirtualMachine", "key": "Tag", "operator": "EQUALS",
                "value": value}  # fmt: skip

    both = {"resource_type": "ConjunctionOperator", "conjunction_operator": "AND"}
    if at % 100 == 0:
        nets = [f"172.{draw.randint(16, 31)}.{draw.randint(0, 255)}.0/{draw.randint(20, 28)}" for _ in range(4)]
        expression = [{"resource_type": "IPAddressExpression", "ip_addresses": nets}]
    elif at % 10 == 1:
        expression = [tag(f"app|a{draw.randrange(apps)}")]
    else:
        expression = [tag(f"app|a{draw.randrange(apps)}"), both, tag(f"tier|{draw.choice(TIERS)}")]
    return {"path": f"{GROUP}{at}", "display_name": f"group {at}", "expression": expression}


def _service(at: int, draw: random.Random) -> dict[str, Any]:
    low = draw.randint(1, 60000)
    ports = [str(low), f"{low + 10}-{low + 20}"] if at % 3 else [str(low)]
    entry = {"resource_type": "L4PortSetServiceEntry", "l4_protocol": draw.choice(["TCP", "TCP", "UDP"]),
             "destination_ports": ports}  # fmt: skip
    return {"path": f"{SERVICE}{at}", "service_entries": [entry]}


def _rule(name: str, number: int, draw: random.Random) -> dict[str, Any]:
    def side() -> list[str]:
        return (
            ["ANY"] if draw.random() < 0.01 else [f"{GROUP}{draw.randrange(GROUPS)}" for _ in range(draw.randint(1, 3))]
        )

    return {
        "id": name,
        "display_name": f"rule {name}",
        "sequence_number": number + 1,
        "action": draw.choice(["ALLOW", "ALLOW", "ALLOW", "DROP"]),
        "source_groups": side(),
        "destination_groups": side(),
        "sources_excluded": draw.random() < 0.005,
        "services": ["ANY"] if draw.random() < 0.1 else [f"{SERVICE}{draw.randrange(60)}" for _ in range(2)],
    }


def _one(size: int) -> dict[str, Any]:
    from bascule.translate.calico import translate
    from bascule.translate.nsx import read_nsx
    from bascule.translate.proof import prove

    document = estate(size)
    began = time.process_time()
    base = read_nsx([("nsx.json", document)])
    proof = prove(base, translate(base))
    cpu = time.process_time() - began
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu": round(cpu, 2), "rss": round(rss, 1), "verdict": proof.verdict, "classes": proof.classes,
            "reasons": list(proof.reasons[:2])}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(_one(int(sys.argv[1]))))
