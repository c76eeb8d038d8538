"""One node of the lab: a namespace with a trunk, a management link and a migration link to the fabric."""

from __future__ import annotations

from bascule_lab.config import API_ADDRESS, LabConfig, node_management, node_migration
from bascule_lab.nodes import netns


def trunk_port(node: str) -> str:
    """The switch port of a node's trunk."""
    return f"t-{node}"


def management_port(node: str) -> str:
    """The fabric's end of a node's management link."""
    return f"m-{node}"


def migration_port(node: str) -> str:
    """The fabric's end of a node's migration link."""
    return f"g-{node}"


def build(config: LabConfig, node: str) -> None:
    """Make the node's namespace and links; the fabric's ends are left down and unattached. Blocking. NetlinkError.

    `trunk0` is up and has no address: what is on it is the agent's business.
    """
    inside = netns.make(config.node(node))
    fabric = netns.link_in(config.fabric)
    for port, link in ((trunk_port, "trunk0"), (management_port, "mgmt0"), (migration_port, "mig0")):
        fabric.add_veth(port(node), link, peer_netns=config.node(node))
        inside.set(inside.link(link).index, up=True)
    inside.add_address(inside.link("mgmt0").index, f"{node_management(node)}/24")
    inside.add_address(inside.link("mig0").index, f"{node_migration(node)}/24")


def route(config: LabConfig, node: str) -> None:
    """The default route over the management link, once that link is joined to the fabric. Blocking. NetlinkError."""
    netns.link_in(config.node(node)).add_route("default", via=API_ADDRESS)
