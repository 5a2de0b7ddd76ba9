"""`infra-orch unlock STACK [UNIT]`: say whose the state locks are, and give back those whose holder is gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from infra_orch.commands.opening import Opened
from infra_orch.commands.options import RunOptions
from infra_orch.commands.recovering import as_it_was_run, told
from infra_orch.commands.selecting import chosen_names
from infra_orch.commands.session import Session, session
from infra_orch.commands.wanted import Wanted
from infra_orch.console import Console
from infra_orch.errors import ExitCode, LockedError, RefusedError, UserError
from infra_orch.project import Project
from infra_orch.recovery.death import read_death
from infra_orch.run.prepare import UnitWork, read_files
from infra_orch.run.progress import Progress
from infra_orch.run.state_lock import StateLock, is_ours, lock_of, release


@dataclass(frozen=True)
class _Held:
    """A state lock, the unit, and the run of ours that certainly left it behind (None: nobody here knows)."""

    lock: StateLock
    work: UnitWork
    run_id: str | None


def unlock(
    project: Project, stack: str, unit: str | None, options: RunOptions, console: Console, *, force: bool
) -> int:
    """Show who holds the state locks of a stack, or of one unit, and give back those whose holder is gone.

    *force* gives back those, too, of which nobody here knows whether their holder lives. Returns the exit code.
    Raises LockedError where a lock stays, RefusedError where nobody is there to be asked.
    """
    opened, from_rendered = as_it_was_run(project.stack(stack), sandbox=options.sandbox)
    options = replace(options, wanted=Wanted((unit,) if unit else ()), from_rendered=from_rendered)
    # The stack's own lock goes with its holder: to have it proves that no run of ours here is at work on it.
    with session(project, opened, "unlock", console, Progress(), options) as run:
        found, kept = list(_locks(opened, run, options)), []
        if not found:
            console.note(f"no state of {opened.rendered.name} is locked" if unit is None else f"{unit} is not locked")
        for held in found:
            console.result(_told(held))
            if held.run_id is None and not force:
                kept.append(held)
            elif not held.lock.id:
                raise UserError(f"the lock of {held.lock.unit} has no id, so its backend gives it back to nobody else")
            else:
                _asked(held, options, console, run)
                with told():
                    release(held.lock, held.work, run.context)
                console.note(f"{held.lock.unit}: unlocked")
        run.context.journal.write("done", durable=True, status="unlocked")
    if kept:
        raise LockedError(
            f"nobody here knows whether the holder of {', '.join(held.lock.unit for held in kept)} lives",
            hint="once you are sure that it does not: the same command again with --force",
        )
    return ExitCode.DONE


def _locks(opened: Opened, run: Session, options: RunOptions) -> Iterator[_Held]:
    rendered = opened.rendered
    for name in sorted(chosen_names(opened, options.wanted) & rendered.units.keys()):
        work = UnitWork(rendered.units[name], read_files(rendered.folder.rendered, rendered.units[name]))
        with told():
            lock = lock_of(work, run.context)
        if lock:
            yield _Held(lock, work, _ours(lock, opened, run))


def _ours(lock: StateLock, opened: Opened, run: Session) -> str | None:
    """The run that took the lock: one of ours, by this user on this machine, which can only be dead."""
    if not is_ours(lock) or lock.created is None:
        return None
    created = lock.created.timestamp()
    for folder in sorted((opened.folder.project.scratch / "runs").glob("*"), reverse=True):
        if folder.name == run.context.run_id:
            continue
        dead = read_death(folder.name, opened.folder)
        if dead.stack != opened.folder.name or dead.began > created + 1:
            continue
        if dead.took(lock.unit, created):
            return folder.name
        if dead.began <= created:
            return None  # an older run had given the stack back before this one began
        # The lock's time is told to the second, and this run may have begun within it, after the one that took it.
    return None


def _told(held: _Held) -> Iterator[str]:
    lock = held.lock
    yield f"{lock.unit}: locked by {lock}" + (f", for {lock.operation}" if lock.operation else "")
    if held.run_id:
        yield f"  that was run {held.run_id}, whose process is gone"


def _asked(held: _Held, options: RunOptions, console: Console, run: Session) -> None:
    if options.auto_approve:
        return
    if not console.interactive:
        raise RefusedError(
            f"nobody is there to be asked whether {held.lock.unit} is to be unlocked",
            hint=f"{console.again('--auto-approve')}, if that is meant",
        )
    if not console.ask(f"Unlock {held.lock.unit}?", lambda: run.context.supervisor.stopping):
        raise RefusedError(f"{held.lock.unit} stays locked")
