"""A gateway with the provider in rough_provider.py, and commands that it serves."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import pytest
from rough_client import ADDRESS, Caller, copied, happened

from infra_orch.gateway.client import REATTACH, Attached, Gateway
from infra_orch.gateway.line import ask
from infra_orch.gateway.start import Ways

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads Linux's /proc")
UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 12, 13, 14


@dataclass
class Command:
    """A Terraform command that the gateway serves."""

    attached: Attached
    callers: list[Caller] = field(default_factory=list)

    @property
    def reattach(self) -> dict[str, Any]:
        return dict(json.loads(self.attached.environment.get(REATTACH, "{}")))

    def connect(self, configuration: bytes | None = None) -> Caller:
        """A connection to the provider, configured where a configuration is given."""
        caller = Caller(self.reattach)
        self.callers.append(caller)
        if configuration is not None:
            assert caller.call("ConfigureProvider", configuration).status == 0
        return caller

    def close(self) -> None:
        for caller in self.callers:
            caller.close()


@dataclass
class Run:
    """A run whose commands *gateway* serves, in a *folder* of its own. *fallbacks* are what the user is told."""

    folder: Path
    unit: Path
    gateway: Gateway
    fallbacks: dict[str, str]

    @property
    def log(self) -> Path:
        return self.folder / "provider.log"

    @contextlib.contextmanager
    def command(
        self,
        unit: str = "unit",
        rough: Mapping[str, Any] | None = None,
        more: Mapping[str, str] | None = None,
        **about: Any,
    ) -> Iterator[Command]:
        """A command in a unit's folder; *rough* is how its provider is, *more* goes into its environment."""
        cwd = self.folder / "units" / unit
        if not cwd.exists():
            copied(self.unit, cwd)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "ROUGH_FOLDER": str(self.folder)}
        environment |= {"ROUGH": json.dumps(rough or {}), **(more or {})}
        with (
            self.gateway.attached(cwd, environment, **about) as attached,
            contextlib.closing(Command(attached)) as command,
        ):
            yield command

    def pids(self, what: str, name: str | None = None) -> list[int]:
        """The processes to which something happened, in that order."""
        return [line["pid"] for line in happened(self.log, what, name)]

    def status(self) -> dict[str, Any]:
        return ask(self.gateway._address, {"do": "status"})


@contextlib.contextmanager
def running(folder: Path, installed: Path, **ways: Any) -> Iterator[Run]:
    fallbacks: dict[str, str] = {}
    how = Ways(folder / "cache", **{"shared": (ADDRESS,), **ways})
    with contextlib.closing(Gateway(how, folder / "gateway.log", told=fallbacks.__setitem__)) as gateway:
        yield Run(folder, installed, gateway, fallbacks)


def entry(number: int, value: bytes) -> bytes:
    """A field of a protobuf message; as short as those of the tests are."""
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def creating(kind: str, **planned: Any) -> bytes:
    """A request of ApplyResourceChange for a resource that does not exist yet."""
    prior, after = (entry(1, msgpack.packb(value)) for value in (None, planned))
    return entry(1, kind.encode()) + entry(2, prior) + entry(3, after)


def journalled(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
