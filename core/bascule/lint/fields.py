"""The fields that exist, as the CRDs have them (reference/calico-l2.md 1.2, 2.1, 2.4), to name a mistyped one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.lint.policy_fields import POLICY_SCHEMAS
from bascule.lint.schema import ANY, FLAG, TEXT, TOP, WHOLE, List, Object
from bascule.lint.world import NAD, NETWORK, POOL, VM

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
        {**TOP, "spec": Object({"l2Bridge": _L2, "vrf": ANY}, one_of=("l2Bridge", "vrf"))}, required=("spec",)
    ),
    NAD: Object({**TOP, "spec": Object({"config": ANY})}, required=("spec",)),
    POOL: Object({**TOP, "spec": _POOL}, required=("spec",)),
    VM: Object(
        {
            **TOP,
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
    **POLICY_SCHEMAS,
}
"""By kind. Of a VM only what concerns its network is looked into: see `VM_PARTS`."""

VM_PARTS: tuple[tuple[tuple[str, ...], Any], ...] = (
    (("spec", "template", "spec", "networks"), List(_VM_NETWORK)),
    (("spec", "template", "spec", "domain", "devices", "interfaces"), List(_INTERFACE)),
)
