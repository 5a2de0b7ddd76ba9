"""The policies of a project: the files in its folder `policies/`, loaded."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from infra_orch.errors import Problem, RefusedError, SpecError, UsageError, Where
from infra_orch.policies.declare import Policy
from infra_orch.policies.judge import Policies
from infra_orch.policies.rego import load_rego
from infra_orch.policies.rego_text import RegoFile
from infra_orch.project import Project, StackFolder
from infra_orch.spec.caller import is_users
from infra_orch.spec.load import evaluate

FOLDER = "policies"
_TESTS = "_test.rego"
"""How files end that test policies in Rego, by the custom of OPA and Conftest."""


def load_policies(project: Project, given: Path | None, *, from_rendered: bool) -> Policies:
    """Return the policies of a project: those in `policies/`, or in the folder that is *given*; none where neither is.

    A run *from_rendered* files asks nothing that a change may have brought: its policies come from a folder that lies
    outside of the project. Raises RefusedError where they do not, UsageError where a folder that is given holds none,
    SpecError for what is wrong with one, UnavailableError where what evaluates it is not there.
    """
    folder = (given or project.root / FOLDER).absolute()
    files = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
    rego = sorted(path for path in folder.rglob("*.rego") if not path.name.endswith(_TESTS))
    if given and not files and not rego:
        raise UsageError(f'--policies "{given}" holds no policies', hint="they are the files *.py and *.rego in it")
    if from_rendered and (files or rego) and folder.resolve().is_relative_to(project.root):
        raise RefusedError(
            f"{project.shown(folder)}/ may have come with a change: from rendered files it is not asked",
            hint="--policies DIR names those of a checkout that you trust, outside of this one",
        )
    loaded = load_rego([_rego_file(file, project) for file in rego])
    return Policies(_python(files, folder, project) if files else (), loaded, project.shown)


def _rego_file(file: Path, project: Project) -> RegoFile:
    shown = project.shown(file)
    try:
        return RegoFile(shown, file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise SpecError([Problem(f"it cannot be read: {words}", Where(shown))]) from error


def _python(files: list[Path], folder: Path, project: Project) -> tuple[Policy, ...]:
    found: dict[str, Policy] = {}
    with _modules_aside(project, folder):
        for file in files:
            for policy in _declared(file, folder, project):
                if policy.name in found:
                    raise SpecError([_twice(policy, found[policy.name], project)])
                found[policy.name] = policy
    return tuple(found.values())


def _declared(file: Path, folder: Path, project: Project) -> list[Policy]:
    name = f"infra_orch_policies_{file.stem}"
    module = evaluate(file, file.read_bytes(), name, StackFolder(project, folder))
    policies = [value for value in vars(module).values() if isinstance(value, Policy)]
    mine = [policy for policy in dict.fromkeys(policies) if policy.where[0] == str(file)]
    if not mine:
        shown = project.shown(file)
        hint = "@policy() above a function declares one; a file of helpers is called _….py"
        raise SpecError([Problem(f"{shown} declares no policy", Where(shown), hint)])
    return mine


def _twice(policy: Policy, other: Policy, project: Project) -> Problem:
    file, line = policy.where
    message = f'policy "{policy.name}" is declared in {project.shown(other.where[0])}:{other.where[1]}, too'
    return Problem(message, Where(project.shown(file), line), "a verdict names its policy: give one another name")


@contextlib.contextmanager
def _modules_aside(project: Project, folder: Path) -> Iterator[None]:
    """Within it, imports find the modules in *folder*, and none that a spec has imported."""
    theirs = {name: module for name, module in sys.modules.items() if _is_of_users(module, project.root)}
    for name in theirs:
        del sys.modules[name]
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(folder))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.dont_write_bytecode = written
        sys.path.remove(str(folder))
        for name in [name for name, module in sys.modules.items() if _is_of_users(module, folder)]:
            if not name.startswith("infra_orch_policies_"):
                del sys.modules[name]
        sys.modules.update(theirs)


def _is_of_users(module: ModuleType, root: Path) -> bool:
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return bool(file) and is_users(str(file), root)
