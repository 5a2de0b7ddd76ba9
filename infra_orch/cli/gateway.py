"""`infra-orch gateway start|stop|status`."""

from __future__ import annotations

import typer

from infra_orch.cli import options as o
from infra_orch.cli.here import console_here, project_here

gateway_app = typer.Typer(
    help="Providers that stay alive, so that the next run is faster.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@gateway_app.command("start", epilog="Example: infra-orch gateway start")
def gateway_start() -> int:
    """Start a gateway that every run uses until it is stopped."""
    from infra_orch.commands import gateway

    return gateway.start(project_here(), console_here())


@gateway_app.command("stop", epilog="Example: infra-orch gateway stop")
def gateway_stop() -> int:
    """End it, and its providers, once no command uses them."""
    from infra_orch.commands import gateway

    return gateway.stop(project_here(), console_here())


@gateway_app.command("status", epilog="Example: infra-orch gateway status")
def gateway_status(json: o.Json = False) -> int:
    """Say whether one is kept, and which providers it keeps."""
    from infra_orch.commands import gateway

    return gateway.status(project_here(), console_here(json=json))
