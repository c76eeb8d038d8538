"""What each step made, as a digest to compare by and in words: so that a changed answer's effect can be told."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from bascule.migration.plan_document import as_dict
from bascule.migration.readiness import as_dict as assessment
from bascule_console.services.wizard import (
    page_assess,
    page_identity,
    page_networks,
    page_policies,
    page_source,
    page_waves,
)
from bascule_console.services.wizard.made import Made


def digests(made: Made) -> dict[str, tuple[str, str]]:
    """Step → (digest, words), for the steps up to review that could be made."""
    found: dict[str, tuple[str, str]] = {}
    if made.estate is not None:
        found["source"] = _digest([each.sha256 for each in made.estate.sources]), page_source.summary(made)
    if made.found is not None:
        judged = assessment(made.found)
        found["assess"] = _digest([judged["questions"], judged["checks"]]), page_assess.summary(made)
    if made.plan is not None:
        plan = as_dict(made.plan)
        files = plan["policy"]["files"]
        vms = [{key: value for key, value in vm.items() if key != "wave"} for vm in plan["vms"]]
        labelled = [{**vm, "labels": {k: v for k, v in vm["labels"].items() if k != "bascule.dev/wave"}} for vm in vms]
        found["networks"] = _digest([plan["segments"], plan["trunks"]]), page_networks.summary(made)
        found["identity"] = _digest(labelled), page_identity.summary(made)
        found["policies"] = _digest(files), page_policies.summary(made)
        found["waves"] = _digest(plan["waves"]), page_waves.summary(made)
        found["review"] = _digest([plan, files]), page_waves.summary(made)
    return found


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
