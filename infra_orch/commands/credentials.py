"""The credentials of a run's units and tasks: whose they are, and whether the programs among them may run."""

from __future__ import annotations

import shlex

from infra_orch.commands.opening import Opened
from infra_orch.commands.options import RunOptions
from infra_orch.errors import RefusedError, Where
from infra_orch.process import Supervisor
from infra_orch.redact import Redactor
from infra_orch.render.index import RenderedStack
from infra_orch.run.credentials import COMMAND_HINT, Wallet


def wallet_for(opened: Opened, run_id: str, options: RunOptions, redactor: Redactor, supervisor: Supervisor) -> Wallet:
    """Return the credentials of a stack's units and tasks; nothing is asked for yet, and in the sandbox never.

    Raises RefusedError where a program is to print some of them, and settings do not allow that.
    """
    rendered = opened.rendered
    allowed = _may_run_programs(rendered, options)
    if not allowed and not options.sandbox:
        _refuse_programs(rendered)
    wallet = Wallet(
        f"infra-orch-{run_id}",
        opened.folder.path,
        redactor,
        asks=not options.sandbox,
        runs_commands=allowed,
        stopping=lambda: supervisor.stopping,
    )
    wallet.learn_tasks(rendered.credentials)
    for unit in (*(kept.unit for kept in rendered.left_over.values()), *rendered.units.values()):
        wallet.learn(unit)
    return wallet


def _may_run_programs(rendered: RenderedStack, options: RunOptions) -> bool:
    """Whether a program may print credentials: where a commit alone names it, only if settings say so."""
    allow = rendered.folder.project.settings.allow
    return bool(allow.settled().credential_commands) if options.from_rendered or allow.is_set else True


def _refuse_programs(rendered: RenderedStack) -> None:
    units = (*rendered.units.values(), *(kept.unit for kept in rendered.left_over.values()))
    whose = [(f'"{unit.name}"', unit.where, unit.credentials) for unit in units]
    whose.append(("tasks", Where(rendered.folder.project.shown(rendered.folder.index)), rendered.credentials))
    for title, where, identities in whose:
        for command in identities.commands() if identities else ():
            raise RefusedError(
                f"the credentials of {title} come from a program, which is not allowed: {shlex.join(command.argv)}",
                hint=COMMAND_HINT,
                where=where,
            )
