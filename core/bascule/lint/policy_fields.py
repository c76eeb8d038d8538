"""The fields of policies, tiers and sets (reference/calico-l2.md 7.2; Kubernetes' networking.k8s.io/v1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.lint.schema import ANY, FLAG, TEXT, TOP, List, Object
from bascule.resources.policy import (
    GLOBAL_POLICY,
    KUBERNETES_POLICY,
    NETWORK_POLICY,
    STAGED_GLOBAL,
    STAGED_KUBERNETES,
    STAGED_POLICY,
)
from bascule.resources.policy_sets import GLOBAL_SET, NETWORK_SET, TIER

_ACCOUNTS = Object({"names": List(TEXT), "selector": TEXT})
_ENTITY = Object(
    {
        **dict.fromkeys(("selector", "notSelector", "namespaceSelector"), TEXT),
        **dict.fromkeys(("nets", "notNets", "ports", "notPorts"), List(ANY)),
        "serviceAccounts": _ACCOUNTS,
        "services": Object({"name": TEXT, "namespace": TEXT}),
        "domains": List(TEXT),
    }
)
_ICMP = Object({"type": ANY, "code": ANY})
_RULE = Object(
    {
        **dict.fromkeys(("action", "protocol", "notProtocol", "ipVersion", "http"), ANY),
        **dict.fromkeys(("source", "destination"), _ENTITY),
        **dict.fromkeys(("icmp", "notICMP"), _ICMP),
        "metadata": Object({"annotations": ANY}),
    }
)
_COMMON: dict[str, Any] = {
    "tier": TEXT,
    "order": ANY,
    "selector": TEXT,
    "serviceAccountSelector": TEXT,
    "types": List(ANY),
    "ingress": List(_RULE),
    "egress": List(_RULE),
    "performanceHints": List(TEXT),
}
_GLOBAL = {
    **_COMMON,
    "namespaceSelector": TEXT,
    **dict.fromkeys(("doNotTrack", "preDNAT", "applyOnForward"), FLAG),
}
_LABELS = Object(
    {"matchLabels": ANY, "matchExpressions": List(Object({"key": TEXT, "operator": ANY, "values": List(TEXT)}))}
)
_PEER = Object(
    {
        "podSelector": _LABELS,
        "namespaceSelector": _LABELS,
        "ipBlock": Object({"cidr": ANY, "except": List(ANY)}, required=("cidr",)),
    }
)
_PORT = Object(dict.fromkeys(("protocol", "port", "endPort"), ANY))
_KUBERNETES = {
    "podSelector": _LABELS,
    "policyTypes": List(ANY),
    "ingress": List(Object({"from": List(_PEER), "ports": List(_PORT)})),
    "egress": List(Object({"to": List(_PEER), "ports": List(_PORT)})),
}
_STAGED = {"stagedAction": ANY}


def _with(spec: Mapping[str, Any], needed: bool = True) -> Object:
    return Object({**TOP, "spec": Object(spec)}, required=("spec",) if needed else ())


POLICY_SCHEMAS: Mapping[str, Object] = {
    NETWORK_POLICY: _with(_COMMON),
    GLOBAL_POLICY: _with(_GLOBAL),
    STAGED_POLICY: _with({**_COMMON, **_STAGED}),
    STAGED_GLOBAL: _with({**_GLOBAL, **_STAGED}),
    STAGED_KUBERNETES: _with({**_KUBERNETES, **_STAGED}),
    KUBERNETES_POLICY: _with(_KUBERNETES),
    TIER: _with({"order": ANY, "defaultAction": ANY}, needed=False),
    **dict.fromkeys(
        (NETWORK_SET, GLOBAL_SET), _with({"nets": List(ANY), "allowedEgressDomains": List(TEXT)}, needed=False)
    ),
}
