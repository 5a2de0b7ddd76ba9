"""Which stacks a command is for: by name, by pattern, or all of them."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from infra_orch.commands.affecting import Change, affected_stacks
from infra_orch.commands.options import RunOptions
from infra_orch.console import Console
from infra_orch.errors import ExitCode, SpecError, UsageError
from infra_orch.project import Project

_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Asked:
    """The stacks that a run was asked for. *several*: by more than one name, a pattern, or as all that there are: then
    its nodes go by their stacks' names, also where it is only one. No *names*: all that a change affects. *words* are
    those of the command line.
    """

    names: tuple[str, ...]
    several: bool
    words: str

    @property
    def only(self) -> str:
        """The one stack, where it is not several."""
        return self.names[0]

    @classmethod
    def one(cls, name: str) -> Asked:
        """One stack, by its name."""
        return cls((name,), several=False, words=name)


def asked_for(
    project: Project,
    names: Sequence[str],
    console: Console,
    *,
    everything: bool,
    affected: bool = False,
    from_rendered: bool = False,
) -> Asked:
    """Return the stacks that a run was asked for. *affected*: where none is named, those that a change affects.

    Raises UsageError as chosen_stacks() does.
    """
    if affected and not names:
        return Asked((), several=True, words="--affected")
    several = everything or len(names) != 1 or bool(_PATTERN.search(names[0]))
    if not several:
        return Asked.one(names[0])
    found = chosen_stacks(project, names, console, everything=everything, from_rendered=from_rendered)
    return Asked(tuple(found), several=True, words="--all" if everything else shlex.join(names))


def asked_for_by_bundle(names: Sequence[str], options: RunOptions, *, everything: bool) -> Asked:
    """Return what a run was asked for that applies what a preview kept: it says which stacks are in it.

    Raises UsageError where that is said twice.
    """
    if names or everything or options.plan or options.resume:
        said = " ".join([*names, *(["--all"] if everything else [])]) or ("--plan" if options.plan else "--resume")
        raise UsageError(
            f"--bundle says which stacks are applied: it does not go with {said}",
            hint=f"infra-orch apply --bundle {options.bundle}",
        )
    return Asked((), several=True, words=f"--bundle {options.bundle}")


def refuse_several(options: RunOptions) -> None:
    """Refuse what goes with one stack alone. Raises UsageError."""
    for flag, value in (("--out", options.out), ("--plan", options.plan), ("--resume", options.resume)):
        if value:
            raise UsageError(f"{flag} is of one stack, and there are several", hint="name the one that is meant")


def chosen_stacks(
    project: Project,
    names: Sequence[str],
    console: Console,
    *,
    everything: bool,
    change: Change | None = None,
    from_rendered: bool = False,
) -> list[str]:
    """Return the names of the stacks that *names*, names and patterns, fit, each once; or of all that there are.

    A pattern fits stacks with a spec; *from_rendered*: those that are rendered. With *change* only those in which it
    affects something, of all where none is named.

    Raises UsageError for a name that no stack has, a pattern that fits none, and where nothing is named; and as
    affected_stacks() does.
    """
    if everything and names:
        raise UsageError(f"--all means every stack, and {', '.join(names)} some of them", hint="give one of the two")
    if change:
        named = chosen_stacks(project, names, console, everything=False) if names else []
        return affected_stacks(project, named, change, console)
    if not everything and not names:
        raise UsageError("which stack?", hint=f"{_here(project)}; --all means all of them")
    folders = list(project.stack_folders()) if everything or any(map(_PATTERN.search, names)) else []
    there = {folder.name: folder.index.is_file() if from_rendered else folder.spec.is_file() for folder in folders}
    found = [stack for name in (names or ["*"]) for stack in _fitting(project, name, there)]
    gone = [name for name, is_there in there.items() if not is_there and not from_rendered]
    if everything and gone:
        console.warn(
            f"{', '.join(gone)}: the stack file is gone, the rendered files are here; "
            f"infra-orch destroy {gone[0]} --from-rendered destroys what still exists of it"
        )
    return list(dict.fromkeys(found))


def _fitting(project: Project, name: str, there: Mapping[str, bool]) -> list[str]:
    if not _PATTERN.search(name):
        return [project.stack(name).name]
    fits = fnmatch.filter((stack for stack, is_there in there.items() if is_there), name.removeprefix("stacks/"))
    if not fits:
        raise UsageError(f'no stack fits "{name}"', hint=_here(project))
    return fits


def _here(project: Project) -> str:
    known = [folder.name for folder in project.stack_folders()]
    return f"stacks here: {', '.join(known[:10])}" if known else "infra-orch new stack NAME makes one"


def for_each_stack(stacks: Sequence[str], console: Console, work: Callable[[str], int]) -> int:
    """Do *work* for every stack, also where the spec of another one is wrong, which is said as it is found.

    Returns the first exit code that is not 0.
    """
    codes = []
    for stack in stacks:
        try:
            codes.append(work(stack))
        except SpecError as error:
            console.error(error)
            codes.append(ExitCode.SPEC)
    return next(filter(None, codes), ExitCode.DONE)
