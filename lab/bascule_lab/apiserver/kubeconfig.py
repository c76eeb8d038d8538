"""Kubeconfig files for the lab's users, mode 0600."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import yaml

from bascule_lab.apiserver.state import write_private

CLUSTER = "bascule-lab"


def write_kubeconfig(path: Path, server_url: str, ca_pem: str, contexts: Mapping[str, str], current: str) -> None:
    """One cluster, and per context (name → bearer token) a user of the context's name.

    Its directory is made (0700) when missing. Raises KeyError when `current` is none of the contexts.
    """
    if current not in contexts:
        raise KeyError(current)
    authority = base64.b64encode(ca_pem.encode()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CLUSTER, "cluster": {"server": server_url, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"token": token}} for name, token in contexts.items()],
        "contexts": [{"name": name, "context": {"cluster": CLUSTER, "user": name}} for name in contexts],
        "current-context": current,
    }
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, yaml.safe_dump(document, sort_keys=False).encode())
