"""A cluster for the length of one command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bascule.errors import UnreachableError
from bascule_console.services.credentials import Access
from bascule_kube import Cluster, Kind
from bascule_kube.cluster import Objects
from bascule_kube.errors import Forbidden, NotFound


@asynccontextmanager
async def connect(access: Access) -> AsyncIterator[Cluster]:
    """The opened cluster, closed at the end. An unreachable one is named with where its address came from."""
    cluster = await Cluster.open(access.kubeconfig, access.context)
    try:
        yield cluster
    except UnreachableError as error:
        if access.source not in error.cause:
            error.cause = f"{error.cause} (context {cluster.context}, from {access.source})"
        raise
    finally:
        await cluster.close()


async def list_if_served(cluster: Cluster, kind: Kind) -> Objects:
    """Every object of a kind; none when the cluster does not serve it or this user may not list it."""
    try:
        return await cluster.list(kind)
    except (NotFound, Forbidden):
        return []
