"""`infra-orch init`, and `infra-orch new project|stack|module`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra_orch.cli import completion
from infra_orch.cli.here import console_here, project_here

new_app = typer.Typer(
    help="Files to begin with: a project, a stack, a module.", no_args_is_help=True, rich_markup_mode=None
)


def _template(kind: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        "--template",
        metavar="NAME",
        help=f"Make it of the templates in {kind}-NAME/, and not in {kind}/.",
        envvar="INFRA_ORCH_TEMPLATE",
        autocompletion=completion.templates(kind),
        show_default=False,
    )
    return option


_NewName = Annotated[str, typer.Argument(metavar="NAME", help="Its name, which is that of its folder.")]


@new_app.command("project", epilog="Example: infra-orch new project infra")
def new_project(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The folder to make, or an empty one (`.` is this one).")],
    templates: Annotated[
        Path | None,
        typer.Option(
            "--templates",
            metavar="DIR",
            help="Make it of the templates in project/ there.",
            envvar="INFRA_ORCH_TEMPLATES",
            show_default=False,
        ),
    ] = None,
    template: Annotated[str | None, _template("project")] = None,
) -> int:
    """Make a project, with an example that can be planned at once."""
    from infra_orch.commands import new

    return new.project(name, console_here(), templates=templates, template=template)


@new_app.command("stack", epilog="Example: infra-orch new stack staging")
def new_stack(name: _NewName, template: Annotated[str | None, _template("stack")] = None) -> int:
    """Make a stack in this project: stacks/NAME/stack.py."""
    from infra_orch.commands import new

    return new.stack(project_here(), name, console_here(), template=template)


@new_app.command("module", epilog="Example: infra-orch new module queue")
def new_module(name: _NewName, template: Annotated[str | None, _template("module")] = None) -> int:
    """Make a Terraform module in this project: modules/NAME/."""
    from infra_orch.commands import new

    return new.module(project_here(), name, console_here(), template=template)


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A folder in a git repository (default: this one).")
    ] = Path(),
    from_: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="DIR",
            help="A root module there that becomes a unit of a new stack (repeatable).",
            envvar="INFRA_ORCH_FROM",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Make a project of a repository, and write over nothing."""
    from infra_orch.commands.init import init as command

    return command(folder, from_ or (), console_here())
