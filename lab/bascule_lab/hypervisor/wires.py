"""The old side's namespace: a plain bridge per VLAN, each joined to an access port of the fabric's switch.

An access port per VLAN, because this kernel has no VLAN devices to take a trunk apart; for the VMs it is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bascule_agent.netlink import list_netns, sysctl
from bascule_lab.config import VLANS, LabConfig
from bascule_lab.fabric.switch import Switch
from bascule_lab.hypervisor.estate import HOST_NUMBER
from bascule_lab.hypervisor.xml import bridge
from bascule_lab.nodes import netns


def access_port(vlan: int) -> str:
    """The switch port of the old side in a VLAN."""
    return f"old-{vlan}"


def host_address(vlan: int) -> str:
    """The old host's own address in a VLAN."""
    return f"10.{vlan}.0.{HOST_NUMBER}"


def build(config: LabConfig) -> None:
    """Make the namespace and join it to the running fabric. Blocking. Raises NetlinkError, BpfError, FabricError."""
    old = netns.make(config.old)
    # each VLAN has its own address here: it answers for it there only
    sysctl(config.old, {"net/ipv4/conf/all/arp_ignore": 1})
    with _switch(config) as switch:
        for vlan in VLANS:
            made = old.add_bridge(bridge(vlan), netns.fixed_mac(config.old, bridge(vlan)))
            old.set(made.index, up=True)
            old.add_address(made.index, f"{host_address(vlan)}/24")
            uplink = f"up{vlan}"
            netns.link_in(config.fabric).add_veth(access_port(vlan), uplink, peer_netns=config.old)
            old.set(old.link(uplink).index, master=made.index)
            old.set(old.link(uplink).index, up=True)
            netns.like_a_nic(config.old, uplink)
            switch.add_port(access_port(vlan), native=vlan, trunk=False, vlans=(vlan,))


def remove(config: LabConfig) -> None:
    """Take the switch ports and the namespace away; no error for what is not there. Blocking."""
    if list_netns(config.fabric) and config.bpffs.exists():
        with _switch(config) as switch:
            for vlan in VLANS:
                port = netns.link_in(config.fabric).find(access_port(vlan))
                if port is not None:
                    switch.remove_port(port.name)
                    netns.link_in(config.fabric).delete(port.index)
    netns.remove(config.old)


@contextmanager
def _switch(config: LabConfig) -> Iterator[Switch]:
    switch = Switch(config)
    try:
        yield switch
    finally:
        switch.close()
