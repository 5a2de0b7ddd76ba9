"""A run's side of the gateway: start it, have it serve a Terraform command, and learn what became of that."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra_orch.gateway.line import GatewayError, Line, hold
from infra_orch.gateway.package import providers_of
from infra_orch.gateway.start import IDLE_SECONDS, WarmPlace, Ways, folder_for_a_run, start
from infra_orch.process import birth

REATTACH = "TF_REATTACH_PROVIDERS"
_END_SECONDS = 5.0


@dataclass
class Used:
    """What a run's commands took from the gateway, and the providers that they had to start themselves, with why."""

    started: int = 0
    shared: int = 0
    fallbacks: dict[str, str] = field(default_factory=dict)


@dataclass
class Attached:
    """A command's providers: *environment* is what it needs besides its own. *lost*: what providers that ended said."""

    environment: Mapping[str, str]
    lost: list[Mapping[str, str]] = field(default_factory=list)
    _line: Line | None = None

    def started(self, pid: int) -> None:
        """Say which process it is."""
        if self._line:
            with contextlib.suppress(GatewayError):
                self._line.send({"pid": pid, "born": birth(pid)})


class KeptGateway:
    """A gateway for several runs of this process, one after the other: started when one needs it first.

    *common*: a folder below which the processes run that serve several folders; None: beside each run's own folders.
    """

    def __init__(self, ways: Ways, log: Path, common: Path | None = None) -> None:
        self.common = common
        self._ways = ways
        self._log = log
        self._lock = threading.Lock()
        self._address = ""
        self._hold: Line | None = None
        self._process: threading.Thread | None = None

    def address(self) -> str:
        """Where it is. Raises GatewayError or OSError where it cannot be started."""
        with self._lock:
            if not self._address:
                address, self._process = start(self._ways, self._log, folder_for_a_run())
                self._hold = hold(address)
                self._address = address
            return self._address

    def close(self) -> None:
        """End it, and its providers."""
        with self._lock:
            if self._hold:
                self._hold.close()
                self._hold = None
        if self._process:
            self._process.join(_END_SECONDS)


class Gateway:
    """The gateway of one run: started when it is needed first. Safe to use from many threads.

    It is gone with the run, unless it is *warm*: then one serves all runs of this user, and ends when it is idle for
    long; or *kept* for other runs of this process, too. One that was started by hand serves every run. *told* is told,
    once for each provider, why commands start it themselves; *found* is told the gateway's address.
    """

    def __init__(
        self,
        ways: Ways,
        log: Path,
        *,
        warm: bool = False,
        kept: KeptGateway | None = None,
        told: Callable[[str, str], None] = lambda _provider, _reason: None,
        found: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.used = Used()
        self._told = told
        self._found = found
        self._ways = ways
        self._log = log
        self._warm = warm
        self._kept = kept
        self._lock = threading.Lock()
        self._address = ""
        self._hold: Line | None = None
        self._process: threading.Thread | None = None
        self._broken = ""

    @contextlib.contextmanager
    def attached(self, cwd: Path, environment: Mapping[str, str], **about: Any) -> Iterator[Attached]:
        """Serve the providers of a command in *cwd* for as long as the context lasts.

        *about* is the rest of what door.py's Asked has. Where the gateway cannot be had the command gets nothing, and
        starts its providers itself.
        """
        line = None
        if providers_of(cwd):
            try:
                line, answer = self._attach(cwd, environment, about)
            except GatewayError as error:
                self._note("every provider", str(error))
        if line is None:
            yield Attached({})
            return
        with contextlib.closing(line):
            for fallback in answer["fallbacks"]:
                self._note(fallback["provider"], fallback["reason"])
            reattach = answer["reattach"]
            attached = Attached({REATTACH: json.dumps(reattach)} if reattach else {}, _line=line)
            yield attached
            with contextlib.suppress(GatewayError):
                done = line.ask({"do": "detach"})
                attached.lost.extend(done["lost"])
                with self._lock:
                    self.used.started += done["tally"]["started"]
                    self.used.shared += done["tally"]["shared"]

    def close(self) -> None:
        """Let it go: it ends once no command is under way, and its providers with it."""
        with self._lock:
            if self._hold:
                self._hold.close()
                self._hold = None
        if self._process:
            self._process.join(_END_SECONDS)

    def _attach(
        self, cwd: Path, environment: Mapping[str, str], about: Mapping[str, Any]
    ) -> tuple[Line, dict[str, Any]]:
        line = Line(self._started())
        try:
            asked = {"cwd": str(cwd), "environment": dict(environment), **about}
            if self._kept and self._kept.common:
                asked["common"] = str(self._kept.common)
            lists = {"shared": self._ways.shared, "skipped": self._ways.skipped}
            return line, line.ask({"do": "attach", **asked, **lists})
        except BaseException:
            line.close()
            raise

    def _started(self) -> str:
        """The gateway's address; it is started where it does not run. Raises GatewayError where it cannot be."""
        with self._lock:
            if self._broken:
                raise GatewayError(self._broken)
            if not self._address:
                try:
                    self._address, self._hold = self._open()
                except (OSError, GatewayError) as error:
                    self._broken = f"the gateway cannot be started: {error}"
                    raise GatewayError(self._broken) from error
                self._found(self._address)
            return self._address

    def _open(self) -> tuple[str, Line]:
        place = WarmPlace.of(self._ways)
        if address := place.address():
            with contextlib.suppress(GatewayError):
                return address, hold(address)
        if self._warm:
            address, _ = place.start(self._ways, IDLE_SECONDS)
        elif self._kept:
            address = self._kept.address()
        else:
            address, self._process = start(self._ways, self._log, folder_for_a_run())
        return address, hold(address)

    def _note(self, provider: str, reason: str) -> None:
        with self._lock:
            new = self.used.fallbacks.setdefault(provider, reason) is reason
        if new:
            self._told(provider, reason)
