"""HTTP/2 as gRPC uses it, on unix sockets: what arrives on a stream is handed to whoever sits at its other end.

Headers, trailers, data, resets and back-pressure pass as they are, so that a call that is forwarded keeps its metadata,
deadline, status, error details and cancellation without the gateway knowing of them.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

Headers = Sequence[tuple[bytes, bytes]]

_STREAM_WINDOW = 1 << 20
_CONNECTION_WINDOW = (1 << 31) - 1
_HEADERS = 16 << 20
"""Bytes of headers or trailers: an error's details travel in them. It is the limit of gRPC for Go."""
_SETTINGS = {
    SettingCodes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW,
    SettingCodes.MAX_CONCURRENT_STREAMS: 100_000,
    SettingCodes.MAX_HEADER_LIST_SIZE: _HEADERS,
}
_CANCEL = int(ErrorCodes.CANCEL)


class Sink(Protocol):
    """Takes what arrives on a stream. *data* gets the size that the stream's window shrank by, to be given back."""

    def headers(self, headers: Headers) -> None:
        """Headers of the answer, or trailers."""

    def data(self, data: bytes, size: int) -> None:
        """A part of the body."""

    def ended(self) -> None:
        """Nothing more comes."""

    def reset(self, code: int | None) -> None:
        """The other side gave the stream up, with an HTTP/2 error *code*; None: its connection was lost."""


class Stream:
    """One call on one connection, seen from here."""

    __slots__ = ("_closed", "_ends", "_outgoing", "_trailers", "connection", "id", "sink")

    def __init__(self, connection: Connection, number: int, sink: Sink | None = None) -> None:
        self.connection = connection
        self.id = number
        self.sink = sink
        self._outgoing: deque[tuple[bytes, Callable[[], None] | None]] = deque()
        self._trailers: Headers | None = None
        self._ends = False
        self._closed = False

    def send_headers(self, headers: Headers, *, ends: bool = False) -> None:
        """Send headers; *ends* says that nothing follows. What is still to be sent goes first."""
        if self._closed:
            return
        if self._outgoing:
            self._trailers, self._ends = headers, ends
            return
        self.connection.put(lambda h2: h2.send_headers(self.id, list(headers), end_stream=ends))
        if ends:
            self._close()

    def send(self, data: bytes, sent: Callable[[], None] | None = None) -> None:
        """Send *data* as the other side has room for it; *sent* is called when it is gone."""
        if not self._closed:
            self._outgoing.append((data, sent))
            self.pump()

    def end(self) -> None:
        """Say that nothing more comes from here."""
        if not self._closed:
            self._ends = True
            self.pump()

    def reset(self, code: int | None = None) -> None:
        """Give the stream up, unless it is over."""
        self._closed = True
        self._outgoing.clear()
        if self.connection.forget(self):
            self.connection.put(lambda h2: h2.reset_stream(self.id, _CANCEL if code is None else code))

    def acknowledge(self, size: int) -> None:
        """Let the other side send *size* bytes more."""
        if size:
            self.connection.put(lambda h2: h2.acknowledge_received_data(size, self.id))

    def pump(self) -> None:
        """Send as much as there is room for."""
        h2 = self.connection.h2
        try:
            while self._outgoing:
                data, sent = self._outgoing[0]
                room = min(h2.local_flow_control_window(self.id), h2.max_outbound_frame_size)
                if data and room <= 0:
                    break
                part, rest = data[:room], data[room:]
                if rest:
                    self._outgoing[0] = (rest, sent)
                else:
                    self._outgoing.popleft()
                h2.send_data(self.id, part)
                if not rest and sent:
                    sent()
            if not self._outgoing:
                self._finish(h2)
        except ProtocolError:
            # The stream or its connection ended; whoever waits for it is told by an event.
            self._outgoing.clear()
            self._closed = True
        self.connection.flush_soon()

    def _finish(self, h2: H2Connection) -> None:
        if self._trailers is not None:
            h2.send_headers(self.id, list(self._trailers), end_stream=self._ends)
            self._trailers = None
        elif self._ends and not self._closed:
            h2.end_stream(self.id)
        else:
            return
        if self._ends:
            self._close()

    def _close(self) -> None:
        self._closed = True
        self.connection.answered(self)


class Connection(asyncio.Protocol):
    """One HTTP/2 connection. On the server's side *opened* is told of every call; *lost* when it is gone.

    *made* may refuse whoever is at the other end.
    """

    def __init__(
        self,
        *,
        opened: Callable[[Stream, Headers], Sink] | None = None,
        lost: Callable[[], None] = lambda: None,
        made: Callable[[asyncio.BaseTransport], bool] = lambda _: True,
    ) -> None:
        self._opened = opened
        self._lost = lost
        self._made = made
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, Stream] = {}
        self._flushing = False
        self._loop = asyncio.get_running_loop()
        # Both sides are what they are: what one says the other is to hear, so nothing is checked or put right.
        self.h2 = H2Connection(
            H2Configuration(
                client_side=opened is None,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
            )
        )
        # What it allows the other side in its settings it does not allow itself: it would end the connection.
        self.h2.decoder.max_header_list_size = _HEADERS
        # Huffman's code saves bytes that cost nothing here, and takes time by the square of a header's length.
        self.h2.encoder.encode = functools.partial(self.h2.encoder.encode, huffman=False)  # type: ignore[method-assign]

    @property
    def serves(self) -> bool:
        """Whether calls come in on it."""
        return self._opened is not None

    @property
    def open(self) -> bool:
        """Whether calls can be made on it."""
        return self._transport is not None and not self._transport.is_closing()

    def call(self, headers: Headers, sink: Sink) -> Stream:
        """Begin a call. What is answered goes to *sink*. Raises ConnectionError where there is nobody to be called."""
        try:
            if not self.open:
                raise ConnectionError("the connection is closed")
            stream = Stream(self, self.h2.get_next_available_stream_id(), sink)
            self.h2.send_headers(stream.id, list(headers))
        except ProtocolError as error:
            raise ConnectionError(f"no call can be made: {error}") from error
        self._streams[stream.id] = stream
        self.flush_soon()
        return stream

    def close(self) -> None:
        """End the connection, and every call on it."""
        if self._transport:
            self._transport.close()

    def put(self, action: Callable[[H2Connection], None]) -> None:
        """Do something on the connection, unless what it is about has ended already."""
        try:
            action(self.h2)
        except (ProtocolError, KeyError):
            return
        self.flush_soon()

    def flush_soon(self) -> None:
        """Write what there is, once for all that is said in this turn of the loop."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def forget(self, stream: Stream) -> bool:
        """Take no more notice of a stream; whether it was not over yet."""
        return self._streams.pop(stream.id, None) is not None

    def answered(self, stream: Stream) -> None:
        """All has been said on a stream from here; on the server's side that ends it."""
        if self._opened is not None:
            self.forget(stream)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to speak, unless *made* refuses who is there."""
        assert isinstance(transport, asyncio.Transport)
        if not self._made(transport):
            transport.abort()
            return
        self._transport = transport
        self.h2.local_settings = Settings(client=self._opened is None, initial_values=_SETTINGS)
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(_CONNECTION_WINDOW - self.h2.inbound_flow_control_window)
        self.flush_soon()

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        try:
            events = self.h2.receive_data(data)
        except ProtocolError:
            self._flush()
            self.close()
            return
        for event in events:
            self._take(event)
        self.flush_soon()

    def connection_lost(self, _: Exception | None) -> None:
        """Tell everyone who waits for something."""
        self._transport = None
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            if stream.sink:
                stream.sink.reset(None)
        self._lost()

    def _flush(self) -> None:
        self._flushing = False
        if self._transport and (data := self.h2.data_to_send()):
            self._transport.write(data)

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            begun = self._streams[event.stream_id] = Stream(self, event.stream_id)
            assert self._opened
            begun.sink = self._opened(begun, event.headers)
        elif isinstance(event, (WindowUpdated, RemoteSettingsChanged)):
            number = getattr(event, "stream_id", 0)
            for waiting in list(self._streams.values()):
                if number in (0, waiting.id):
                    waiting.pump()
        elif isinstance(event, ConnectionTerminated):
            self.close()
        elif (number := getattr(event, "stream_id", None)) and (stream := self._streams.get(number)) and stream.sink:
            self._hand_on(event, stream, stream.sink)

    def _hand_on(self, event: Event, stream: Stream, sink: Sink) -> None:
        if isinstance(event, DataReceived):
            sink.data(event.data, event.flow_controlled_length)
        elif isinstance(event, (ResponseReceived, TrailersReceived)):
            sink.headers(event.headers)
        elif isinstance(event, StreamEnded):
            if self._opened is None:
                self.forget(stream)
            sink.ended()
        elif isinstance(event, StreamReset):
            self.forget(stream)
            sink.reset(event.error_code)
