"""A provider network mirror on localhost: HTTPS with a certificate of its own, and a list of what was asked for.

It speaks the provider network mirror protocol
(developer.hashicorp.com/terraform/internals/provider-network-mirror-protocol).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import ipaddress
import json
import platform
import ssl
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
PLATFORM = f"{sys.platform}_{MACHINES[platform.machine().lower()]}"


def package(name: str, version: str) -> bytes:
    """A zip that looks like a provider to `terraform init`, which never starts it."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        program = zipfile.ZipInfo(f"terraform-provider-{name}_v{version}")
        program.external_attr = 0o755 << 16
        archive.writestr(program, f"#!/bin/sh\necho {name} {version}\n")
    return data.getvalue()


@dataclass
class NetworkMirror:
    """`versions` is {"host/namespace/name": {"1.0.0": zip}} and may be changed at any time; `asked` are paths."""

    versions: dict[str, dict[str, bytes]]
    asked: list[str] = field(default_factory=list)
    platforms: tuple[str, ...] = (PLATFORM,)
    down: bool = False
    slow_download: float = 0.0
    url: str = ""
    certificate: Path = Path()

    def downloads(self) -> list[str]:
        """The packages that were downloaded, one entry each time."""
        return sorted(path.rsplit("/", 1)[1] for path in self.asked if path.endswith(".zip"))

    def answer(self, path: str) -> bytes | None:
        """What is at *path*; None: nothing. Packages of other platforms than ours lie in a folder of that name."""
        self.asked.append(path)
        address, _, file = path.removeprefix("/providers/").rpartition("/")
        platform = address.rpartition("/")[2]
        if platform in self.platforms:
            address = address.removesuffix(f"/{platform}")
        else:
            platform = PLATFORM
        versions = self.versions.get(address)
        if self.down or versions is None:
            return None
        if file == "index.json":
            return json.dumps({"versions": {version: {} for version in versions}}).encode()
        name = address.rsplit("/", 1)[1]
        if file.endswith(".json") and (version := file.removesuffix(".json")) in versions:
            archives = {one: self._archive(versions, name, version, one) for one in self.platforms}
            return json.dumps({"archives": archives}).encode()
        if file.endswith(".zip"):
            time.sleep(self.slow_download)
            return self._package(versions, name, file.removesuffix(".zip").rsplit("_", 1)[1], platform)
        return None

    def _archive(self, versions: dict[str, bytes], name: str, version: str, platform: str) -> dict[str, object]:
        content = self._package(versions, name, version, platform) or b""
        folder = "" if platform == PLATFORM else f"{platform}/"
        url = f"{folder}terraform-provider-{name}_{version}.zip"
        return {"url": url, "hashes": ["zh:" + hashlib.sha256(content).hexdigest()]}

    def _package(self, versions: dict[str, bytes], name: str, version: str, platform: str) -> bytes | None:
        if platform == PLATFORM or version not in versions:
            return versions.get(version)
        return package(name, f"{version}-{platform}")


@contextmanager
def serve(folder: Path, versions: dict[str, dict[str, bytes]]) -> Iterator[NetworkMirror]:
    """Serve *versions* until the block ends; the certificate to trust is written into *folder*."""
    mirror = NetworkMirror(versions)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = mirror.answer(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "application/zip" if self.path.endswith(".zip") else "application/json")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *arguments: object) -> None:
            """Say nothing: `asked` knows."""

    mirror.certificate, key = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(mirror.certificate, key)
    server = SecureServer(("127.0.0.1", 0), Handler)
    server.context = context
    mirror.url = f"https://localhost:{server.server_port}/providers/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class SecureServer(ThreadingHTTPServer):
    """An HTTPS server, once it has its `context`."""

    daemon_threads = True
    context: ssl.SSLContext

    def finish_request(self, request: object, client_address: object) -> None:
        """Shake hands in the request's own thread, and forget a client that hung up."""
        try:
            with self.context.wrap_socket(request, server_side=True) as connection:  # type: ignore[arg-type]
                connection.settimeout(30)
                self.RequestHandlerClass(connection, client_address, self)  # type: ignore[arg-type]
        except OSError:
            return


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost and 127.0.0.1; returns it and its key, as files in *folder*."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "mirror.crt", folder / "mirror.key"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return public, private
