"""An AWS account in this process: emulated, behind TLS as AWS is, and in the way of what is asked of it where a test says.

The emulator is moto; what it does not do (say no, be of somebody else, be half-way) a rule does in its place.
"""

from __future__ import annotations

import contextlib
import io
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import urllib3
from botocore.config import Config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from network_mirror import certificate
from werkzeug.serving import WSGIRequestHandler, make_server

Answer = tuple[int, str] | None
Rule = Callable[["Request"], Answer]


@dataclass(frozen=True)
class Request:
    """What was asked: `PUT ?policy`, of whom, and by whose access key."""

    what: str
    headers: dict[str, str]
    body: bytes

    @property
    def access_key(self) -> str:
        found = re.search(r"Credential=([^/]+)/", self.headers.get("AUTHORIZATION", ""))
        return found[1] if found else ""


@dataclass
class Account:
    """The account: its *url*, the certificate to trust, what was *asked* of it, and the *rules* that answer first."""

    url: str
    trusted: Path
    asked: list[Request] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)

    def client(self, service: str, region: str = "eu-west-1") -> Any:
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id="AKIASETUP",
            aws_secret_access_key="setup",
            verify=str(self.trusted),
            config=Config(
                proxies={},
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",  # else a body comes in chunks, which nothing here reads
            ),
        )

    def denies(self, what: str, status: int = 403, code: str = "AccessDenied", times: int = 1 << 30) -> None:
        """Answer so many requests that are *what* (`PUT ?policy`) with an error."""
        left = [times]

        def rule(request: Request) -> Answer:
            if request.what != what or not left[0]:
                return None
            left[0] -= 1
            return status, code

        self.rules.append(rule)

    def writes(self) -> list[str]:
        """What was asked of it that changes something."""
        return [request.what for request in self.asked if request.what.split()[0] in ("PUT", "DELETE")]

    def begin_anew(self) -> None:
        """Empty it, and forget what was asked."""
        self.rules.clear()
        pool = urllib3.PoolManager(ca_certs=str(self.trusted))
        pool.request("POST", f"{self.url}/moto-api/reset")
        pool.clear()
        self.asked.clear()


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def emulated_account(folder: Path) -> Iterator[Account]:
    """An account until the block ends; its certificate lies in *folder*."""
    public, private = certificate(folder)
    emulator = DomainDispatcherApplication(create_backend_app)
    account = Account("", public)

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        request = _request(environ)
        account.asked.append(request)
        for rule in account.rules:
            if found := rule(request):
                status, code = found
                start_response(f"{status} no", [("Content-Type", "application/xml")])
                return _error(request, code)
        return emulator(environ, start_response)

    server = make_server(
        "127.0.0.1", 0, answer, threaded=True, request_handler=_Quiet, ssl_context=(str(public), str(private))
    )
    account.url = f"https://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield account
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _error(request: Request, code: str) -> list[bytes]:
    """The body of an error: none where HTTP allows none; of STS, which is posted to, an element more than of S3."""
    if request.what.startswith("HEAD"):
        return []
    text = f"<Error><Code>{code}</Code></Error>"
    return [(f"<ErrorResponse>{text}</ErrorResponse>" if request.what == "POST" else text).encode()]


def _request(environ: dict[str, Any]) -> Request:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    query = environ["QUERY_STRING"].partition("&")[0].rstrip("=")
    what = f"{environ['REQUEST_METHOD']} {'?' if query else ''}{query}".strip()
    headers = {name.removeprefix("HTTP_"): value for name, value in environ.items() if name.startswith("HTTP_")}
    if target := headers.get("X_AMZ_TARGET"):
        what = target.partition(".")[2]
    return Request(what, headers, body)
