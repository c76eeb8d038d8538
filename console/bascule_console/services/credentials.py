"""Which cluster, as whom: --kubeconfig, else $KUBECONFIG, else ~/.kube/config, else the running lab's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bascule.errors import RefusedError, UnreachableError


@dataclass(frozen=True, slots=True)
class Access:
    """`kubeconfig` None means $KUBECONFIG (which may list several files); `source` says in words where it came from."""

    kubeconfig: Path | None
    context: str | None
    source: str


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
