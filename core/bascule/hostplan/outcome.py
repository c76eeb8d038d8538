"""What a node says about one Network; the agent turns it into a condition on its Node."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class NetworkOutcome:
    """`ok` with reason Ready, or why not: TrunkMissing, DefaultRouteTrunk, ManagementPath, TrunkEnslaved, TrunkShared,
    TrunkUnsuitable, NotSelected, VlanNotCarried, NameTaken, NameTooLong, BadSelector, BadBridge,
    NetworkNotFound; of vlan_aware BridgeMissing, BridgeUnsuitable, BridgeRefused, BridgeShared, VlanConflict,
    TrunkInUse, DriverChange. The message starts with the Network's name. After VlanNotCarried and NameTaken the
    Network's other VLANs are built all the same."""

    network: str
    ok: bool
    reason: str
    message: str

    @classmethod
    def refuse(cls, network: str, reason: str, why: str) -> NetworkOutcome:
        return cls(network, False, reason, f"{network}: {why}")
