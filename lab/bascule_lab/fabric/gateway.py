"""The gateway and the outside host behind it.

The gateway has an access port and an address in every VLAN and routes between each VLAN and the outside, not between
VLANs: two VLANs are then apart at layer 3 as well, and a frame that crosses is a fault and nothing else.
"""

from __future__ import annotations

import subprocess

from bascule_agent.netlink import in_netns, sysctl
from bascule_lab.config import GATEWAY_MANAGEMENT, OUTSIDE_ADDRESS, OUTSIDE_ROUTER, VLANS, LabConfig
from bascule_lab.fabric.errors import FabricError
from bascule_lab.nodes import netns

MANAGEMENT_PORT = "m-gw"
_RULE_PRIORITY = 100


def access_port(vlan: int) -> str:
    """The switch port of the gateway in a VLAN."""
    return f"gw-{vlan}"


def interface(vlan: int) -> str:
    """The gateway's interface in a VLAN."""
    return f"vlan{vlan}"


def build(config: LabConfig) -> None:
    """Make both namespaces; the fabric's ends are left down. Blocking. Raises NetlinkError, FabricError."""
    fabric, gateway = netns.link_in(config.fabric), netns.make(config.gateway)
    for vlan in VLANS:
        fabric.add_veth(access_port(vlan), interface(vlan), peer_netns=config.gateway)
        _raise(config, interface(vlan), f"10.{vlan}.0.1/24")
    fabric.add_veth(MANAGEMENT_PORT, "mgmt0", peer_netns=config.gateway)
    _raise(config, "mgmt0", f"{GATEWAY_MANAGEMENT}/24")
    outside = netns.make(config.outside)
    gateway.add_veth("out0", "eth0", peer_netns=config.outside)
    _raise(config, "out0", f"{OUTSIDE_ROUTER}/24")
    link = outside.link("eth0").index
    outside.set(link, up=True)
    outside.add_address(link, f"{OUTSIDE_ADDRESS}/24")
    outside.add_route("default", via=OUTSIDE_ROUTER)
    for vlan in VLANS:
        _no_route_inside(config, vlan)
    # arp_ignore: else it answers in one VLAN for its address in another
    sysctl(config.gateway, {"net/ipv4/ip_forward": 1, "net/ipv4/conf/all/arp_ignore": 1})


def _raise(config: LabConfig, name: str, cidr: str) -> None:
    gateway = netns.link_in(config.gateway)
    index = gateway.link(name).index
    gateway.set(index, up=True)
    gateway.add_address(index, cidr)
    netns.like_a_nic(config.gateway, name)


def _no_route_inside(config: LabConfig, vlan: int) -> None:
    """From a VLAN to the rest of 10/8 (other VLANs, management, migration): prohibited."""
    rule = f"ip rule add priority {_RULE_PRIORITY} iif {interface(vlan)} to 10.0.0.0/8 prohibit".split()
    done = in_netns(config.gateway, lambda: subprocess.run(rule, capture_output=True, text=True, check=False))
    if done.returncode:
        raise FabricError("the gateway cannot keep VLANs apart", done.stderr.strip(), "apt-get install iproute2")
