"""Which link leads into a Network's VLAN on this node: its bridge, or the trunk with the VLAN's tag."""

from __future__ import annotations

from collections.abc import Callable

from bascule.hostplan.observed import Observed
from bascule.resources.meta import Meta
from bascule.resources.network import Network
from bascule.resources.pod import PodNic
from bascule.trunks.questions import config_of
from bascule_agent.moves import FabricWatch
from bascule_agent.probes import Way
from bascule_agent.watch import Known


class Places:
    """Asked on the event loop; `known` and `observed` are what the last pass had."""

    def __init__(self, known: Callable[[], Known], observed: Callable[[], Observed], speak: bool) -> None:
        self._known, self._observed, self._speak = known, observed, speak

    def into(self, network: str, vlan: int) -> Way | None:
        """The bridge of this VLAN where there is one, so that an answer ends here and floods to nobody; else the
        trunk."""
        for link in self._observed().links:
            owner = link.owner
            if owner is not None and (owner.role, owner.network, owner.vid) == ("b", network, vlan) and link.up:
                return Way(link.name)
        return self.trunk(network, vlan)

    def trunk(self, network: str, vlan: int) -> Way | None:
        """The trunk that carries the VLAN, and its tag there."""
        known = self._known()
        document = next((d for d in known.networks if Meta.of(d).name == network), None)
        config = config_of(Network.of(document), Meta.of(known.node).labels) if document else None
        if config is None or config.trunk is None:
            return None
        return Way(config.trunk.interface, None if config.trunk.native_vlan == vlan else vlan)

    def fabric(self, nic: PodNic) -> FabricWatch | None:
        """A watch on the trunk that leads to this NIC's VLAN; None when the Network has none here."""
        way = self.trunk(nic.network, nic.vlan)
        return None if way is None else FabricWatch(way.link, way.tag, nic.mac, nic.ip, self._speak)
