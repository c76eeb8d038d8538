"""Credentials from a kubeconfig's exec plugin, renewed before they expire.

Own, because kubernetes.aio never renews them and lets the plugin read the terminal that Textual owns: here stdin is
/dev/null, stderr is caught and shown only in the error.
Protocol: client.authentication.k8s.io/v1 and v1beta1, ExecCredential.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bascule_kube.errors import CredentialError

TIMEOUT_S = 60.0
RENEW_SHARE = 0.1
RENEW_AT_MOST_S = 60.0


@dataclass(frozen=True, slots=True)
class Credential:
    """What a plugin gave: a bearer token, or a PEM certificate and key, and the time.time() at which to renew it."""

    token: str
    certificate: str
    key: str
    renew_at: float | None


class ExecCredentials:
    """Runs one exec plugin on demand and keeps its answer until shortly before it expires."""

    def __init__(self, spec: dict[str, Any], base: Path, clock: Callable[[], float] = time.time) -> None:
        """`spec` is the user's `exec` section; `base` is the kubeconfig's folder, for a relative command."""
        self._spec = spec
        self._base = base
        self._clock = clock
        self._current: Credential | None = None
        self._lock = asyncio.Lock()

    async def current(self) -> Credential:
        """The credential to use now. Raises CredentialError."""
        async with self._lock:
            held = self._current
            if held is None or (held.renew_at is not None and self._clock() >= held.renew_at):
                self._current = held = self._parse(await self._run())
            return held

    def expire(self) -> None:
        """Forget the held credential, after the server said 401 to it."""
        self._current = None

    def _command(self) -> list[str]:
        command = self._spec.get("command")
        if not isinstance(command, str) or not command:
            raise CredentialError("the kubeconfig's exec section names no command", fix="add user.exec.command")
        if self._spec.get("interactiveMode") == "Always":
            raise CredentialError(
                f"the exec plugin {command} wants a terminal (interactiveMode: Always)",
                "Bascule owns the terminal and gives plugins none",
                "sign in with the plugin beforehand, then set interactiveMode: IfAvailable",
            )
        if os.sep in command and not os.path.isabs(command):
            command = str(self._base / command)
        return [command, *(str(argument) for argument in self._spec.get("args") or [])]

    async def _run(self) -> bytes:
        argv = self._command()
        env = dict(os.environ)
        env.update({str(item["name"]): str(item["value"]) for item in self._spec.get("env") or []})
        info = {"apiVersion": self._spec.get("apiVersion"), "kind": "ExecCredential", "spec": {"interactive": False}}
        env["KUBERNETES_EXEC_INFO"] = json.dumps(info)
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(*argv, env=env, stdin=null, stdout=pipe, stderr=pipe)
        except OSError as error:
            hint = str(self._spec.get("installHint") or "install it, or correct user.exec.command")
            raise CredentialError(f"cannot run the exec plugin {argv[0]}", str(error), hint) from error
        try:
            out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        except TimeoutError as error:
            raise CredentialError(f"the exec plugin {argv[0]} gave no answer in {TIMEOUT_S:.0f} s") from error
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            said = err.decode("utf-8", "replace").strip()[-500:]
            raise CredentialError(f"the exec plugin {argv[0]} failed with exit code {process.returncode}", said)
        return out

    def _parse(self, out: bytes) -> Credential:
        name = str(self._spec.get("command"))
        try:
            document = json.loads(out)
            status = document["status"]
            expires = status.get("expirationTimestamp")
            renew_at = self._renew_at(expires) if expires else None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CredentialError(f"the exec plugin {name} answered no ExecCredential", repr(error)) from error
        if document.get("apiVersion") != self._spec.get("apiVersion"):
            cause = f"it answered {document.get('apiVersion')}, the kubeconfig says {self._spec.get('apiVersion')}"
            raise CredentialError(f"the exec plugin {name} speaks another API version", cause)
        token, certificate, key = (
            str(status.get(field) or "") for field in ("token", "clientCertificateData", "clientKeyData")
        )
        if not token and not (certificate and key):
            raise CredentialError(f"the exec plugin {name} gave neither a token nor a certificate with its key")
        return Credential(token, certificate, key, renew_at)

    def _renew_at(self, expires: str) -> float:
        end = datetime.fromisoformat(expires).timestamp()
        return end - min(RENEW_AT_MOST_S, RENEW_SHARE * max(0.0, end - self._clock()))
