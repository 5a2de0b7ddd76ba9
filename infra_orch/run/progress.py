"""What a run tells while it is under way. The default tells nothing, so that a server can run in silence."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from infra_orch.run.outcome import Outcome, ResourceChange

_DONE_BY_APPLY = ("create", "update", "delete", "read")


class Progress:
    """Is told of every step. Called from worker threads: an implementation must take care of that itself."""

    def phase(self, name: str, nodes: Collection[str]) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002 - for implementations
        """Within it *nodes* are worked on. *name* is `plan`, `apply`, `destroy` or `read`; phases do not overlap."""
        return contextlib.nullcontext()

    def started(self, node: str, step: str, log: Path | None = None, total: int | None = None) -> None:
        """*node* began *step* (`read`, `init`, `plan`, `apply`, `destroy`, `task`), whose output goes to *log*.

        *total* is how many operations an apply consists of; see `operations`.
        """

    def finished(self, outcome: Outcome, step: str) -> None:
        """A node has come to its outcome of *step*, which is the name of the phase."""

    def note(self, text: str) -> None:
        """Something happened that the user should know of."""


class ProgressOf(Progress):
    """Tells another of what goes on in one *stack* of several: its nodes go by their names with the stack's."""

    def __init__(self, stack: str, whole: Progress) -> None:
        self._stack = stack
        self._whole = whole

    def phase(self, name: str, nodes: Collection[str]) -> contextlib.AbstractContextManager[None]:
        """Tell of a phase of this stack alone."""
        return self._whole.phase(name, [f"{self._stack}/{node}" for node in nodes])

    def started(self, node: str, step: str, log: Path | None = None, total: int | None = None) -> None:
        """Tell of it."""
        self._whole.started(f"{self._stack}/{node}", step, log, total)

    def finished(self, outcome: Outcome, step: str) -> None:
        """Tell of it."""
        self._whole.finished(replace(outcome, name=f"{self._stack}/{outcome.name}"), step)

    def note(self, text: str) -> None:
        """Tell of it."""
        self._whole.note(f"{self._stack}: {text}")


def operations(resources: Iterable[ResourceChange]) -> int:
    """How many operations an apply of *resources* consists of.

    Terraform says `apply_complete` once for each: twice for a resource that is replaced, never for one that is only
    moved or imported (tried with 1.11).
    """
    return sum(action in _DONE_BY_APPLY for change in resources for action in change.actions)
