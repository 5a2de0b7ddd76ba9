"""A provider program that is not ours, for the faults that somebody else's may have; it serves protocol 6 with h2 alone.

Two variables say what it does. ROUGH_FOLDER is where `provider.log` gets a line of JSON for everything that happens to
it. ROUGH is a JSON object, all of it optional:

    exit        it ends at once, with these words on its standard error
    silent      it never prints a handshake
    handshake   a line that it prints instead of the handshake; `SOCKET` in it stands for the true address
    brief       it ends as soon as it has shaken hands
    chatty      it prints a megabyte to each of its outputs once it has shaken hands
    die         the call that kills it
    hang_up     the call at which it closes the connection
    wait        calls that are not answered before there is a file `go` in ROUGH_FOLDER
    never       calls that are not answered at all
    fail        calls that are answered with an error
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import sys
import tempfile
from collections import deque
from pathlib import Path

import msgpack
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

ROUGH = json.loads(os.environ.get("ROUGH", "{}"))
FOLDER = Path(os.environ.get("ROUGH_FOLDER", os.devnull))
TYPES = ("rough_bed", "rough_road")


def note(what: str, **more: object) -> None:
    line = json.dumps({"pid": os.getpid(), "what": what, **more}) + "\n"
    handle = os.open(FOLDER / "provider.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(handle, line.encode())
    os.close(handle)


def entry(number: int, value: bytes) -> bytes:
    """A field of a protobuf message that holds bytes."""
    size = len(value)
    length = bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + value


def dynamic(value: object) -> bytes:
    return entry(1, msgpack.packb(value))


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def schema() -> bytes:
    """Two resource types without an attribute, and a field that no protocol has yet."""
    types = [entry(2, entry(1, name.encode()) + entry(2, entry(2, b""))) for name in TYPES]
    return entry(1, entry(2, b"")) + b"".join(types) + entry(15, b"of a later protocol")


DIAGNOSTIC = b"\x08\x01" + entry(2, b"It is refused")
"""An error."""


class Call:
    """A call on a connection, and what is still to be said of it."""

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        self.headers = headers
        self.name = dict(headers)[b":path"].rpartition(b"/")[2].decode()
        self.body = bytearray()
        self.outgoing: deque[bytes] = deque()
        self.trailers: list[tuple[bytes, bytes]] | None = None


class Served(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.calls: dict[int, Call] = {}
        self.h2 = H2Connection(
            H2Configuration(client_side=False, header_encoding=None, validate_outbound_headers=False)
        )
        # Huffman's code would take minutes for large headers.
        self.h2.encoder.encode = functools.partial(self.h2.encoder.encode, huffman=False)
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            number = getattr(event, "stream_id", None)
            if isinstance(event, RequestReceived):
                self.calls[number] = Call(event.headers)
                note("call", name=self.calls[number].name)
            elif isinstance(event, DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, number)
                self.heard(number, self.calls[number], event.data)
            elif isinstance(event, StreamEnded):
                asyncio.ensure_future(self.answer(number, self.calls[number]))  # noqa: RUF006 - the loop ends with the process
            elif isinstance(event, StreamReset) and (call := self.calls.pop(number, None)):
                note("cancelled", name=call.name, code=event.error_code)
        self.pump()

    def connection_lost(self, _: Exception | None) -> None:
        for call in self.calls.values():
            note("cancelled", name=call.name, code=None)

    def heard(self, number: int, call: Call, data: bytes) -> None:
        """Part of a request. A conversation is answered at once, part by part."""
        if call.name == "Converse":
            if not call.body:
                self.begin(number)
            call.outgoing.append(data)
        call.body += data

    async def answer(self, number: int, call: Call) -> None:
        while call.name in ROUGH.get("wait", ()) and not (FOLDER / "go").exists():  # noqa: ASYNC110 - a file is no event
            await asyncio.sleep(0.02)
        if number not in self.calls or call.name in ROUGH.get("never", ()):
            return
        if ROUGH.get("die") == call.name:
            self.die(number, call)
        if ROUGH.get("hang_up") == call.name:
            self.transport.close()
        elif call.name == "UpgradeResourceState":
            self.h2.reset_stream(number, 11)
            del self.calls[number]
        elif call.name == "MoveResourceState" or call.name.startswith("GetResourceIdentity"):
            self.only_trailers(number, 12, b"unknown method")
        elif call.name == "ImportResourceState" or call.name in ROUGH.get("fail", ()):
            details = (b"grpc-status-details-bin", b"A" * (int(call.body[5:] or b"0") or 40))
            self.only_trailers(number, 9, b"no%20such thing%3A %C3%A4", details)
        else:
            if call.name != "Converse":
                self.begin(number)
                call.outgoing.extend(framed(message) for message in self.messages(call, bytes(call.body[5:])))
            call.trailers = [(b"grpc-status", b"0"), (b"grpc-message", b""), (b"later", b"yes")]
        self.pump()

    def messages(self, call: Call, request: bytes) -> list[bytes]:
        if call.name == "GetProviderSchema":
            return [schema()]
        if call.name == "ConfigureProvider":
            return [b"\xff" if b"garble" in request else entry(1, DIAGNOSTIC) if b"refuse" in request else b""]
        if call.name == "ValidateProviderConfig":
            return [entry(2, request)]
        if call.name == "ApplyResourceChange":
            return [entry(1, dynamic({"id": "bed-1", "name": "oak"}))]
        if call.name == "PlanResourceChange":
            return [json.dumps([[name.decode(), value.decode()] for name, value in call.headers]).encode()]
        if call.name == "ListResource":
            count, size = map(int, request.split())
            return [b"%08d" % number + b"x" * (size - 8) for number in range(count)]
        if call.name == "WriteStateBytes":
            return [str(len(call.body)).encode()]
        return [request]

    def die(self, number: int, call: Call) -> None:
        """Not before a call that streams has begun to."""
        if call.name == "ListResource":
            self.begin(number)
            self.h2.send_data(number, framed(b"the first"))
            self.flush()
        os.write(2, f"panic: {call.name} was too much\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)

    def begin(self, number: int) -> None:
        self.h2.send_headers(number, [(b":status", b"200"), (b"content-type", b"application/grpc"), (b"early", b"yes")])

    def only_trailers(self, number: int, status: int, text: bytes, *more: tuple[bytes, bytes]) -> None:
        opening = [(b":status", b"200"), (b"content-type", b"application/grpc")]
        trailers = [(b"grpc-status", str(status).encode()), (b"grpc-message", text), *more]
        self.h2.send_headers(number, [*opening, *trailers], end_stream=True)
        del self.calls[number]

    def pump(self) -> None:
        """Say as much as there is room for."""
        for number, call in list(self.calls.items()):
            try:
                while call.outgoing:
                    room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
                    if room <= 0:
                        break
                    part = call.outgoing.popleft()
                    if part[room:]:
                        call.outgoing.appendleft(part[room:])
                    self.h2.send_data(number, part[:room])
                if not call.outgoing and call.trailers:
                    self.h2.send_headers(number, call.trailers, end_stream=True)
                    del self.calls[number]
            except ProtocolError:
                self.calls.pop(number, None)
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())


async def main() -> None:
    folder = os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or tempfile.gettempdir()
    path = f"{folder}/rough{os.getpid()}"
    await asyncio.get_running_loop().create_unix_server(Served, path)
    os.write(1, ROUGH.get("handshake", "1|6|unix|SOCKET|grpc|").replace("SOCKET", path).encode() + b"\n")
    if ROUGH.get("chatty"):
        for output in (sys.stdout, sys.stderr):
            output.write("nobody asked\n" * 80_000)
            output.flush()
    if not ROUGH.get("brief"):
        await asyncio.sleep(3600)


if __name__ == "__main__":
    note("started", folder=str(Path.cwd()))
    if "exit" in ROUGH:
        sys.exit(ROUGH["exit"])
    if ROUGH.get("silent"):
        signal.pause()
    asyncio.run(main())
