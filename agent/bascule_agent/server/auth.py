"""Who may call: a bearer token always, checked by the cluster as kubelet checks its callers.

TokenReview says who the token is, SubjectAccessReview whether that user may do the verb on `agents.bascule.dev/<node>`
(contracts.md section 3). Answers are kept for seconds only, so a revoked token stops working soon, and a viewer that
opens ten streams does not ask ten times. Tokens are kept as hashes.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bascule.errors import RefusedError, UnreachableError

Create = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""`Cluster.create`: a review document in, the answered one out."""

ALLOWED_SECONDS = 10.0
DENIED_SECONDS = 2.0
CACHE_ENTRIES = 512


class UnauthenticatedError(RefusedError):
    """No token, or one the cluster does not know."""


@dataclass(frozen=True)
class Access:
    """What a method needs: SubjectAccessReview's verb and subresource on `agents.bascule.dev`."""

    verb: str
    subresource: str = ""


METHODS: Mapping[str, Access] = {
    "Node": Access("get"),
    "Flows": Access("get"),
    "Moves": Access("get"),
    "Probe": Access("create", "probe"),
    "SourceHalf": Access("get", "moves"),
    "TrunkProof": Access("create", "probe"),
    "Candidates": Access("get"),
    "Plan": Access("get"),
    "Confirm": Access("update", "changes"),
    "Rollback": Access("update", "changes"),
    "Policies": Access("get"),
    "Handover": Access("get", "moves"),
}


class Gate:
    """Checks callers of the agent of `name` (a node, or a probe point)."""

    def __init__(self, name: str, create: Create, now: Callable[[], float] = time.monotonic) -> None:
        self._name, self._create, self._now = name, create, now
        self._cache: OrderedDict[tuple[bytes, Access], tuple[float, str | None, RefusedError | None]] = OrderedDict()

    async def check(self, authorization: str | None, access: Access) -> str:
        """The caller's user name; UnauthenticatedError or RefusedError when it may not, UnreachableError when the
        cluster cannot be asked (which is not kept: nobody is let in, nobody is locked out for long)."""
        token = _bearer(authorization)
        key = hashlib.sha256(token.encode()).digest(), access
        kept = self._cache.get(key)
        if kept is None or kept[0] < self._now():
            kept = await self._ask(token, access)
            self._cache[key] = kept
            self._cache.move_to_end(key)
            while len(self._cache) > CACHE_ENTRIES:
                self._cache.popitem(last=False)
        _, user, refusal = kept
        if refusal is not None:
            raise refusal
        return user or ""

    async def _ask(self, token: str, access: Access) -> tuple[float, str | None, RefusedError | None]:
        try:
            user = await self._review(token, access)
        except RefusedError as refusal:
            return self._now() + DENIED_SECONDS, None, refusal
        return self._now() + ALLOWED_SECONDS, user, None

    async def _review(self, token: str, access: Access) -> str:
        review = await self._post("authentication.k8s.io/v1", "TokenReview", {"token": token})
        if not review.get("authenticated"):
            raise UnauthenticatedError(
                "the cluster does not know this token",
                cause=str(review.get("error") or "TokenReview answered authenticated: false"),
                fix="log in again, or check which cluster the kubeconfig's current context names",
            )
        who = review.get("user") or {}
        await self._authorize(who, access)
        return str(who.get("username", ""))

    async def _authorize(self, who: Mapping[str, Any], access: Access) -> None:
        attributes = {"group": "bascule.dev", "resource": "agents", "name": self._name, "verb": access.verb}
        if access.subresource:
            attributes["subresource"] = access.subresource
        body = {"user": who.get("username", ""), "groups": who.get("groups") or [], "resourceAttributes": attributes}
        answer = await self._post("authorization.k8s.io/v1", "SubjectAccessReview", body)
        if not answer.get("allowed"):
            resource = "agents" + (f"/{access.subresource}" if access.subresource else "")
            raise RefusedError(
                f"{who.get('username')} may not {access.verb} {resource}.bascule.dev {self._name}",
                cause=str(answer.get("reason") or "no role allows it"),
                fix=f"grant verb {access.verb} on resource {resource} of API group bascule.dev",
            )

    async def _post(self, api_version: str, kind: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        document = {"apiVersion": api_version, "kind": kind, "spec": dict(spec)}
        try:
            answer = await self._create(document)
        except RefusedError as error:  # the agent's own right is missing: that is no verdict on the caller
            raise UnreachableError(
                f"this agent may not create a {kind}", cause=str(error), fix="apply deploy/agent.yaml's ClusterRole"
            ) from error
        status = answer.get("status")
        if not isinstance(status, Mapping):
            raise UnreachableError(f"the cluster answered a {kind} without a status", fix="check the API server's log")
        return status


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError(
            "no bearer token", cause="the call carried no 'authorization: Bearer …' metadata", fix="send a token"
        )
    return token.strip()
