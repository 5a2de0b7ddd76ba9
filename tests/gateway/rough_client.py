"""What stands in Terraform's place, for faults and streams that no Terraform makes on request: a gRPC client with h2 alone.

And folders as `terraform init` leaves them, for the provider in rough_provider.py.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes
from network_mirror import PLATFORM

ADDRESS = "example.com/acme/rough"
PROGRAM = Path(__file__).with_name("rough_provider.py")


def mirrored(mirror: Path) -> Path:
    """Make a provider mirror with the rough provider in it; its package, unpacked."""
    package = mirror / ADDRESS / "1.0.0" / PLATFORM
    package.mkdir(parents=True)
    program = package / "terraform-provider-rough_v1.0.0"
    program.write_text(f"#!{sys.executable}\n{PROGRAM.read_text()}")
    program.chmod(0o755)
    (package / "LICENSE").write_text("Do as you like.\n")
    return package


def initialised(unit: Path, mirror: Path) -> Path:
    """Make a folder whose configuration needs the rough provider, and have Terraform initialise it."""
    unit.mkdir(parents=True)
    (unit / "main.tf").write_text(
        f'terraform {{\n  required_providers {{\n    rough = {{\n      source = "{ADDRESS}"\n    }}\n  }}\n}}\n'
        'resource "rough_bed" "it" {}\n'
    )
    settings = unit.parent / "terraformrc"
    settings.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
    environment = {**os.environ, "TF_CLI_CONFIG_FILE": str(settings), "CHECKPOINT_DISABLE": "1"}
    subprocess.run(["terraform", "init", "-no-color"], cwd=unit, env=environment, check=True, capture_output=True)
    return unit


def copied(unit: Path, to: Path) -> Path:
    """Another folder that is initialised as *unit* is."""
    return shutil.copytree(unit, to, symlinks=True)


def happened(log: Path, what: str, name: str | None = None) -> list[dict[str, Any]]:
    """What rough providers noted, of one kind, about one call."""
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [line for line in lines if line["what"] == what and name in (None, line.get("name"))]


@dataclass
class Reply:
    """What a call was answered: *reset* is the code of HTTP/2 that ended it, *lost* that its connection ended."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    trailers: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    reset: int | None = None
    lost: bool = False

    @property
    def over(self) -> bool:
        return self.ended or self.lost or self.reset is not None

    @property
    def status(self) -> int | None:
        """gRPC's status code."""
        found = (self.trailers or self.headers).get("grpc-status")
        return None if found is None else int(found)

    @property
    def messages(self) -> list[bytes]:
        """The messages that came whole."""
        found, rest = [], bytes(self.body)
        while len(rest) >= 5 and len(rest) - 5 >= (size := int.from_bytes(rest[1:5], "big")):
            found.append(rest[5 : 5 + size])
            rest = rest[5 + size :]
        return found


class Caller:
    """A connection to where TF_REATTACH_PROVIDERS says that a provider is."""

    def __init__(self, reattach: Mapping[str, Any], seconds: float = 20.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(seconds)
        self._socket.connect(reattach[ADDRESS]["Addr"]["String"])
        self._replies: dict[int, Reply] = {}
        self._h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._h2.update_settings({SettingCodes.MAX_HEADER_LIST_SIZE: 16 << 20})
        self._flush()
        while self._h2.remote_settings.max_concurrent_streams < 1000:  # what the other side allows comes first
            self._read()
        self._h2.decoder.max_header_list_size = 16 << 20

    def begin(self, name: str, metadata: Mapping[str, str] | None = None) -> int:
        """Begin a call of the provider; its number."""
        number = self._h2.get_next_available_stream_id()
        self._replies[number] = Reply()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", f"/tfplugin6.Provider/{name}"),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *(metadata or {}).items(),
        ]
        self._h2.send_headers(number, headers)
        self._flush()
        return number

    def send(self, number: int, message: bytes, *, ends: bool = False) -> None:
        """Send a message, as fast as it is taken."""
        rest = memoryview(b"\0" + len(message).to_bytes(4, "big") + message)
        while rest:
            room = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size, len(rest))
            if room <= 0:
                self._read()
                continue
            self._h2.send_data(number, bytes(rest[:room]))
            rest = rest[room:]
            self._flush()
        if ends:
            self.end(number)

    def end(self, number: int) -> None:
        """Say that no more messages come."""
        self._h2.end_stream(number)
        self._flush()

    def reply(self, number: int, messages: int | None = None) -> Reply:
        """Wait for the end of a call, or until so many messages came."""
        reply = self._replies[number]
        while not reply.over and (messages is None or len(reply.messages) < messages):
            self._read()
        return reply

    def call(self, name: str, message: bytes = b"", metadata: Mapping[str, str] | None = None) -> Reply:
        """A whole call of one message."""
        number = self.begin(name, metadata)
        self.send(number, message, ends=True)
        return self.reply(number)

    def cancel(self, number: int) -> None:
        """Give a call up."""
        self._h2.reset_stream(number, 8)
        self._flush()

    def close(self) -> None:
        """Go away, whatever is under way."""
        self._socket.close()

    def _read(self) -> None:
        try:
            data = self._socket.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            for reply in self._replies.values():
                reply.lost = not reply.over or reply.lost
            if not self._replies:
                raise ConnectionError("the gateway closed the connection")
            return
        for event in self._h2.receive_data(data):
            self._take(event)
        self._flush()

    def _take(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            raise ConnectionError(f"the gateway gave the connection up: {event.error_code}")
        reply = self._replies.get(getattr(event, "stream_id", None) or 0, Reply())
        if isinstance(event, ResponseReceived):
            reply.headers = dict(event.headers)
        elif isinstance(event, TrailersReceived):
            reply.trailers = dict(event.headers)
        elif isinstance(event, DataReceived):
            reply.body += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            reply.ended = True
        elif isinstance(event, StreamReset):
            reply.reset = event.error_code

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        try:
            self._socket.sendall(data)
        except ConnectionError:
            for reply in self._replies.values():
                reply.lost = not reply.over or reply.lost
