"""One API server, spoken to by raw requests through kubernetes.aio: TLS, credentials, errors, byte streams.

Raw because the generated API classes cost half a second and 20 MiB at import and gain nothing for plain dicts
(measured, reference/kubernetes.md).
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bascule_kube.errors import Unauthorized, Unreachable, from_status

if TYPE_CHECKING:
    from bascule_kube.config import OpenClient

REQUEST_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
Query = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer below 400: the decoded JSON document (or text) and the texts of its Warning headers."""

    document: Any
    warnings: list[str]


class Transport:
    """Requests to one API server. Every failure is a KubeError."""

    def __init__(self, client: OpenClient) -> None:
        self._client = client
        self.server = client.server
        self.context = client.context
        self.namespace = client.namespace

    @classmethod
    async def open(cls, kubeconfig: Path | None = None, context: str | None = None) -> Transport:
        """Read the kubeconfig and prepare a client; no request is made. Raises KubeconfigError, CredentialError."""
        from bascule_kube.config import open_client  # here, because it imports kubernetes

        return cls(await open_client(kubeconfig, context))

    async def close(self) -> None:
        """Close every connection."""
        await self._client.api.close()

    async def bearer_token(self) -> str:
        """The present bearer token, renewed if it has expired; "" without one."""
        settings = await self._client.api.configuration.auth_settings()
        value = str(settings.get("BearerToken", {}).get("value") or "")
        return value.removeprefix("Bearer ") if value.startswith("Bearer ") else ""

    def authority(self) -> str:
        """The CA (PEM) that the kubeconfig trusts for this server; "" when it names none."""
        path = self._client.api.configuration.ssl_ca_cert
        return Path(path).read_text() if path else ""

    async def request(
        self,
        method: str,
        path: str,
        query: Query = (),
        body: Any = None,
        content_type: str = "application/json",
        timeout: float = REQUEST_TIMEOUT_S,
    ) -> Reply:
        """One request with its whole answer; `timeout` in seconds bounds all of it."""
        async with self._send(method, path, query, body, content_type, timeout) as response:
            data = await response.read()
            warnings = [_warning_text(value) for value in response.headers.getall("Warning", [])]
            if response.content_type != "application/json":
                return Reply(data.decode("utf-8", "replace"), warnings)
            try:
                return Reply(json.loads(data), warnings)
            except ValueError as error:
                raise Unreachable(f"{self.server} answered {path} with broken JSON", str(error)) from error

    async def lines(self, path: str, query: Query, timeout: float) -> AsyncGenerator[bytes, None]:
        """The lines of a streamed answer as they come; a last line without its end is dropped.

        Own splitting, because aiohttp's readline refuses a line longer than its buffer.
        """
        async with self._send("GET", path, query, None, "application/json", timeout) as response:
            held = bytearray()
            async for chunk in response.content.iter_any():
                held += chunk
                if b"\n" in chunk:
                    *whole, rest = held.split(b"\n")
                    held = bytearray(rest)
                    for line in whole:
                        yield bytes(line)

    @asynccontextmanager
    async def _send(
        self, method: str, path: str, query: Query, body: Any, content_type: str, timeout: float
    ) -> AsyncIterator[Any]:
        import aiohttp  # here, because importing bascule_kube must stay cheap

        arguments = (method, path, list(query), body, content_type, timeout)
        try:
            response = await self._once(*arguments)
            if response.status == 401 and self._client.credentials is not None:
                response.close()
                self._client.credentials.expire()
                response = await self._once(*arguments)
            async with response:
                await _raise_for_status(response)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error, timeout) from error

    async def _once(
        self, method: str, path: str, query: list[tuple[str, str]], body: Any, content_type: str, timeout: float
    ) -> Any:
        import aiohttp

        api = self._client.api
        serialized = await api.param_serialize(
            method,
            path,
            query_params=query,
            header_params={"Accept": "application/json", "Content-Type": content_type, "User-Agent": "bascule"},
            body=body,
            auth_settings=["BearerToken"],
        )
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT_S)
        return (await api.call_api(*serialized, _request_timeout=limits)).response

    def _unreachable(self, error: BaseException, timeout: float) -> Unreachable:
        if isinstance(error, TimeoutError):
            return Unreachable(f"{self.server} gave no answer in {timeout:g} s", "timeout", "is the cluster up?")
        fix = "is the cluster up, and is this the right --context?"
        if isinstance(error, ssl.SSLError) or isinstance(getattr(error, "os_error", None), ssl.SSLError):
            fix = "check certificate-authority-data and the server name in the kubeconfig"
        return Unreachable(f"cannot reach {self.server}", str(error) or type(error).__name__, fix)


async def _raise_for_status(response: Any) -> None:
    if response.status < 400:
        return
    error = from_status(response.status, await response.read(), response.headers.get("Retry-After"))
    if isinstance(error, Unauthorized) and not error.cause:
        error.cause = "the server does not accept this credential"
    raise error


def _warning_text(header: str) -> str:
    """The text of a Warning header `299 - "text"` (RFC 7234 section 5.5)."""
    start, end = header.find('"'), header.rfind('"')
    return header[start + 1 : end].replace('\\"', '"') if 0 <= start < end else header
