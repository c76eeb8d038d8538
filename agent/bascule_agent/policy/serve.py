"""Policy's methods without their transport: what the server delegates to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from bascule.errors import UsageError
from bascule.flows.names import PortId
from bascule_agent.policy.policies import Policies


class PolicyService:
    """`ports()` are the ports here and those that went in the last minute; `drain()` empties the flow maps now."""

    def __init__(
        self,
        policies: Policies,
        ports: Callable[[], Iterable[PortId]],
        drain: Callable[[], Awaitable[Any]],
    ) -> None:
        self._policies, self._ports, self._drain = policies, ports, drain

    async def document(self) -> dict[str, Any]:
        """What is in force here."""
        return await self._policies.document()

    async def hand_over(self, mac: str, vlan: int, last: bool) -> tuple[str, bytes]:
        """(JSON of the counters, connections) of a NIC; UsageError when it has no port here."""
        port = next((each for each in self._ports() if (each.mac, each.vlan) == (mac, vlan)), None)
        if port is None:
            raise UsageError(f"no port of {mac} on VLAN {vlan} here", cause="it never was here, or went a minute ago")
        if last:
            await self._drain()
        return await self._policies.hand_over(port.ifindex)

    def names(self, rules: Iterable[int]) -> dict[int, str]:
        """Rule ids in words."""
        return self._policies.names(rules)
