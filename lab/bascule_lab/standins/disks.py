"""The disks of a VMI: whether they are there and filled, whether two nodes may share them, which files they are.

Reasons and messages are KubeVirt's (pkg/virt-controller/watch).
"""

from __future__ import annotations

from pathlib import Path

from bascule.resources.cdi import Claim
from bascule_kube.kinds import DATAVOLUME, PVC
from bascule_lab.guests.errors import GuestError
from bascule_lab.standins import claims, objects
from bascule_lab.standins.volumes import Volumes
from bascule_lab.standins.world import Key, Obj, World


class VmDisks:
    """Asked by the KubeVirt and the kubelet stand-in."""

    def __init__(self, world: World, volumes: Volumes) -> None:
        self._world = world
        self._volumes = volumes

    def lacking(self, vmi: Obj) -> tuple[str, str] | None:
        """(reason, message) of what a VMI's disks still lack, None when it can be booted."""
        namespace = vmi["metadata"]["namespace"]
        for name in objects.claims(vmi):
            claim = self._world.get(PVC, (namespace, name))
            if claim is None:
                return "FailedPvcNotFound", f"PVC {namespace}/{name} does not exist, waiting for it to appear"
            if (claim.get("status") or {}).get("phase") != "Bound":
                return "PVCNotReady", f"PVC {name} is in phase {(claim.get('status') or {}).get('phase')}"
            if not self._filled(claim):
                volume = self._world.get(DATAVOLUME, (namespace, name)) or {}
                phase = (volume.get("status") or {}).get("phase", "unknown")
                return "NotAllDVsReady", f"Not all of the VMI's DVs are ready: {name} is {phase}"
        return None

    def _filled(self, claim: Obj) -> bool:
        arrived = not claims.owner_of(claim) or claims.is_done(claim)
        return arrived and self._volumes.filled(claim)

    def shared(self, vmi: Obj) -> list[str]:
        """The claims of a VMI that pods on two nodes may write at once."""
        found = ((name, self._world.get(PVC, (vmi["metadata"]["namespace"], name))) for name in objects.claims(vmi))
        return [name for name, claim in found if claim is not None and Claim.of(claim).shared]

    def files(self, vmi: Obj) -> tuple[Path, ...]:
        """The files of a VMI's disks, in order. Raises GuestError when a claim is gone."""
        found = []
        for name in objects.claims(vmi):
            key: Key = (vmi["metadata"]["namespace"], name)
            claim = self._world.get(PVC, key)
            if claim is None or not self._volumes.filled(claim):
                raise GuestError(f"{vmi['metadata']['name']}: there is nothing in its claim {name}")
            found.append(self._volumes.disk(claim))
        return tuple(found)
