"""Servers on this machine, for tests: one that keeps states and their locks, and what is needed to write others."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Quietly(ThreadingHTTPServer):
    """A client that does not trust it breaks off, which is no news."""

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    server = (ThreadingHTTPServer if tls is None else _Quietly)(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Quiet(BaseHTTPRequestHandler):
    """Answers without a word on stderr."""

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes = b"", kind: str = "application/xml") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@dataclass
class StateServer:
    """What https://developer.hashicorp.com/terraform/language/backend/http asks for, with its locks."""

    states: dict[str, bytes] = field(default_factory=dict)
    locks: dict[str, bytes] = field(default_factory=dict)
    locked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serving_states() -> Iterator[tuple[str, StateServer]]:
    """A server that keeps states: its URL, and what it keeps."""
    kept = StateServer()

    class Handler(Quiet):
        def do_GET(self) -> None:
            state = kept.states.get(self.path)
            self.answer(200 if state else 404, state or b"", "application/json")

        def do_POST(self) -> None:
            kept.states[self.path.split("?")[0]] = self.body()
            self.answer(200)

        def do_LOCK(self) -> None:
            if self.path in kept.locks:
                self.answer(423, kept.locks[self.path], "application/json")
                return
            kept.locks[self.path] = self.body()
            kept.locked.append(self.path)
            self.answer(200)

        def do_UNLOCK(self) -> None:
            kept.locks.pop(self.path, None)
            self.answer(200)

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    with served(Handler) as url:
        yield url, kept


def over_http(url: str) -> str:
    places = ", ".join(f'{name}="{url}/{{stack}}/{{unit}}"' for name in ("address", "lock_address", "unlock_address"))
    return f'Backend("http", {places})'


@dataclass
class Chat:
    """What a webhook was told, as JSON, and how it is to answer: with *status*, once *released*."""

    told: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    released: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def chatting(*, slow: bool = False) -> Iterator[tuple[str, Chat]]:
    """A webhook: its host and port, and what it was told. A *slow* one answers when the test is over."""
    chat = Chat()
    if not slow:
        chat.released.set()

    class Handler(Quiet):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            chat.told.append({"path": self.path, **json.loads(body)})
            chat.released.wait(60)
            with contextlib.suppress(OSError):
                self.answer(chat.status, b"ok", "text/plain")

    with served(Handler) as url:
        try:
            yield url.removeprefix("http://"), chat
        finally:
            chat.released.set()
