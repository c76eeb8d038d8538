"""What of `kubernetes` is used, imported without the rest.

The package's own __init__ loads the blocking client, informers and leader election: eight MiB in every agent, and a
third of the import's time, for nothing that is used here. So the two outer packages are entered without running it;
their modules are found as ever, also by whoever imports more of them later.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib import import_module
from typing import Any

PACKAGES = ("kubernetes", "kubernetes.aio")


def _enter() -> None:
    for name in PACKAGES:
        if name not in sys.modules:
            spec = importlib.util.find_spec(name)
            if spec is None:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            sys.modules[name] = importlib.util.module_from_spec(spec)


_enter()

ApiClient: Any = import_module("kubernetes.aio.client.api_client").ApiClient
Configuration: Any = import_module("kubernetes.aio.client.configuration").Configuration
ConfigException: Any = import_module("kubernetes.aio.config.config_exception").ConfigException
_LOADER = import_module("kubernetes.aio.config.kube_config")
ConfigNode: Any = _LOADER.ConfigNode
KubeConfigLoader: Any = _LOADER.KubeConfigLoader
KubeConfigMerger: Any = _LOADER.KubeConfigMerger
