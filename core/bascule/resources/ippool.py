"""An IPPool (reference/calico-l2.md 2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from bascule.resources.meta import Meta
from bascule.resources.network import ipv4_network
from bascule.resources.read import dig, integer, strings, text

L2_WORKLOAD = "L2Workload"
DEFAULT_BLOCK_SIZE = 26


@dataclass(frozen=True, slots=True)
class IPPool:
    """`cidr` as written, `network` None when it is not IPv4; `block_size` is Calico's default 26 when not given."""

    meta: Meta
    cidr: str
    network: IPv4Network | None
    block_size: int
    allowed_uses: tuple[str, ...]
    disable_bgp_export: bool
    ipip_mode: str
    vxlan_mode: str
    disabled: bool

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> IPPool:
        spec = dig(document, "spec")
        cidr, size = text(dig(spec, "cidr")), integer(dig(spec, "blockSize"))
        return cls(
            meta=Meta.of(document),
            cidr=cidr,
            network=ipv4_network(cidr),
            block_size=DEFAULT_BLOCK_SIZE if size is None else size,
            allowed_uses=strings(dig(spec, "allowedUses")),
            disable_bgp_export=dig(spec, "disableBGPExport") is True,
            ipip_mode=text(dig(spec, "ipipMode")) or "Never",
            vxlan_mode=text(dig(spec, "vxlanMode")) or "Never",
            disabled=dig(spec, "disabled") is True,
        )

    @property
    def name(self) -> str:
        return self.meta.name

    @property
    def l2(self) -> bool:
        return L2_WORKLOAD in self.allowed_uses
