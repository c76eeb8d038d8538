"""A NetworkAttachmentDefinition: its spec.config is JSON in a string (reference/calico-l2.md 2.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.resources.meta import Meta
from bascule.resources.read import dig, integer, mapping, strings, text


@dataclass(frozen=True, slots=True)
class Attachment:
    """`network` is "" and `vlan` None when not given; `problem` says why the config is no JSON object, else ""."""

    meta: Meta
    config: Mapping[str, Any]
    problem: str
    network: str
    vlan: int | None
    pools: tuple[str, ...]
    cni_version: str
    type: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Attachment:
        config, problem = _config(dig(document, "spec", "config"))
        return cls(
            meta=Meta.of(document),
            config=config,
            problem=problem,
            network=text(config.get("network")),
            vlan=integer(config.get("vlan")),
            pools=strings(dig(config, "ipam", "ipv4_pools")),
            cni_version=text(config.get("cniVersion")),
            type=text(config.get("type")),
        )

    @property
    def name(self) -> str:
        """`namespace/name`, as VMs refer to it."""
        return f"{self.meta.namespace}/{self.meta.name}"


def _config(raw: Any) -> tuple[Mapping[str, Any], str]:
    if not isinstance(raw, str):
        return {}, "it is missing" if raw is None else "it is not a string"
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        return {}, f"it is not JSON: {error}"
    return (mapping(value), "") if isinstance(value, Mapping) else ({}, "it is not a JSON object")
