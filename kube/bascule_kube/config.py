"""From a kubeconfig to a ready kubernetes.aio ApiClient. Importing this module imports `kubernetes`; nothing else does.

The library's loader reads clusters, certificates, tokens and OIDC; its exec provider is replaced by ours, and it is
never allowed to write the user's file.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from bascule_kube.errors import KubeconfigError
from bascule_kube.exec_credentials import Credential, ExecCredentials
from bascule_kube.lean import ApiClient, ConfigException, ConfigNode, Configuration, KubeConfigLoader, KubeConfigMerger


@dataclass(slots=True)
class OpenClient:
    """An ApiClient with what it was made from."""

    api: Any
    context: str
    namespace: str
    server: str
    credentials: ExecCredentials | None


async def open_client(kubeconfig: Path | None, context: str | None) -> OpenClient:
    """Read the kubeconfig (None: $KUBECONFIG, else ~/.kube/config). Raises KubeconfigError, CredentialError."""
    paths = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    _check_files(paths)
    try:
        merger = KubeConfigMerger(paths)
        loader = KubeConfigLoader(config_dict=merger.config, config_base_path=None, active_context=context)
        return await _client(loader)
    except (ConfigException, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        fix = "choose a context that the file has, with --context" if context else "correct the file"
        raise KubeconfigError(f"cannot use kubeconfig {paths}", str(error), fix) from error


async def _client(loader: Any) -> OpenClient:
    if loader._user is None:  # the loader cannot read a client certificate from a context without a user
        loader._user = ConfigNode("user", {})
    credentials = _exec_credentials(loader)
    configuration = type.__call__(Configuration)
    await loader.load_and_set(configuration)
    if _is_loopback(configuration.host):  # as Go does: a proxy from the environment is not for this machine
        configuration.client_session_kwargs = {"trust_env": False}
    active = loader.current_context
    api = ApiClient(configuration=configuration)
    if credentials is not None:
        await install_credential(api, credentials)
        configuration.refresh_api_key_hook = lambda _: install_credential(api, credentials)
    namespace = str((active.get("context") or {}).get("namespace") or "default")
    return OpenClient(api, str(active["name"]), namespace, configuration.host, credentials)


def _exec_credentials(loader: Any) -> ExecCredentials | None:
    if "exec" not in loader._user:
        return None
    base = Path(loader._user.path or ".").resolve().parent
    credentials = ExecCredentials(loader._user["exec"].value, base)

    async def load() -> bool:
        held = await credentials.current()
        if held.token:
            loader.token = f"Bearer {held.token}"
        return True

    loader.load_from_exec_plugin = load
    return credentials


async def install_credential(api: Any, credentials: ExecCredentials) -> None:
    """Put the plugin's present credential into the client: called before every request."""
    held = await credentials.current()
    if held.token:
        api.configuration.api_key["BearerToken"] = f"Bearer {held.token}"
    if held.certificate:
        _load_certificate(api, held)


def _load_certificate(api: Any, held: Credential) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # mode 0600; ssl reads certificates from files only
        file.write(f"{held.certificate}\n{held.key}\n")
        file.flush()
        api.rest_client.ssl_context.load_cert_chain(file.name)


def _is_loopback(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_files(paths: str) -> None:
    found = [Path(part).expanduser() for part in paths.split(os.pathsep) if part and Path(part).expanduser().exists()]
    if not found:
        raise KubeconfigError(f"no kubeconfig at {paths}", fix="give --kubeconfig FILE, set KUBECONFIG, or use --lab")
    for path in found:
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise KubeconfigError(f"cannot read kubeconfig {path}", " ".join(str(error).split())) from error
        if not isinstance(document, dict):
            raise KubeconfigError(f"{path} is no kubeconfig", "it holds no mapping", "give a file of kind Config")
