"""Which cluster, as whom: --kubeconfig, else $KUBECONFIG, else ~/.kube/config, else the running lab's.

`settle` looks into the kubeconfig before the app takes the terminal: it finds the context's name, for its settings, and
asks for the token of a user that has no credential of its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bascule.errors import RefusedError, UnreachableError
from bascule_console.services.secrets import Secret, obtain


@dataclass(frozen=True, slots=True)
class Access:
    """`kubeconfig` None means $KUBECONFIG (which may list several files); `source` says in words where it came from."""

    kubeconfig: Path | None
    context: str | None
    source: str
    token: Secret | None = None


CREDENTIALS = frozenset(
    {
        *("token", "tokenFile", "exec", "auth-provider", "username"),
        *("client-certificate", "client-certificate-data"),
    }
)


def lab_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The lab's state directory (docs/design/contracts.md section 1)."""
    return Path(environ.get("BASCULE_LAB_DIR") or "/run/bascule-lab")


def choose(
    kubeconfig: Path | None,
    context: str | None,
    lab: bool,
    environ: Mapping[str, str] = os.environ,
    home: Path | None = None,
) -> Access:
    """Choose, without reading any of the files.

    Raises RefusedError when `lab` is asked for and none runs, UnreachableError when there is no cluster at all.
    """
    of_lab = lab_dir(environ) / "kubeconfig"
    if lab:
        if not of_lab.exists():
            raise RefusedError("no lab is running", f"{of_lab} is not there", "bascule lab up")
        return Access(of_lab, context, "the running lab")
    if kubeconfig is not None:
        return Access(kubeconfig, context, "--kubeconfig")
    if environ.get("KUBECONFIG"):
        return Access(None, context, "$KUBECONFIG")
    of_user = (home or Path.home()) / ".kube" / "config"
    for path, source in ((of_user, "~/.kube/config"), (of_lab, "the running lab")):
        if path.exists():
            return Access(path, context, source)
    raise UnreachableError(
        "no cluster to talk to",
        f"no --kubeconfig, no $KUBECONFIG, no {of_user}, no running lab",
        "give --kubeconfig FILE, or start a lab: bascule lab up",
    )


def settle(access: Access) -> Access:
    """With the context's name filled in, and the token of a user without any credential (keyring, else asked).

    A kubeconfig that cannot be read is left as it is: opening it says what is wrong with it.
    """
    document = _kubeconfig(access)
    name = access.context or str(document.get("current-context") or "")
    if not name:
        return access
    context = _named(document, "contexts", name, "context")
    cluster = _named(document, "clusters", context.get("cluster"), "cluster")
    user = _named(document, "users", context.get("user"), "user")
    server = str(cluster.get("server") or "")
    known = replace(access, context=name)
    if not server.startswith("https:") or CREDENTIALS & set(user):
        return known
    token = obtain(f"token {name} {server}", f"Token for context {name} at {server} (empty: none)")
    return replace(known, token=token or None)


def context_name(access: Access) -> str:
    """The context that the kubeconfig means; "" when that cannot be told."""
    return access.context or str(_kubeconfig(access).get("current-context") or "")


def _kubeconfig(access: Access) -> dict[str, Any]:
    """The kubeconfig as kubectl merges several: the first file that has a name wins."""
    import yaml  # not for --version

    text = str(access.kubeconfig) if access.kubeconfig else os.environ.get("KUBECONFIG", "")
    merged: dict[str, Any] = {"contexts": [], "clusters": [], "users": []}
    for part in text.split(os.pathsep):
        try:
            document = yaml.safe_load(Path(part).expanduser().read_bytes()) if part else None
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if not isinstance(document, dict):
            continue
        merged["current-context"] = merged.get("current-context") or document.get("current-context")
        for section in ("contexts", "clusters", "users"):
            listed = document.get(section)
            merged[section] += [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    return merged


def _named(document: dict[str, Any], section: str, name: object, inner: str) -> dict[str, Any]:
    found = next((item.get(inner) for item in document[section] if item.get("name") == name), None)
    return found if isinstance(found, dict) else {}
