"""Faults at the switch of a running lab, from any process: a VLAN taken off a node's port, a link cut, and both undone.

Raises FaultError when no lab runs, FabricError when the port does not carry the VLAN.
"""

from __future__ import annotations

from collections.abc import Callable

from bascule_lab.config import LabConfig
from bascule_lab.fabric.switch import Switch
from bascule_lab.faults.errors import FaultError
from bascule_lab.nodes import netns
from bascule_lab.nodes.node import trunk_port


async def deny_vlan(config: LabConfig, node: str, vlan: int) -> None:
    """Take a VLAN off a node's switch port: its frames are dropped there both ways, as on a misconfigured switch."""
    await netns.net(_change, config, lambda switch: switch.deny(trunk_port(node), vlan))


async def allow_vlan(config: LabConfig, node: str, vlan: int) -> None:
    """Put a VLAN on a node's switch port."""
    await netns.net(_change, config, lambda switch: switch.allow(trunk_port(node), vlan))


async def cut(config: LabConfig, node: str) -> None:
    """Set a node's switch port down: the node loses carrier on its trunk."""
    await netns.net(_change, config, lambda switch: switch.set_port(trunk_port(node), False))


async def restore(config: LabConfig, node: str) -> None:
    """Set a node's switch port up again."""
    await netns.net(_change, config, lambda switch: switch.set_port(trunk_port(node), True))


def _change(config: LabConfig, act: Callable[[Switch], None]) -> None:
    if config.fabric not in netns.list_netns(config.fabric):
        raise FaultError("no lab is running", f"there is no network namespace {config.fabric}", "bascule lab up")
    switch = Switch(config)
    try:
        act(switch)
    finally:
        switch.close()
