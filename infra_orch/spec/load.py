"""Evaluate a stack file and find the stack that it declares."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from infra_orch.errors import Problem, SpecError, Where
from infra_orch.project import StackFolder
from infra_orch.spec.caller import is_users
from infra_orch.spec.complaint import complaint
from infra_orch.spec.stack import Stack


def load_stack(folder: StackFolder) -> Stack:
    """Run `stack.py` of *folder* and return the one Stack that it holds.

    What the file prints goes to stderr. Modules that several stacks share are found from the stack's folder, from
    `stacks/` and from the project's root, also by what a task imports later. Raises SpecError, with the user's own
    line, where the file cannot be read, does not parse, raises, or holds no stack or several.
    """
    shown = folder.project.shown(folder.spec)
    module = _execute(folder, _source(folder, shown))
    named = vars(module).get("stack")
    if isinstance(named, Stack):
        return named
    stacks = {id(value): value for value in vars(module).values() if isinstance(value, Stack)}
    if len(stacks) == 1:
        return next(iter(stacks.values()))
    if stacks:
        names = ", ".join(f'"{stack.name}"' for stack in stacks.values())
        message = f"{shown} holds {len(stacks)} stacks ({names})"
        raise SpecError([Problem(message, Where(shown), "keep one, or call the one that is meant `stack`")])
    hint = f'stack = Stack("{folder.path.name}") declares one'
    raise SpecError([Problem(f"{shown} declares no stack", Where(shown), hint)])


def load_aside(folder: StackFolder) -> Stack:
    """Load a stack that is only referred to: what the one that was loaded before imports stays as it is.

    Raises SpecError as load_stack() does.
    """
    modules = {name: sys.modules[name] for name in _last_modules if name in sys.modules}
    paths = [*_last_paths]
    try:
        return load_stack(folder)
    finally:
        _forget_last()
        sys.modules.update(modules)
        sys.path += paths
        _last_paths[:], _last_modules[:] = paths, modules


def _source(folder: StackFolder, shown: str) -> bytes:
    try:
        return folder.spec.read_bytes()
    except OSError as error:
        raise SpecError([Problem(f"{shown} cannot be read: {error.strerror}", Where(shown))]) from error


def _execute(folder: StackFolder, source: bytes) -> ModuleType:
    name = "infra_orch_stack_" + "".join(c if c.isalnum() else "_" for c in folder.name)
    with _user_modules(folder):
        return evaluate(folder.spec, source, name, folder)


def evaluate(file: Path, source: bytes, name: str, folder: StackFolder) -> ModuleType:
    """Run the *source* of a user's *file* as the module *name*, and return that.

    Raises SpecError, with the user's own line, for whatever it raises; its paths are shown as in *folder*.
    """
    module = ModuleType(name)
    module.__file__ = str(file)
    # Where it is not known by its name, a dataclass in it cannot be made.
    sys.modules[name] = module
    try:
        # Compiled here and not by an import, so that no __pycache__ appears among the user's files, or is believed.
        code = compile(source, file, "exec", dont_inherit=True)
        exec(code, vars(module))  # noqa: S102 - a spec is code; security.md says what follows
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise SpecError([complaint(error, folder)]) from error
    return module


_last_paths: list[str] = []
"""The folders of the stack that was loaded last: at the end of sys.path, for what its tasks import when they run."""
_last_modules: list[str] = []
"""The names of the user's own modules that it imported."""


@contextlib.contextmanager
def _user_modules(folder: StackFolder) -> Iterator[None]:
    """Let the code within import the user's modules, write none of them to disk, and print to stderr.

    Modules of a stack that was loaded before are forgotten, so that its `names.py` is not taken for this stack's.
    """
    project = folder.project
    paths = [str(folder.path), str(project.stacks), str(project.root)]
    _forget_last()
    known = set(sys.modules)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path[0:0] = paths
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.dont_write_bytecode = written
        _remove(paths)
        # At the end of the path, a file of the user's can stand in for no module of ours that is imported later.
        sys.path += paths
        _last_paths[:] = paths
        _last_modules[:] = [name for name in set(sys.modules) - known if is_users(_file(name), project.root)]


def is_forgotten(module: str) -> bool:
    """Whether *module* was imported by the spec that was evaluated last, and the next one will not see it."""
    return module in _last_modules


def next_path() -> list[str]:
    """Where the next spec will look for what is none of the user's: sys.path without what was added to it."""
    return [place for place in sys.path if place not in _last_paths]


def _forget_last() -> None:
    _remove(_last_paths)
    for name in _last_modules:
        sys.modules.pop(name, None)


def _remove(paths: list[str]) -> None:
    for path in paths:
        with contextlib.suppress(ValueError):
            sys.path.remove(path)


def _file(module: str) -> str:
    """Where a module lies; of a folder without `__init__.py`, which has no file, where what is in it lies first."""
    found = sys.modules[module]
    return getattr(found, "__file__", None) or next(iter(getattr(found, "__path__", ())), "")
