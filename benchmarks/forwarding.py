"""What the gateway adds to one call of a provider: the same call, asked of the AWS provider itself and through it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgpack

from benchmarks.measure import table
from infra_orch.gateway import calls, provider
from infra_orch.gateway.client import REATTACH, Gateway
from infra_orch.gateway.http2 import Connection
from infra_orch.gateway.package import Packages
from infra_orch.gateway.start import Ways
from infra_orch.gateway.wire import framed

AWS = "registry.terraform.io/hashicorp/aws"
_CALLS = 2000
_CONFIG = msgpack.packb(dict.fromkeys(("description", "endpoint", "id", "name")))


def measure(unit: Path, folder: Path, env: Mapping[str, str]) -> str:
    """Ask *_CALLS* times, one after the other, in an initialised folder; the table of how long each took."""
    with tempfile.TemporaryDirectory(prefix="io-") as sockets:
        straight = asyncio.run(_straight(unit, env, Path(sockets)))
    ways = Ways(folder / "cache", shared=("hashicorp/aws",))
    with contextlib.closing(Gateway(ways, folder / "gateway.log")) as gateway, gateway.attached(unit, env) as attached:
        address = json.loads(attached.environment[REATTACH])[AWS]["Addr"]["String"]
        through = asyncio.run(_through(address))
    rows = [_row("asked of the provider", straight), _row("through the gateway", through)]
    return table(["one call", "median", "95 of 100", "99 of 100", "most"], rows)


async def _straight(unit: Path, env: Mapping[str, str], sockets: Path) -> list[float]:
    package = Packages().of(unit, AWS)
    running = await provider.start(package, env, unit, sockets)
    try:
        return await _times(await running.connect())
    finally:
        await running.end()


async def _through(address: str) -> list[float]:
    _, connection = await asyncio.get_running_loop().create_unix_connection(Connection, address)
    return await _times(connection)


async def _times(connection: Connection) -> list[float]:
    method = b"/tfplugin5.Provider/ValidateDataSourceConfig"
    headers = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", method), (b":authority", b"localhost")]
    headers += [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
    body = framed(_field(1, b"aws_region") + _field(2, _field(1, _CONFIG)))
    found = []
    with contextlib.closing(connection):
        for number in range(_CALLS + 100):
            began = time.perf_counter()
            await calls.call(cast("Any", None), connection, headers, body)
            if number >= 100:
                found.append(time.perf_counter() - began)
    return found


def _field(number: int, value: bytes) -> bytes:
    """A field of a protobuf message that is shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(value)]) + value


def _row(what: str, seconds: list[float]) -> list[str]:
    ranks = statistics.quantiles(seconds, n=100)
    return [
        what,
        *(f"{value * 1000:.2f} ms" for value in (statistics.median(seconds), ranks[94], ranks[98], max(seconds))),
    ]
