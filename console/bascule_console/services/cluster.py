"""Opening a cluster: for the length of one command, or for a session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bascule.errors import UnreachableError
from bascule_console.services.credentials import Access, settle
from bascule_console.services.secrets import Secret
from bascule_kube import Cluster, Kind
from bascule_kube.cluster import Objects
from bascule_kube.errors import Forbidden, NotFound
from bascule_kube.exec_credentials import Credential, ExecCredentials


class _Given(ExecCredentials):
    """A token that was asked for, where bascule_kube expects what an exec plugin gave."""

    def __init__(self, token: Secret) -> None:
        super().__init__({}, Path())
        self._token = token

    async def current(self) -> Credential:
        """The same always: a token that expired has to be asked for again, by a new start."""
        return Credential(self._token.reveal(), "", "", None)

    def expire(self) -> None:
        """Nothing renews it."""


async def open_cluster(access: Access) -> Cluster:
    """The cluster of a kubeconfig's context, with the token that was asked for. Raises KubeconfigError and others."""
    if access.token is None:
        return await Cluster.open(access.kubeconfig, access.context)
    from bascule_kube.config import install_credential, open_client  # here, because it imports kubernetes
    from bascule_kube.transport import Transport

    client = await open_client(access.kubeconfig, access.context)
    await install_credential(client.api, _Given(access.token))
    return Cluster(Transport(client))


@asynccontextmanager
async def connect(access: Access) -> AsyncIterator[Cluster]:
    """The opened cluster, closed at the end. An unreachable one is named with where its address came from."""
    cluster = await open_cluster(settle(access))
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
