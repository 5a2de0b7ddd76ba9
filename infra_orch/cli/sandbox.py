"""`infra-orch sandbox start|stop|status|reset|rehearse`."""

from __future__ import annotations

import typer

from infra_orch.cli import options as o
from infra_orch.cli.here import console_here, project_here

sandbox_app = typer.Typer(
    help="An emulated AWS that any stack can be rehearsed against.", no_args_is_help=True, rich_markup_mode=None
)


@sandbox_app.command("start", epilog="Example: infra-orch sandbox start")
def sandbox_start() -> int:
    """Start an emulator that is kept until it is stopped."""
    from infra_orch.commands import sandbox

    return sandbox.start(project_here(), console_here())


@sandbox_app.command("stop", epilog="Example: infra-orch sandbox stop")
def sandbox_stop() -> int:
    """End the kept emulator, and all that is in it."""
    from infra_orch.commands import sandbox

    return sandbox.stop(project_here(), console_here())


@sandbox_app.command("status", epilog="Example: infra-orch sandbox status")
def sandbox_status() -> int:
    """Say whether an emulator is kept, and what is in it."""
    from infra_orch.commands import sandbox

    return sandbox.status(project_here(), console_here())


@sandbox_app.command("reset", epilog="Example: infra-orch sandbox reset")
def sandbox_reset() -> int:
    """Empty the kept emulator."""
    from infra_orch.commands import sandbox

    return sandbox.reset(project_here(), console_here())


@sandbox_app.command("rehearse", epilog="Example: infra-orch sandbox rehearse prod")
def sandbox_rehearse(
    stack: o.Stack,
    parallelism: o.Parallelism = None,
    engine: o.Engine = None,
    no_gateway: o.NoGateway = False,
) -> int:
    """Apply a stack there, plan it, destroy it, see that all is gone."""
    from infra_orch.commands import sandbox
    from infra_orch.commands.options import RunOptions

    project = project_here(no_gateway=no_gateway, parallelism=parallelism, engine=engine)
    return sandbox.rehearse(project, stack, RunOptions(), console_here())
