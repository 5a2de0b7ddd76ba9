"""What the stand-ins for GitHub and GitLab share: routes, pages, faults on request, and a record of what was asked.

A request that is not as the host's documentation has it is answered as the host would, and is remembered as `wrong`, which
every test that uses one looks at in the end.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from local_http import Quiet, served


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Said:
    """An answer to give instead of doing what was asked; or, where it was *done*, after doing it."""

    status: int = 502
    body: Any = "<html><title>502 Bad Gateway</title></html>"
    headers: dict[str, str] = field(default_factory=dict)
    done: bool = False
    cut: bool = False
    seconds: float = 0.0


CUT = Said(cut=True)
DONE_AND_CUT = Said(done=True, cut=True)
DONE_AND_502 = Said(done=True)

Route = Callable[..., tuple[int, Any]]


@dataclass
class FakeHost:
    """A host. *faults* are answers to give to the next requests that fit a method and a pattern of paths."""

    routes: list[tuple[str, re.Pattern[str], Route]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    faults: list[tuple[str, re.Pattern[str], Said]] = field(default_factory=list)
    url: str = ""

    def fail(self, method: str, pattern: str, *answers: Said) -> None:
        self.faults += [(method, re.compile(pattern), answer) for answer in answers]

    def requests(self, method: str, pattern: str) -> list[Asked]:
        return [one for one in self.asked if one.method == method and re.search(pattern, one.path)]

    def refused(self, asked: Asked) -> tuple[int, Any] | None:
        """How a request is answered whose headers are not as they should be."""
        raise NotImplementedError

    def do(self, asked: Asked) -> tuple[int, Any]:
        refused = self.refused(asked)
        if refused:
            return refused
        for method, pattern, route in self.routes:
            found = pattern.fullmatch(asked.path)
            if method == asked.method and found:
                return route(asked, *found.groups())
        self.wrong.append(f"{asked.method} {asked.path} is not in the documentation")
        return 404, {"message": "Not Found"}

    def is_so(self, asked: Asked, condition: bool, what: str) -> bool:
        if not condition:
            self.wrong.append(f"{asked.method} {asked.path}: {what}")
        return condition

    def body_has(self, asked: Asked, required: set[str], optional: set[str] = frozenset()) -> bool:  # type: ignore[assignment]
        keys = set(asked.body) if isinstance(asked.body, dict) else set()
        fine = required <= keys <= required | optional
        return self.is_so(asked, fine, f"the body has {sorted(keys)}, and should have {sorted(required)}")


def answer_of(host: FakeHost, asked: Asked) -> tuple[Said, str]:
    """The answer to a request, and the header `Link`."""
    for number, (method, pattern, fault) in enumerate(host.faults):
        if method == asked.method and pattern.search(asked.path):
            del host.faults[number]
            if fault.done:
                host.do(asked)
            return fault, ""
    status, body = host.do(asked)
    link = ""
    if asked.method == "GET" and isinstance(body, list):
        size, page = min(int(asked.query.get("per_page", 30)), 100), int(asked.query.get("page", 1))
        if page * size < len(body):
            following = urlencode({**asked.query, "page": page + 1})
            last = urlencode({**asked.query, "page": -(-len(body) // size)})
            address = f"{host.url}{asked.path}"
            link = f'<{address}?{following}>; rel="next", <{address}?{last}>; rel="last"'
        body = body[(page - 1) * size : page * size]
    return Said(status, body), link


@contextlib.contextmanager
def serving(host: FakeHost, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    class Handler(Quiet):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, query, headers, json.loads(raw) if raw else None)
            host.asked.append(asked)
            said, link = answer_of(host, asked)
            if said.seconds:
                time.sleep(said.seconds)
            if said.cut:
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                return
            text = said.body if isinstance(said.body, str) else "" if said.body is None else json.dumps(said.body)
            self.send_response(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            if link:
                self.send_header("Link", link)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

    for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    with served(Handler, tls) as url:
        host.url = url
        yield url
