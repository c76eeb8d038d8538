"""The stand-in for CDI's controllers and for a storage provisioner: DataVolume → claim → volume, and their end.

A claim that no DataVolume made gets an empty volume at once. A claim that a pod uses is protected, as Kubernetes does
it: it goes when the pod has gone, and its file with it.
"""

from __future__ import annotations

import logging

from bascule.resources.cdi import POD_PHASE
from bascule_kube.errors import AlreadyExists
from bascule_kube.kinds import CDICONFIG, DATAVOLUME, POD, PVC
from bascule_lab.apiserver.hooks import PVC_PROTECTION
from bascule_lab.standins import claims
from bascule_lab.standins.volumes import Volumes
from bascule_lab.standins.world import Key, Obj, World, condition, key_of, with_condition

log = logging.getLogger(__name__)
_UNSUPPORTED = "the lab's CDI takes uploads only, into a claim whose size is given"


class Cdi:
    """Keeps claims as the DataVolumes ask. `publish` first: clients find the upload proxy there."""

    def __init__(self, world: World, volumes: Volumes) -> None:
        self._world = world
        self._volumes = volumes

    async def publish(self, proxy_url: str) -> None:
        """CDIConfig `config` with the upload proxy's URL. No space is reserved for a file system: there is none."""
        try:
            await self._world.create(CDICONFIG.of("config") | {"spec": {}})
        except AlreadyExists:
            log.info("CDIConfig config is there already")
        status = {"uploadProxyURL": proxy_url, "preallocation": False, "filesystemOverhead": {"global": "0"}}
        await self._world.set_status(CDICONFIG, ("", "config"), status)

    async def reconcile_volume(self, key: Key) -> None:
        """DataVolume → claim, and its status from the claim's."""
        volume = self._world.get(DATAVOLUME, key)
        if volume is None or volume["metadata"].get("deletionTimestamp"):
            return
        if (volume["spec"].get("source") or {}).get("upload") is None or not claims.wanted_size(
            claims.storage_of(volume)
        ):
            await self._pending(volume, "Unsupported", _UNSUPPORTED)
            return
        claim = self._world.get(PVC, key)
        if claim is None:
            await self._tell(volume, None)
            try:
                await self._world.create(claims.claim_of(volume))
            except AlreadyExists:
                log.info("PVC %s/%s is not in the cache yet", *key)
        elif claims.owner_of(claim) != volume["metadata"]["uid"]:
            message = f'Resource "{key[1]}" already exists and is not managed by DataVolume'
            await self._pending(volume, "ErrResourceExists", message)
        else:
            await self._tell(volume, claim)

    async def _tell(self, volume: Obj, claim: Obj | None) -> None:
        new = claims.volume_status(volume, claim)
        phase = (volume.get("status") or {}).get("phase")
        # what has arrived is told by `arrived`, which the cache of claims may not have heard of yet
        if phase != new["phase"] and (phase, new["phase"]) != ("Succeeded", "UploadReady"):
            await self._world.set_status(DATAVOLUME, key_of(volume), new)

    async def _pending(self, volume: Obj, reason: str, message: str) -> None:
        said = (volume.get("status") or {}).get("conditions") or []
        if not any(each["message"] == message for each in said):
            await self._world.event(volume, "Warning", reason, message)
            conditions = with_condition(volume, condition("Bound", False, reason, message))
            await self._world.set_status(DATAVOLUME, key_of(volume), {"phase": "Pending", "conditions": conditions})

    async def reconcile_claim(self, key: Key) -> None:
        """Bind a new claim; take away one that was deleted and that nobody uses."""
        claim = self._world.get(PVC, key)
        if claim is None:
            return
        if claim["metadata"].get("deletionTimestamp"):
            await self._release(claim)
        elif (claim.get("status") or {}).get("phase") != "Bound":
            size = claims.wanted_size(claim["spec"])
            if not size:
                return
            if not claims.owner_of(claim):
                self._volumes.blank(claim, size)
            await self._world.set_status(PVC, key, claims.bound(claim, size))

    async def _release(self, claim: Obj) -> None:
        held = claim["metadata"].get("finalizers") or []
        if PVC_PROTECTION in held and not self.in_use(key_of(claim)):
            self._volumes.drop(claim)
            await self._world.set_finalizers(PVC, key_of(claim), [name for name in held if name != PVC_PROTECTION])

    def in_use(self, claim: Key) -> bool:
        """Whether a pod that has not ended has the claim among its volumes."""
        for pod in self._world.all(POD):
            if pod["metadata"]["namespace"] != claim[0] or pod["status"].get("phase") in ("Failed", "Succeeded"):
                continue
            volumes = pod["spec"].get("volumes") or ()
            if any((each.get("persistentVolumeClaim") or {}).get("claimName") == claim[1] for each in volumes):
                return True
        return False

    async def arrived(self, claim: Obj) -> None:
        """The claim's upload has ended well: it and its DataVolume say so before the uploader hears of it."""
        await self._world.annotate(PVC, key_of(claim), {POD_PHASE: "Succeeded", claims.POD_READY: "false"})
        volume = self._world.get(DATAVOLUME, key_of(claim))
        if volume is not None:
            done = {**claim, "metadata": {**claim["metadata"], "annotations": {POD_PHASE: "Succeeded"}}}
            await self._world.set_status(DATAVOLUME, key_of(volume), claims.volume_status(volume, done))
