"""`infra-orch sandbox start|stop|status|reset|rehearse`: an emulated AWS, and a rehearsal of a stack in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from infra_orch.commands.apply import apply, destroy
from infra_orch.commands.gateway import kept_gateway
from infra_orch.commands.options import RunOptions
from infra_orch.commands.plan import plan
from infra_orch.commands.sandboxing import emulator_folder, forget_sandbox
from infra_orch.commands.stacks import Asked
from infra_orch.console import Console
from infra_orch.errors import ExitCode
from infra_orch.project import Project
from infra_orch.report.style import safe
from infra_orch.sandbox import leftovers, server

_SHOWN = 20


def start(project: Project, console: Console) -> int:
    """Start an emulator that is kept until it is stopped; one that runs already is left running."""
    running = server.status(emulator_folder(project))
    emulator = running or server.start(emulator_folder(project))
    if running is None:
        forget_sandbox(project, emulator.url)
    console.result(f"the sandbox runs at {emulator.url} (pid {emulator.pid})")
    console.note("infra-orch plan STACK --sandbox now uses it; infra-orch sandbox stop ends it and all that is in it")
    return ExitCode.DONE


def stop(project: Project, console: Console) -> int:
    """End the kept emulator, and forget the states that described what was in it."""
    running = server.status(emulator_folder(project))
    stopped = server.stop(emulator_folder(project))
    if running is not None:
        forget_sandbox(project, running.url)
    console.note("the sandbox is stopped" if stopped else "no sandbox was running")
    return ExitCode.DONE


def status(project: Project, console: Console) -> int:
    """Say whether an emulator is kept, and what is in it. Returns 1 where none is."""
    emulator = server.status(emulator_folder(project))
    if emulator is None:
        console.result("no sandbox is kept; infra-orch sandbox start starts one")
        return ExitCode.FAILED
    console.result(f"the sandbox runs at {emulator.url} (pid {emulator.pid}, since {emulator.started})")
    existing = leftovers.leftovers(emulator.url)
    console.result([f"{_counted(existing, 'exists', 'exist')} in it", *_listed(existing)])
    return ExitCode.DONE


def reset(project: Project, console: Console) -> int:
    """Empty the kept emulator, and forget the states that described what was in it."""
    running = server.status(emulator_folder(project))
    server.reset(emulator_folder(project))
    if running is not None:
        forget_sandbox(project, running.url)
    console.note("the sandbox is empty")
    return ExitCode.DONE


def rehearse(project: Project, stack: str, options: RunOptions, console: Console) -> int:
    """Apply a stack whole in an emulator of its own, plan again, destroy, and check that nothing is left.

    Returns 0 where the second plan was empty and nothing is left.
    """
    asked = Asked.one(stack)
    with server.start_for_run(emulator_folder(project)) as emulator, kept_gateway(project) as gateway:
        forget_sandbox(project, emulator.url)
        given = replace(options, emulator_url=emulator.url, gateway=gateway)
        settled = replace(given, sandbox=True, auto_approve=True, allow_unseen=True, commit=False)
        again = replace(settled, detailed_exitcode=True)
        steps: tuple[tuple[str, Callable[[], int]], ...] = (
            ("apply", lambda: apply(project, asked, settled, console)),
            ("plan again", lambda: plan(project, asked, again, console)),
            ("destroy", lambda: destroy(project, asked, settled, console)),
        )
        failed = ""
        for title, step in steps:
            console.note(console.err_style(f"── {title} ──", "bold"))
            code = step()
            if code == ExitCode.INTERRUPTED:
                return code
            if code != ExitCode.DONE:
                failed = failed or ("the second plan is not empty" if code == ExitCode.CHANGES else f"{title} failed")
        existing = leftovers.leftovers(emulator.url)
        forget_sandbox(project, emulator.url)
    if existing:
        console.note(["what is left:", *_listed(existing)])
        failed = failed or f"{_counted(existing, 'is', 'are')} left after the destroy"
    if failed:
        console.note(console.err_style(f"{stack}: the rehearsal failed: {failed}", "bold", "red"))
        return ExitCode.FAILED
    console.note(
        console.err_style(
            f"{stack}: applied, planned again with no changes, destroyed, nothing is left", "bold", "green"
        )
    )
    return ExitCode.DONE


def _counted(existing: list[str], one: str, many: str) -> str:
    if not existing:
        return f"nothing {one}"
    return f"1 resource {one}" if len(existing) == 1 else f"{len(existing)} resources {many}"


def _listed(existing: list[str]) -> list[str]:
    more = [f"  and {len(existing) - _SHOWN} more"] if len(existing) > _SHOWN else []
    return [*(f"  {safe(line, keep_newlines=False)}" for line in existing[:_SHOWN]), *more]
