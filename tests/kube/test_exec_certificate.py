"""An exec plugin that gives a client certificate: the server, which asks for one, is the witness."""

from __future__ import annotations

import base64
import ipaddress
import json
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bascule_kube import Cluster
from bascule_kube.kinds import NODE


def certificate(name: str) -> tuple[str, str]:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return built.public_bytes(pem).decode(), private.decode()


async def test_the_plugins_certificate_reaches_the_server(tmp_path: Path) -> None:
    (server_cert, server_key), (client_cert, client_key) = certificate("server"), certificate("operator")
    (tmp_path / "server.pem").write_text(server_cert + server_key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=client_cert)
    context.load_cert_chain(tmp_path / "server.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    seen: list[Any] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        seen.append(request.transport.get_extra_info("peercert")["subject"])
        return web.json_response(NODE.of("a"))

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    version = "client.authentication.k8s.io/v1beta1"
    status = {"clientCertificateData": client_cert, "clientKeyData": client_key}
    plugin = "import sys; print(sys.argv[1])"
    answered = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})
    user = {"exec": {"apiVersion": version, "command": sys.executable, "args": ["-c", plugin, answered]}}
    authority = base64.b64encode(server_cert.encode()).decode()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    config = {
        "current-context": "x",
        "clusters": [{"name": "c", "cluster": {"server": url, "certificate-authority-data": authority}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }
    (tmp_path / "kc").write_text(yaml.safe_dump(config))
    async with await Cluster.open(tmp_path / "kc") as cluster:
        assert await cluster.get(NODE, "a") == NODE.of("a")
        assert await cluster.bearer_token() == ""
    await runner.cleanup()
    assert seen == [((("commonName", "operator"),),)]
