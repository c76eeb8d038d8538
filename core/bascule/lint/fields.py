"""The fields that exist, as the CRDs have them (reference/calico-l2.md 1.2, 2.1, 2.4), to name a mistyped one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bascule.lint.world import NAD, NETWORK, POOL, VM


@dataclass(frozen=True)
class Object:
    """Known fields; `required` ones must be there, and exactly one of `one_of` when it is given."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class List:
    items: Any
    least: int = 0


@dataclass(frozen=True)
class Scalar:
    """One JSON type: str, int or bool."""

    type: type
    name: str


ANY = object()
"""Not looked into: another rule does, or it is not ours to judge."""

TEXT, WHOLE, FLAG = Scalar(str, "a string"), Scalar(int, "an integer"), Scalar(bool, "true or false")
_TOP = {"apiVersion": TEXT, "kind": TEXT, "metadata": ANY, "status": ANY}

_ROUTE = Object(
    {"destination": TEXT, "action": Object({"nextHop": TEXT}, ("nextHop",))}, required=("destination", "action")
)
_VLAN = Object({"id": WHOLE, "range": Object({"start": WHOLE, "end": WHOLE}, ("start", "end"))}, one_of=("id", "range"))
_ENTRY = Object(
    {"vlan": _VLAN, "subnets": List(Object({"cidr": TEXT, "routes": List(_ROUTE)}, ("cidr",)))}, required=("vlan",)
)
_TRUNK_PORT = Object({"interface": Object({"name": TEXT}, ("name",)), "nativeVLAN": WHOLE}, required=("interface",))
_BRIDGE = Object(
    {"managedBridge": Object({"stp": ANY}), "existingBridge": Object({"name": TEXT}, ("name",))},
    one_of=("managedBridge", "existingBridge"),
)
_HOST = Object(
    {
        "nodeSelector": TEXT,
        "bridge": _BRIDGE,
        "hostConnections": List(Object({"trunkPort": _TRUNK_PORT}, ("trunkPort",))),
    },
    required=("bridge",),
)
_L2 = Object({"hostConfig": List(_HOST, least=1), "vlans": List(_ENTRY, least=1)}, required=("hostConfig", "vlans"))
_POOL = Object(
    {
        "cidr": TEXT,
        "blockSize": WHOLE,
        "allowedUses": List(TEXT),
        "disableBGPExport": FLAG,
        "ipipMode": TEXT,
        "vxlanMode": TEXT,
        "natOutgoing": FLAG,
        "nodeSelector": TEXT,
        "namespaceSelector": TEXT,
        "assignmentMode": TEXT,
        "disabled": FLAG,
        "awsSubnetID": TEXT,
    },
    required=("cidr",),
)
_BINDINGS = ("bridge", "masquerade", "sriov", "slirp", "macvtap", "passt", "passtBinding", "binding")
_SETTINGS = ("model", "ports", "bootOrder", "pciAddress", "dhcpOptions", "tag", "acpiIndex", "state")
_INTERFACE = Object({**dict.fromkeys((*_BINDINGS, *_SETTINGS), ANY), "name": TEXT, "macAddress": TEXT}, ("name",))
_VM_NETWORK = Object(
    {"name": TEXT, "pod": ANY, "multus": Object({"networkName": TEXT, "default": FLAG}, ("networkName",))}, ("name",)
)

SCHEMAS: Mapping[str, Object] = {
    NETWORK: Object(
        {**_TOP, "spec": Object({"l2Bridge": _L2, "vrf": ANY}, one_of=("l2Bridge", "vrf"))}, required=("spec",)
    ),
    NAD: Object({**_TOP, "spec": Object({"config": ANY})}, required=("spec",)),
    POOL: Object({**_TOP, "spec": _POOL}, required=("spec",)),
    VM: Object(
        {
            **_TOP,
            "spec": Object(
                {
                    **dict.fromkeys(
                        ("running", "runStrategy", "instancetype", "preference", "dataVolumeTemplates"), ANY
                    ),
                    "updateVolumesStrategy": ANY,
                    "template": ANY,
                },
                required=("template",),
            ),
        },
        required=("spec",),
    ),
}
"""By kind. Of a VM only what concerns its network is looked into: see `VM_PARTS`."""

VM_PARTS: tuple[tuple[tuple[str, ...], Any], ...] = (
    (("spec", "template", "spec", "networks"), List(_VM_NETWORK)),
    (("spec", "template", "spec", "domain", "devices", "interfaces"), List(_INTERFACE)),
)
