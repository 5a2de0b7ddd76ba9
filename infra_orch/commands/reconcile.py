"""`infra-orch reconcile`: what is on a branch is applied, once or again and again, and recorded on it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import FrameType

from infra_orch.commands.options import RunOptions
from infra_orch.commands.reconciling import Desk, Wish, last_round, reconcile_once
from infra_orch.console import Console
from infra_orch.errors import ExitCode, UnavailableError, UsageError, UserError
from infra_orch.git.remote import Remote, branch_ref, find_remote, is_ancestor
from infra_orch.git.repository import find_repository
from infra_orch.process import Supervisor, in_a_process
from infra_orch.project import Project
from infra_orch.record.carry import foreign
from infra_orch.report.reconcile import document_text, round_document, round_line
from infra_orch.run.interrupt import polite_stop

_LONGEST_SECONDS = 900.0
"""However often it failed: it is tried again after so long, or after the time of --watch where that is longer."""
_SHORTEST_LEASE = 1.0


def reconcile(
    load: Callable[[], Project], wish: Wish, options: RunOptions, console: Console, *, watch: float | None
) -> int:
    """Do one round, or with *watch* one every so many seconds until a signal asks to stop.

    *load* reads the project: its settings may differ from commit to commit. Returns the exit code: of *watch*, 0 where
    it was stopped between two rounds. Raises UsageError for what cannot be.
    """
    if wish.seconds < _SHORTEST_LEASE:
        raise UsageError(f"--lease-seconds {wish.seconds:g} is too short to be renewed", hint="180 is the default")
    project = load()
    supervisor = Supervisor(project.settings.patience)
    desk = Desk(load, wish, options, console, supervisor)
    if watch is None:
        with polite_stop(supervisor, console.note):
            return _one(desk, on_a_line=False)
    return _Loop(desk, project, watch).run()


def _one(desk: Desk, *, on_a_line: bool) -> int:
    """Do one round, tell what came of it, and return its exit code."""
    at, began = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    found = reconcile_once(desk)
    if found.error:
        desk.console.error(found.error)
    if line := round_line(found):
        desk.console.note(line)
    if desk.console.json:
        document = round_document(found, at, time.monotonic() - began)
        desk.console.document(document_text(document, on_a_line=on_a_line))
    return found.code


@dataclass
class _Loop:
    """Rounds until a signal asks to stop. Each is done in a process of its own, so that it evaluates the project's
    Python as it is at the commit, and leaves nothing in memory; one in which nothing can have changed only asks the
    remote where the branch is.
    """

    desk: Desk
    project: Project
    seconds: float
    child: int | None = field(default=None, init=False)
    tried: str | None = field(default=None, init=False)
    failures: int = field(default=0, init=False)
    again_at: float = field(default=0.0, init=False)
    unreachable: str = field(default="", init=False)

    def run(self) -> int:
        """Go on until a signal comes. Returns 130 where that interrupted a round, else 0."""
        repository = find_repository(self.project.root)
        if repository is None:
            raise UsageError(f"{self.project.root} is no git repository", hint="git clone the project")
        remote, ref = find_remote(repository, self.desk.wish.remote), branch_ref(repository, self.desk.wish.branch)
        code = 0
        with self._signals():
            while not self.desk.supervisor.stopping:
                began = time.monotonic()
                try:
                    tip = remote.refs(ref).get(ref)
                    self._reachable()
                    pause = self.seconds
                    if self._is_worth_it(remote, ref, tip):
                        self.tried, code = tip, self._round()
                except UnavailableError as error:
                    pause = self._not_reachable(error)
                self.desk.supervisor.wait_for_stop(max(0.0, pause - (time.monotonic() - began)))
        return ExitCode.INTERRUPTED if code == ExitCode.INTERRUPTED else ExitCode.DONE

    def _is_worth_it(self, remote: Remote, ref: str, tip: str | None) -> bool:
        """Whether there may be something to do: the branch has moved, or what failed is to be tried again.

        Another reconciler that fails leaves its record on the branch; where it has moved by records alone, what failed
        here is not tried again because of that, or the two would drive each other on.
        """
        if self.desk.supervisor.stopping:
            return False
        if self.tried is None or tip is None:
            return True
        known = last_round(self.project)
        if known.done:
            return known.tip != tip
        before = known.tip or self.tried
        if tip == before or self._moved_by_records(remote, ref, before, tip):
            return time.monotonic() >= self.again_at
        return True

    def _moved_by_records(self, remote: Remote, ref: str, before: str, tip: str) -> bool:
        repository = remote.repository
        prefix = repository.prefix(self.project.root)
        try:
            here = remote.bring(ref, tip) and is_ancestor(repository, before, tip)
            return here and not foreign(repository, before, tip, prefix)
        except UnavailableError:
            raise
        except UserError:
            return False

    def _round(self) -> int:
        code = in_a_process(self._in_the_child, self._started)
        self.child = None
        if code < 0:
            name = signal.Signals(-code).name
            self.desk.console.warn(f"the round was ended by {name}; the next one sees to what it has left")
        if code == ExitCode.DONE:
            self.failures, self.again_at = 0, 0.0
        elif code != ExitCode.LOCKED:
            self.failures += 1
            self.again_at = time.monotonic() + self._pause(self.failures)
        return code

    def _in_the_child(self) -> int:
        console = self.desk.console
        try:
            return _one(self.desk, on_a_line=True)
        except UserError as error:
            console.error(error)
            return error.exit_code
        except Exception as error:  # noqa: BLE001  the boundary of this process
            what = f"this is a defect of infra-orch: {type(error).__name__}: {error}"
            console.error(UserError(what, hint="without --watch, INFRA_ORCH_TRACEBACK=1 shows where; please report it"))
            return ExitCode.FAILED

    def _started(self, pid: int) -> None:
        self.child = pid
        if self.desk.supervisor.stopping:
            _tell(pid, signal.SIGTERM)

    def _pause(self, failures: int) -> float:
        return max(self.seconds, min(_LONGEST_SECONDS, self.seconds * 2.0 ** min(failures, 20)))

    def _reachable(self) -> None:
        if self.unreachable:
            self.desk.console.note(f"{self.desk.wish.remote} can be reached again")
            self.unreachable, self.failures = "", 0

    def _not_reachable(self, error: UserError) -> float:
        """Say so, once, and return after how many seconds it is tried again."""
        self.failures += 1
        pause = self._pause(self.failures)
        if self.unreachable != error.summary:
            self.desk.console.warn(f"{error.summary}; it is tried again, less and less often")
            self.unreachable = error.summary
        return pause

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Within it, a signal ends the loop after the round at hand, which is told to end what it is about."""

        def stop(number: int, _frame: FrameType | None) -> None:
            if not self.desk.supervisor.stopping:
                rest = ", and the round with it" if self.child else ""
                self.desk.console.note(f"{signal.Signals(number).name}: the loop ends{rest}")
                self.desk.supervisor.stop()
            if self.child:
                _tell(self.child, signal.SIGTERM)

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _tell(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
