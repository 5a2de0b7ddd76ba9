"""What the command line works in: the project, with the flags that were given over its settings, and the console."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra_orch.console import Console

if TYPE_CHECKING:
    from infra_orch.project import Project


_WORDS: ContextVar[Sequence[str]] = ContextVar("the words of the command line that is run", default=())


@contextlib.contextmanager
def typed(words: Sequence[str]) -> Iterator[None]:
    """Within it, these are the words of the command line, without the program."""
    before = _WORDS.set(words)
    try:
        yield
    finally:
        _WORDS.reset(before)


def console_here(*, json: bool = False) -> Console:
    """A console that knows the words of the command line, for what is said of running it again."""
    return Console(json=json, words=_WORDS.get())


def project_here(*, no_gateway: bool = False, **flags: Any) -> Project:
    """Find the project of the current folder; *flags* that are not None win over its settings.

    Raises UsageError where there is none.
    """
    from infra_orch.project import find_project

    project = find_project(Path.cwd())
    given = {name: value for name, value in flags.items() if value is not None}
    given |= {"gateway": "off"} if no_gateway else {}
    return replace(project, settings=replace(project.settings, **given)) if given else project
