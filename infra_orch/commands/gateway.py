"""The provider gateway of a run, as the settings have it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

from infra_orch.console import Console
from infra_orch.engine.cli_config import CliConfig
from infra_orch.engine.providers import provider_cache_folder
from infra_orch.gateway.client import Gateway, Ways
from infra_orch.project import Project
from infra_orch.run.context import RunContext

_OVERRIDDEN = re.compile(r'^\s*"?([^"\s=]+)"?\s*=', re.MULTILINE)


@contextlib.contextmanager
def served_by(project: Project, context: RunContext, console: Console) -> Iterator[Gateway | None]:
    """The gateway for a run's commands, or None where it is switched off. What it cannot serve is told once."""
    if project.settings.gateway == "off":
        yield None
        return

    def told(provider: str, reason: str) -> None:
        console.warn(f"{provider} is started by every Terraform command for itself: {reason}")
        with contextlib.suppress(OSError):
            context.journal.write("fallback", provider=provider, reason=reason)

    if context.providers.config.methods is None:
        told("every provider", "your CLI configuration is used as it is, and may have providers from elsewhere")
        yield None
        return
    gateway = Gateway(ways_of(project, context.providers.config), context.run_folder / "gateway.log", told)
    with contextlib.closing(gateway):
        yield gateway


def ways_of(project: Project, config: CliConfig) -> Ways:
    """How the gateway is to work. What the user's CLI configuration has from elsewhere is Terraform's own."""
    settings = project.settings
    cache = provider_cache_folder(os.environ, settings.provider_cache, project.scratch / "providers")
    overridden = [
        name
        for method in config.methods or ()
        if method.kind == "dev_overrides"
        for name in _OVERRIDDEN.findall(method.body)
    ]
    skipped = (*settings.gateway_skip, *overridden)
    return Ways(cache / "schemas", settings.gateway_shared, skipped, settings.gateway_idle, settings.gateway_memory)
