"""Which danger actions this user may take: SelfSubjectAccessReview, asked once per context and right.

A right counts as granted when the cluster grants it in every namespace, or in the context's own. While the cluster does
not answer, it is asked again; a cluster that refuses the question has not granted anything.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from bascule.errors import BasculeError, RefusedError
from bascule.watch.backoff import Backoff
from bascule_console.actions.model import Need
from bascule_console.actions.registry import needs
from bascule_console.store.rights import Rights
from bascule_kube import Cluster
from bascule_kube.kinds import SELFSUBJECTACCESSREVIEW


async def granted(cluster: Cluster, need: Need, namespace: str = "") -> bool:
    """Whether this user has the right in `namespace`, or in all of them. Raises BasculeError."""
    attributes = {"verb": need.verb, "group": need.group, "resource": need.resource, "namespace": namespace}
    if need.subresource:
        attributes["subresource"] = need.subresource
    kind = SELFSUBJECTACCESSREVIEW
    review: dict[str, Any] = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {}}
    answer = await cluster.create({**review, "spec": {"resourceAttributes": attributes}})
    return bool((answer.get("status") or {}).get("allowed"))


async def ask(cluster: Cluster, rights: Rights) -> None:
    """Ask for every right that a danger action needs, until each is answered."""
    await asyncio.gather(*(_settle(cluster, need, rights) for need in needs()))


async def _settle(cluster: Cluster, need: Need, rights: Rights) -> None:
    delays = Backoff(random.random, base=0.5, cap=10.0)
    while True:
        try:
            rights.answer(need, await granted(cluster, need) or await granted(cluster, need, cluster.namespace))
            return
        except RefusedError:
            rights.answer(need, False)
            return
        except BasculeError:
            await asyncio.sleep(delays.next())
