"""Faults in the fabric of a running lab, from any process: a VLAN taken off a node's port, a link cut, and both undone.

Raises FaultError when no lab runs, FabricError when the port does not carry the VLAN.
"""

from __future__ import annotations

from collections.abc import Callable

from bascule_lab.config import LabConfig
from bascule_lab.fabric.switch import Switch
from bascule_lab.faults.errors import FaultError
from bascule_lab.nodes import netns
from bascule_lab.nodes.node import management_port, migration_port, trunk_port

LINKS = ("trunk", "migration", "management")
_ENDS = {"migration": migration_port, "management": management_port}


async def deny_vlan(config: LabConfig, node: str, vlan: int) -> None:
    """Take a VLAN off a node's switch port: its frames are dropped there both ways, as on a misconfigured switch."""
    await netns.net(_change, config, lambda switch: switch.deny(trunk_port(node), vlan))


async def allow_vlan(config: LabConfig, node: str, vlan: int) -> None:
    """Put a VLAN on a node's switch port."""
    await netns.net(_change, config, lambda switch: switch.allow(trunk_port(node), vlan))


async def cut(config: LabConfig, node: str, link: str = "trunk") -> None:
    """Set the fabric's end of one of a node's links down: the node loses carrier on it."""
    await netns.net(_set, config, node, link, False)


async def restore(config: LabConfig, node: str, link: str = "trunk") -> None:
    """Set the fabric's end of a link up again."""
    await netns.net(_set, config, node, link, True)


def _set(config: LabConfig, node: str, link: str, up: bool) -> None:
    if link == "trunk":
        _change(config, lambda switch: switch.set_port(trunk_port(node), up))
        return
    _refuse_without_lab(config)
    fabric = netns.link_in(config.fabric)
    fabric.set(fabric.link(_ENDS[link](node)).index, up=up)


def _refuse_without_lab(config: LabConfig) -> None:
    if config.fabric not in netns.list_netns(config.fabric):
        raise FaultError("no lab is running", f"there is no network namespace {config.fabric}", "bascule lab up")


def _change(config: LabConfig, act: Callable[[Switch], None]) -> None:
    _refuse_without_lab(config)
    switch = Switch(config)
    try:
        act(switch)
    finally:
        switch.close()
