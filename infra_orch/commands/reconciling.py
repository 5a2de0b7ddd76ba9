"""One round of a reconciler: the branch fetched, what differs from its records applied, the records pushed."""

from __future__ import annotations

import fnmatch
import io
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from infra_orch.commands.apply import apply
from infra_orch.commands.following import (
    Branch,
    Memory,
    fetch,
    followed,
    move_on,
    notes_of,
    push,
    read_memory,
    refuse_differing,
    refuse_unsigned,
    unpushed,
    write_memory,
)
from infra_orch.commands.gone import gone_stacks, open_gone
from infra_orch.commands.leasing import Lease, Wanted, leased
from infra_orch.commands.options import RunOptions
from infra_orch.commands.settling import settle
from infra_orch.commands.stacks import Asked, asked_for
from infra_orch.console import Console
from infra_orch.errors import ExitCode, InterruptedRun, LockedError, UsageError, UserError
from infra_orch.git.lease import ref_of
from infra_orch.process import Supervisor
from infra_orch.project import Project
from infra_orch.report.reconcile import Round

_KEPT_RUNS = 1000
"""So many folders of runs that ended are kept: a reconciler makes them for as long as it lives."""


@dataclass(frozen=True)
class Wish:
    """What a reconciler was told: which *stacks* (none: all) of which *branch* of which *remote*.

    *signed*: only signed commits are followed. *lease*: the name of the one that it holds as it works; None: none.
    *seconds*: for how long that is held at a time.
    """

    stacks: tuple[str, ...]
    branch: str
    remote: str
    signed: bool
    lease: str | None
    seconds: float


@dataclass
class _Told:
    """What is known of a round as it goes on."""

    tip: str | None = None
    commit: str | None = None
    recorded: str | None = None
    pushed: bool | None = None
    over: str | None = None
    stacks: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Desk:
    """What a round needs: *load* reads the project anew, with the settings of the commit that is checked out."""

    load: Callable[[], Project]
    wish: Wish
    options: RunOptions
    console: Console
    supervisor: Supervisor


def reconcile_once(desk: Desk) -> Round:
    """Do one round, and return what came of it; what went wrong is in it, and was not told yet."""
    so_far = _Told()
    error: UserError | None = None
    try:
        code = _round(desk, so_far)
    except UserError as found:
        code, error = found.exit_code, found
    except OSError as found:
        error = UserError(f"{found.filename or 'the machine'}: {found.strerror or found}")
        code = error.exit_code
    return Round(
        branch=desk.wish.branch,
        remote=desk.wish.remote,
        commit=so_far.commit,
        recorded=so_far.recorded,
        pushed=so_far.pushed,
        over=so_far.over,
        stacks=so_far.stacks,
        code=code,
        error=error,
    )


def _round(desk: Desk, so_far: _Told) -> int:
    wish, console = desk.wish, desk.console
    project = desk.load()
    if not project.settings.commit and not desk.options.sandbox:
        raise UsageError(
            "reconcile leaves its records in git, and the setting commit is false", hint="INFRA_ORCH_COMMIT=1, or true"
        )
    with followed(project, wish.remote, wish.branch, console) as branch:
        if wish.signed:
            _refuse_to_sign_nothing(branch)
        with _lease(desk, branch, so_far) as lease:
            try:
                settle(project, branch, replace(desk.options, supervisor=desk.supervisor), console)
                refuse_differing(branch)
                tip = fetch(branch)
                if wish.signed:
                    refuse_unsigned(branch, tip)
                move_on(branch, tip)
                so_far.tip = so_far.recorded = tip = _push(branch, tip, so_far, desk)
                if wish.signed:  # others may have pushed meanwhile
                    refuse_unsigned(branch, tip)
                so_far.commit = tip
                code = _apply(desk, branch, lease, so_far)
                so_far.tip = so_far.recorded = _push(branch, tip, so_far, desk)
            except UserError:
                _remember(branch.notes, so_far, done=False)
                raise
            if code == ExitCode.INTERRUPTED and lease and lease.lost:
                lease.check()
            _remember(branch.notes, so_far, done=code == ExitCode.DONE)
            _tidy(project)
            return code


def _refuse_to_sign_nothing(branch: Branch) -> None:
    out = branch.repository.ask("config", "--type=bool", "--get", "commit.gpgsign")[1]
    if out.strip() != b"true":
        raise UsageError(
            "--signed follows signed commits alone, and the records that are made here would not be signed",
            hint="git config commit.gpgsign true, with a key of the reconciler's own among those that are allowed",
        )


@contextmanager
def _lease(desk: Desk, branch: Branch, so_far: _Told) -> Iterator[Lease | None]:
    if desk.wish.lease is None:
        yield None
        return
    holder = f"{branch.repository.user()} on {socket.gethostname()} (pid {os.getpid()})"
    checkout = branch.memory().checkout
    wanted = Wanted(branch.remote, ref_of(desk.wish.lease), desk.wish.seconds, holder, checkout)

    def lost(why: str) -> None:
        desk.console.warn(f"the lease {wanted.ref} is lost: {why}; the run ends as if it was interrupted")
        desk.supervisor.stop()

    with leased(wanted, desk.console, lost) as lease:
        if lease.over:
            here = lease.over.checkout == checkout
            what = (
                "died in this checkout" if here else "died, or lost its network, elsewhere; the states tell what it did"
            )
            desk.console.warn(f"a predecessor {what}: {lease.over}")
            so_far.over = str(lease.over)
        yield lease


def _push(branch: Branch, tip: str, so_far: _Told, desk: Desk) -> str:
    """Push what is here and not on the branch. Returns the commit that the branch is at."""
    if not unpushed(branch, tip):
        return tip
    so_far.pushed = False
    # Also where a stop was asked for: it takes a moment, and who comes next has to know what was done.
    found = push(branch, tip, lambda seconds: _pause(desk.supervisor, seconds))
    so_far.pushed = True
    desk.console.note(f"pushed to {branch.remote.name} {branch.name}: {found[:10]}")
    return found


def _pause(supervisor: Supervisor, seconds: float) -> bool:
    supervisor.wait_for_stop(seconds)
    return False


def _apply(desk: Desk, branch: Branch, lease: Lease | None, so_far: _Told) -> int:
    """Apply what differs from its records at the commit that is checked out. Returns the exit code."""
    if desk.supervisor.stopping:
        raise InterruptedRun("stopped before anything was applied")
    project = desk.load()
    asked, deleted = _asked(project, desk)
    if not asked.names and not deleted:
        desk.console.note("there is no stack to reconcile")
        return ExitCode.DONE

    def confirm() -> None:
        if lease:
            lease.confirm()
        if branch.repository.head() != so_far.tip:
            raise LockedError(
                "somebody moved the checkout while it was planned", hint="give the reconciler a clone of its own"
            )

    options = replace(
        desk.options,
        json=desk.console.json,
        auto_approve=True,
        changed_only=True,
        deleted=tuple(deleted),
        supervisor=desk.supervisor,
        confirm=confirm,
    )
    page = io.StringIO()
    console = replace(desk.console, out=page) if desk.console.json else desk.console
    try:
        return apply(project, asked, options, console)
    finally:
        if desk.console.json and page.getvalue():
            so_far.stacks |= json.loads(page.getvalue())["stacks"]


def _asked(project: Project, desk: Desk) -> tuple[Asked, list[str]]:
    """The stacks that are to be looked at, and those that are gone and are to be destroyed."""
    wish, options, console = desk.wish, desk.options, desk.console
    gone = [name for name in gone_stacks(project) if _is_asked_for(name, wish.stacks)]
    prunes = options.prunes(project)
    if gone and not prunes:
        left = [name for name in gone if open_gone(project, name, console, sandbox=options.sandbox)]
        if left:
            console.note(f"deleted, and still there: {', '.join(left)}; --prune destroys what still exists of it")
    named = [name for name in wish.stacks if name not in gone]
    there = any(folder.spec.is_file() or options.from_rendered for folder in project.stack_folders())
    words = " ".join(wish.stacks) or "--all"
    if (wish.stacks and not named) or (not wish.stacks and not there):
        return Asked((), several=True, words=words), gone if prunes else []
    asked = asked_for(project, named, console, everything=not wish.stacks, from_rendered=options.from_rendered)
    return replace(asked, several=True, words=words), gone if prunes else []


def _is_asked_for(name: str, stacks: Sequence[str]) -> bool:
    return not stacks or any(fnmatch.fnmatchcase(name, pattern.removeprefix("stacks/")) for pattern in stacks)


def _remember(notes: Path, so_far: _Told, *, done: bool) -> None:
    memory = read_memory(notes)
    write_memory(notes, Memory(memory.checkout, memory.moving, so_far.tip, done))


def _tidy(project: Project) -> None:
    """Remove the folders of the oldest runs that ended: nothing is owed for these."""
    folders = sorted(path for path in (project.scratch / "runs").glob("*") if (path / "run.json").is_file())
    for folder in folders[:-_KEPT_RUNS]:
        shutil.rmtree(folder, ignore_errors=True)


def last_round(project: Project) -> Memory:
    """What the last round came to."""
    return read_memory(notes_of(project))
