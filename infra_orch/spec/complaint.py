"""What a user's file raised, as a problem at the innermost line that the user wrote."""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Callable, Mapping

from infra_orch.errors import Problem, Where, nearest
from infra_orch.project import StackFolder
from infra_orch.spec.caller import is_own, is_users
from infra_orch.spec.credentials import Credentials
from infra_orch.spec.provider import Backend, Provider, S3Backend
from infra_orch.spec.stack import Stack

_CALLS: Mapping[str, Callable[..., object]] = {
    "Stack.__init__": Stack,
    "Stack.unit": Stack.unit,
    "Stack.task": Stack.task,
    "Provider.__init__": Provider,
    "Backend.__init__": Backend,
    "S3Backend.__init__": S3Backend,
    "Credentials.__init__": Credentials,
    "Credentials.profile": Credentials.profile,
    "Credentials.role": Credentials.role,
    "Credentials.web_identity": Credentials.web_identity,
    "Credentials.command": Credentials.command,
}
_UNEXPECTED = re.compile(r"([\w.]+)\(\) got an unexpected keyword argument '(\w+)'")
_LONGEST = 1000


def complaint(error: BaseException, folder: StackFolder) -> Problem:
    """Return what *error*, raised while the stack file of *folder* was evaluated, says to its author."""
    project = folder.project
    if isinstance(error, SyntaxError) and error.filename and not error.filename.startswith("<"):
        line = (error.text or "").strip()
        message = f"{error.msg}: {line}" if line else str(error.msg)
        return Problem(message, Where(project.shown(error.filename), error.lineno or 0))
    frame = _users_frame(error, folder)
    where = Where(project.shown(frame.filename), frame.lineno or 0) if frame else Where(project.shown(folder.spec))
    code = f"\n    {frame.line.strip()}" if frame and frame.line else ""
    return Problem(f"{_words(error)}{code}", where, _hint(error, folder))


def _users_frame(error: BaseException, folder: StackFolder) -> traceback.FrameSummary | None:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not is_own(frame.filename)]
    mine = [frame for frame in frames if is_users(frame.filename, folder.project.root)]
    return next(iter(reversed(mine or frames)), None)


def _words(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the file ends the program: sys.exit({'' if error.code is None else repr(error.code)})"
    text = str(error)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _hint(error: BaseException, folder: StackFolder) -> str:
    if isinstance(error, ModuleNotFoundError):
        return _missing_module(error, folder)
    if isinstance(error, ImportError) and error.name == "infra_orch":
        return nearest(_imported(str(error)), sys.modules["infra_orch"].__all__)
    if isinstance(error, TypeError) and (match := _UNEXPECTED.search(str(error))):
        function = _CALLS.get(match[1])
        return nearest(match[2], inspect.signature(function).parameters) if function else ""
    if isinstance(error, TypeError) and str(error) == "'Reference' object is not callable":
        return 'it has no methods, as it has no value yet; Terraform computes: expression(f"upper({net.outputs.name})")'
    if isinstance(error, NameError) and error.name:
        known = sys.modules["infra_orch"].__all__
        return f"from infra_orch import {error.name}" if error.name in known else nearest(error.name, known)
    return ""


def _missing_module(error: ModuleNotFoundError, folder: StackFolder) -> str:
    project = folder.project
    folders = (folder.path, project.stacks, project.root)
    helpers = [path.stem for place in folders for path in place.glob("*.py") if path != folder.spec]
    shown = dict.fromkeys(
        f"{project.shown(place)}/" if place != project.root else "the project's root" for place in folders
    )
    found = nearest((error.name or "").partition(".")[0], helpers)
    return found or f"modules are looked for in {', '.join(shown)}, and among the installed packages"


def _imported(message: str) -> str:
    match = re.match(r"cannot import name '(\w+)'", message)
    return match[1] if match else ""
