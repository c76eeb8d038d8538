"""One disk through CDI's upload proxy: the request, and what each refusal means.

Not tried against a live CDI: statuses and texts are those of pkg/uploadproxy and pkg/uploadserver of
kubevirt/containerized-data-importer, the trust is what its doc/upload.md says has to be trusted.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp

from bascule.errors import BasculeError, RefusedError, UnreachableError
from bascule.resources.cdi import UploadProxy

Progress = Callable[[int], None]
CONNECT_TIMEOUT_S = 10.0
# an answer comes after the conversion of the whole disk
SILENCE_TIMEOUT_S = 3600.0
_SAID = 400


class DiskError(BasculeError):
    """A disk did not reach its claim."""


class DiskUnreachable(DiskError, UnreachableError):
    """The upload proxy does not answer, or not with a certificate that is trusted."""


class DiskRefused(DiskError, RefusedError):
    """CDI does not take this disk: no CDI, a claim that is taken, a token that is refused, a disk that is too big."""


class AnswerLost(DiskError):
    """Everything was sent and the connection ended before the answer: whether it arrived is to be looked up."""


@dataclass
class Body:
    """The disk on its way: counts what was sent, and keeps the error of whoever reads the source."""

    chunks: AsyncIterator[bytes]
    length: int | None
    progress: Progress | None
    sent: int = 0
    whole: bool = False
    failure: BaseException | None = None

    async def stream(self) -> AsyncIterator[bytes]:
        """The chunks. Raises what the source raises, and DiskError when its length is not what was said."""
        try:
            async for chunk in self.chunks:
                if self.length is not None and self.sent + len(chunk) > self.length:
                    raise DiskError(f"the source gave more than the {self.length} bytes that it announced")
                yield chunk
                self.sent += len(chunk)
                if self.progress is not None:
                    self.progress(self.sent)
            if self.length is not None and self.sent < self.length:
                raise DiskError(f"the source ended after {self.sent} of {self.length} bytes")
            self.whole = True
        except Exception as error:
            self.failure = error
            raise


def trust(*authorities: str) -> ssl.SSLContext:
    """The system's CAs and these (PEM, "" is none). Raises DiskRefused for what is no certificate."""
    context = ssl.create_default_context()
    for pem in filter(None, authorities):
        try:
            context.load_verify_locations(cadata=pem)
        except (ssl.SSLError, ValueError) as error:
            raise DiskRefused("a CA of the cluster is no certificate", str(error), "correct the kubeconfig") from error
    return context


async def post(proxy: UploadProxy, token: str, disk: str, body: Body, context: ssl.SSLContext) -> None:
    """Send a disk (`disk` names it in messages); returns when CDI has converted and verified it.

    Raises DiskUnreachable, DiskRefused, DiskError, AnswerLost, and what the source raised.
    """
    limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_TIMEOUT_S)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
    if body.length is not None:
        headers["Content-Length"] = str(body.length)
    connector = aiohttp.TCPConnector(ssl=context)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=limits, trust_env=not _loopback(proxy.url)) as session,
            session.post(proxy.url, data=body.stream(), headers=headers, allow_redirects=False) as response,
        ):
            status, said = response.status, await response.content.read(_SAID)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        if body.failure is not None:
            raise body.failure from error
        raise _broken(proxy, disk, body, error) from error
    if body.failure is not None:
        raise body.failure
    if status != 200:
        raise refusal(status, " ".join(said.decode("utf-8", "replace").split()), disk, proxy.host)


def _broken(proxy: UploadProxy, disk: str, body: Body, error: Exception) -> DiskError:
    cause = str(error) or type(error).__name__
    where = f"CDI's upload proxy at {proxy.host}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError | ssl.SSLError):
        fix = "let the proxy have a certificate of a CA that this machine or the kubeconfig trusts"
        return DiskUnreachable(f"{where} has a certificate that is not trusted", cause, fix)
    if isinstance(error, aiohttp.ClientConnectorError) or (not body.sent and not body.whole):
        fix = "is status.uploadProxyURL of CDIConfig reachable from here? (Ingress, Route, or kubectl port-forward)"
        return DiskUnreachable(f"{where} does not answer", cause, fix)
    if body.whole:
        return AnswerLost(f"{where} gave no answer for {disk}", cause, f"kubectl get datavolume {_name(disk)}")
    of = f" of {body.length}" if body.length is not None else ""
    return DiskError(
        f"the upload of {disk} was cut off after {body.sent}{of} bytes",
        f"{where}: {cause}",
        f"upload it again; if it stops at the same place, see why: kubectl logs cdi-upload-{_name(disk)}",
    )


def refusal(status: int, said: str, disk: str, host: str) -> DiskError:
    """The error for an answer of the proxy that is not 200; `said` is its text, often empty."""
    name, lower = _name(disk), said.lower()
    cause = said or f"HTTP {status} from {host}"
    if "no space left" in lower or "disk quota" in lower:
        fix = f"free space on the storage behind claim {name}, or give the plan another storage class; then resume"
        return DiskError(f"the storage is full: {disk} was not written", cause, fix)
    if "larger than" in lower or "larger pvc" in lower:
        fix = f"delete the claim and let it be made again with the disk's size: kubectl delete datavolume {name}"
        return DiskRefused(f"{disk} is bigger than its claim", cause, fix)
    if "already finished" in lower or status == 409:
        fix = f"delete it first, if this is not what you want there: kubectl delete datavolume {name}"
        return DiskRefused(f"the claim {disk} is filled already", cause, fix)
    if status in (400, 401, 403) and not lower.startswith("saving stream"):
        fix = "try again; a token is good for five minutes and for one claim"
        return DiskRefused(f"CDI refused the upload token for {disk}", cause, fix)
    if status == 413:
        fix = 'an Ingress limits what is sent: nginx.ingress.kubernetes.io/proxy-body-size: "0", or ssl-passthrough'
        return DiskRefused(f"a proxy before {host} does not take {disk}", cause, fix)
    if status in (502, 504):
        return AnswerLost(f"a proxy before {host} gave up waiting for {disk}", cause, f"kubectl get datavolume {name}")
    if status == 503:
        return DiskError(f"CDI is not ready to take {disk}", cause, f"kubectl describe datavolume {name}; then again")
    if lower.startswith("saving stream"):
        fix = "is it raw, qcow2, vmdk, vdi, vpc or vhdx, without a backing file? see: qemu-img info"
        return DiskError(f"CDI could not use the image of {disk}", cause, fix)
    return DiskError(f"CDI did not take {disk}", cause, f"kubectl logs cdi-upload-{name}")


def _name(disk: str) -> str:
    """`-n NAMESPACE NAME` of kubectl is longer; messages name the claim alone, as the object's own name."""
    return disk.rpartition("/")[2]


def _loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
