"""One call: collected whole where the gateway has to read it, or joined through to a provider as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from infra_orch.gateway.http2 import Connection, Headers, Stream
from infra_orch.gateway.provider import Provider

UNAVAILABLE = 14
UNIMPLEMENTED = 12
INTERNAL = 13
GONE = "error reading from server: EOF"
"""What gRPC for Go says of a provider that died, and Terraform makes its own message of."""
_OPENING = ((b":status", b"200"), (b"content-type", b"application/grpc"))


@dataclass(frozen=True)
class Answer:
    """What a call was answered: headers, body, and trailers (empty where the headers were all there was)."""

    headers: Headers
    body: bytes = b""
    trailers: Headers = ()

    @property
    def ok(self) -> bool:
        """Whether it succeeded as a call; what it says may still be an error."""
        return self.status[0] == 0

    @property
    def status(self) -> tuple[int, str]:
        """The gRPC status code, and what it says."""
        known = dict(self.trailers or self.headers)
        text = known.get(b"grpc-message", b"").decode(errors="replace")
        try:
            return int(known.get(b"grpc-status", b"2")), unquote(text)
        except ValueError:
            return 2, text

    @classmethod
    def of(cls, body: bytes) -> Answer:
        """A successful answer."""
        return cls(_OPENING, body, ((b"grpc-status", b"0"), (b"grpc-message", b"")))

    @classmethod
    def failure(cls, status: int, text: str) -> Answer:
        """A call that failed with a gRPC status code."""
        # Percent-encoded, as the gRPC protocol over HTTP/2 has it.
        escaped = "".join(c if " " <= c <= "~" and c != "%" else "".join(f"%{b:02X}" for b in c.encode()) for c in text)
        return cls((*_OPENING, (b"grpc-status", str(status).encode()), (b"grpc-message", escaped.encode())))

    def send(self, stream: Stream) -> None:
        """Give it to whoever called."""
        if not self.trailers:
            stream.send_headers(self.headers, ends=True)
            return
        stream.send_headers(self.headers)
        stream.send(self.body)
        stream.send_headers(self.trailers, ends=True)


class LostError(ConnectionError):
    """A provider ended, or cannot be reached, before it had answered. *who* it was, where that is known."""

    def __init__(self, who: Provider | None = None) -> None:
        super().__init__("it ended, or cannot be reached")
        self.who = who


class ResetError(Exception):
    """The provider gave the call up, with an HTTP/2 error *code*."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Request:
    """A call from Terraform: its *method*, as in the path, and its body once that is *whole*.

    *task* is the work on it, which ends when the caller gives up; one that *endures* goes on where the caller is gone.
    """

    stream: Stream
    method: str
    headers: Headers
    whole: asyncio.Future[bytes]
    task: asyncio.Task[None] | None = None
    endures: bool = False

    @property
    def name(self) -> str:
        """The method's own name (`GetSchema`)."""
        return self.method.rpartition("/")[2]


class Collecting:
    """Collects the request of a unary call."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._parts: list[bytes] = []

    def headers(self, headers: Headers) -> None:
        """A request has no trailers in gRPC."""

    def data(self, data: bytes, size: int) -> None:
        """Keep a part."""
        self._parts.append(data)
        self._request.stream.acknowledge(size)

    def ended(self) -> None:
        """The request is whole."""
        if not self._request.whole.done():
            self._request.whole.set_result(b"".join(self._parts))

    def reset(self, code: int | None) -> None:
        """The caller is no longer interested; without *code* it is gone, connection and all."""
        if self._request.task and not (self._request.endures and code is None):
            self._request.task.cancel()


class _Collected:
    """Collects the answer to a unary call."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.stream: Stream | None = None
        self._headers: Headers | None = None
        self._trailers: Headers = ()
        self._parts: list[bytes] = []

    def headers(self, headers: Headers) -> None:
        if self._headers is None:
            self._headers = headers
        else:
            self._trailers = headers

    def data(self, data: bytes, size: int) -> None:
        self._parts.append(data)
        if self.stream:
            self.stream.acknowledge(size)

    def ended(self) -> None:
        if not self.future.done():
            self.future.set_result(Answer(self._headers or (), b"".join(self._parts), self._trailers))

    def reset(self, code: int | None) -> None:
        if not self.future.done():
            self.future.set_exception(LostError() if code is None else ResetError(code))


async def call(provider: Provider, connection: Connection, headers: Headers, body: bytes) -> Answer:
    """Make a unary call of *provider*. Cancelling it cancels the call.

    Raises LostError where the provider went away, ResetError where it gave the call up.
    """
    sink = _Collected()
    try:
        stream = sink.stream = connection.call(headers, sink)
    except ConnectionError as error:
        raise LostError(provider) from error
    stream.send(body)
    stream.end()
    try:
        return await sink.future
    except LostError as error:
        error.who = provider
        raise
    except asyncio.CancelledError:
        stream.reset()
        raise


class Joined:
    """Hands on what arrives on one stream, *source*, to another, *target*, no faster than that takes it.

    What arrives before the target is known waits for it. *lost* is told where the provider's connection was.
    """

    def __init__(self, target: Stream | None = None, lost: Callable[[], None] = lambda: None) -> None:
        self.source: Stream | None = None
        self._lost = lost
        self._target = target
        self._begun = False
        self._waiting: list[Callable[[], None]] = []

    def to(self, target: Stream) -> None:
        """Hand on what arrived so far, and from now on."""
        self._target = target
        waiting, self._waiting = self._waiting, []
        for action in waiting:
            action()

    def headers(self, headers: Headers) -> None:
        """Headers, or trailers, which are the last there is: only they, and an answer without a body, have a status."""
        if self._target is None:
            self._waiting.append(lambda: self.headers(headers))
            return
        self._begun = True
        self._target.send_headers(headers, ends=any(name == b"grpc-status" for name, _ in headers))

    def data(self, data: bytes, size: int) -> None:
        """A part of the body."""
        if self._target is None:
            self._waiting.append(lambda: self.data(data, size))
            return
        self._target.send(data, lambda: self.source.acknowledge(size) if self.source else None)

    def ended(self) -> None:
        """Nothing more comes."""
        if self._target is None:
            self._waiting.append(self.ended)
            return
        self._target.end()

    def reset(self, code: int | None) -> None:
        """It was given up."""
        if self._target is None:
            self._waiting.append(lambda: self.reset(code))
        elif code is None and self._target.connection.serves:
            self._lost()
            status = Answer.failure(UNAVAILABLE, GONE).headers
            self._target.send_headers(status[len(_OPENING) :] if self._begun else status, ends=True)
        else:
            self._target.reset(code)
