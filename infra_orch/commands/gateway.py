"""The provider gateway: of a run, as the settings have it, and `infra-orch gateway start|stop|status`."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from infra_orch.console import Console
from infra_orch.engine.cli_config import CliConfig
from infra_orch.engine.providers import provider_cache_folder
from infra_orch.errors import ExitCode, UnavailableError
from infra_orch.gateway.client import Gateway, KeptGateway
from infra_orch.gateway.line import GatewayError, ask
from infra_orch.gateway.start import WarmPlace, Ways
from infra_orch.project import Project
from infra_orch.run.context import RunContext

_OVERRIDDEN = re.compile(r'^\s*"?([^"\s=]+)"?\s*=', re.MULTILINE)
_ANSWER_SECONDS = 10.0
_END_SECONDS = 10.0
_MIB = 1 << 20


@contextlib.contextmanager
def kept_gateway(project: Project, common: Path | None = None) -> Iterator[KeptGateway]:
    """A gateway for the runs that are begun within it, one after the other; it is started when one needs it first.

    *common*: a folder below which the processes run that serve several stacks.
    """
    with contextlib.closing(KeptGateway(_ways(project), project.scratch / "gateway.log", common)) as kept:
        yield kept


@contextlib.contextmanager
def served_by(
    project: Project, contexts: Sequence[RunContext], console: Console, kept: KeptGateway | None = None
) -> Iterator[Gateway | None]:
    """The gateway for the commands of a run over stacks, the one that is *kept* for several runs if there is one; None
    where it is switched off. What it cannot serve is told once.
    """
    config = contexts[0].providers.config

    def told(provider: str, reason: str) -> None:
        console.warn(f"{provider} is started by every Terraform command for itself: {reason}")
        for context in contexts:
            context.journal.note("fallback", provider=provider, reason=reason)

    def found(address: str) -> None:
        # What providers still do for commands that are gone is asked for there.
        for context in contexts:
            context.journal.write("gateway", durable=True, address=address)

    if project.settings.gateway == "off":
        yield None
    elif config.methods is None:
        told("every provider", "your CLI configuration is used as it is, and may have providers from elsewhere")
        yield None
    else:
        ways = _ways(project, _overridden(config))
        log = contexts[0].run_folder / "gateway.log"
        warm = project.settings.gateway == "warm"
        gateway = Gateway(ways, log, warm=warm, kept=kept, told=told, found=found)
        with contextlib.closing(gateway):
            yield gateway


def start(project: Project, console: Console) -> int:
    """Start a gateway that runs of this user use until it is stopped; one that runs already is left running."""
    ways = _ways(project)
    try:
        address, new = WarmPlace.of(ways).start(ways, math.inf)
        about = ask(address, {"do": "stay"}, seconds=_ANSWER_SECONDS)
    except (OSError, GatewayError) as error:
        raise UnavailableError(f"the gateway cannot be started: {error}") from error
    console.result(f"the gateway {'runs' if new else 'runs already'} (pid {about['pid']})")
    console.note("plans and applies use it from now on; infra-orch gateway stop ends it and its providers")
    return ExitCode.DONE


def stop(project: Project, console: Console) -> int:
    """End the gateway that outlives runs, as soon as no command uses it."""
    found = _running(project)
    if found is None:
        console.note("no gateway was running")
        return ExitCode.DONE
    address, about = found
    with contextlib.suppress(GatewayError):
        ask(address, {"do": "stop"}, seconds=_ANSWER_SECONDS)
    deadline = time.monotonic() + _END_SECONDS
    while time.monotonic() < deadline:
        if _running(project) is None:
            console.note("the gateway is stopped")
            return ExitCode.DONE
        time.sleep(0.05)
    count = len(about["serves"])
    console.note(f"the gateway (pid {about['pid']}) takes no new runs, and ends with the last of {count} commands")
    return ExitCode.DONE


def status(project: Project, console: Console) -> int:
    """Say whether a gateway outlives runs, and which providers it keeps. Returns 1 where there is none."""
    found = _running(project)
    if console.json:
        console.document(json.dumps(found[1] if found else None, indent=2))
    elif found is None:
        console.result("no gateway is kept; infra-orch gateway start starts one")
    else:
        console.result(_lines(found[1]))
    return ExitCode.DONE if found else ExitCode.FAILED


def _lines(about: dict[str, Any]) -> list[str]:
    minutes = round(about["seconds"] / 60)
    commands, runs = len(about["serves"]), about["runs"]
    lines = [f"the gateway runs (pid {about['pid']}, for {minutes} min); {commands} commands of {runs} runs use it"]
    for provider in about["providers"]:
        what = "configured" if provider["configured"] else "for schemas and checks"
        use = f"{provider['users']} use it" if provider["users"] else "idle"
        name = f"{provider['provider'].partition('/')[2]} {provider['version']}"
        lines.append(f"  {name}  pid {provider['pid']}, {provider['memory'] // _MIB} MiB, {what}, {use}")
    return lines


def _running(project: Project) -> tuple[str, dict[str, Any]] | None:
    try:
        address = WarmPlace.of(_ways(project)).address()
        return (address, ask(address, {"do": "status"}, seconds=_ANSWER_SECONDS)) if address else None
    except GatewayError:
        return None


def _ways(project: Project, overridden: Sequence[str] = ()) -> Ways:
    """How the gateway is to work. What the user's CLI configuration has from elsewhere is Terraform's own."""
    settings = project.settings
    cache = provider_cache_folder(os.environ, settings.provider_cache, project.scratch / "providers")
    skipped = (*settings.gateway_skip, *overridden)
    return Ways(cache / "schemas", settings.gateway_shared, skipped, settings.gateway_idle, settings.gateway_memory)


def _overridden(config: CliConfig) -> list[str]:
    """The providers that the user's CLI configuration takes from folders of its own."""
    blocks = [method.body for method in config.methods or () if method.kind == "dev_overrides"]
    return [name for block in blocks for name in _OVERRIDDEN.findall(block)]
