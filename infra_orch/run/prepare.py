"""Make a unit's work folder ready: its files, its upstream values, its providers and modules (init)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from infra_orch.engine import command
from infra_orch.engine.platforms import complete_lock
from infra_orch.engine.providers import UnitToInit
from infra_orch.errors import UnavailableError
from infra_orch.files import private_folder, write_atomically, write_if_different
from infra_orch.guard.check import check_installed, check_unit
from infra_orch.module.configuration import SUFFIXES
from infra_orch.module.files import LOCK_FILE, module_files, module_folders
from infra_orch.project import StackFolder
from infra_orch.render.hcl import VARIABLE_PREFIX
from infra_orch.render.index import RenderedUnit
from infra_orch.run.context import RunContext
from infra_orch.run.remote import check_remote_outputs
from infra_orch.run.terraform import StepError, UnitCommand, invoke
from infra_orch.run.values import UPSTREAM_FILE, Upstream

SANDBOX_FILE = "infra_orch_sandbox_override.tf"
ADOPT_FILE = "infra_orch_adopt.tf"
_OURS = frozenset({"backend.tf", UPSTREAM_FILE, SANDBOX_FILE, ADOPT_FILE})
_READ_BY_TERRAFORM = re.compile(r"\.(?:tf|tofu|tfvars)(?:\.json)?$")
"""Whatever of these lies in a folder changes what is planned: `terraform.tfvars` and `*.auto.tfvars` unasked, too."""
_INIT_MARK = ".infra-orch-init"


@dataclass(frozen=True)
class UnitWork:
    """A unit to be worked on: as it was rendered, and the text of its files. *destroy*: it is to go. *drift*: its state
    is compared with what there is, and nothing else is looked at.
    """

    unit: RenderedUnit
    files: Mapping[str, str]
    destroy: bool = False
    drift: bool = False


@dataclass(frozen=True)
class Ready:
    """A work folder in which Terraform can run, and the variables that its environment needs (secrets among them)."""

    folder: Path
    variables: Mapping[str, str]


def read_files(folder: Path, unit: RenderedUnit) -> dict[str, str]:
    """Read the rendered files of a unit, its dependency lock file included where it has one."""
    own = f"{folder}/{unit.name}"
    names = [*unit.files, *([LOCK_FILE] if os.path.isfile(f"{own}/{LOCK_FILE}") else [])]  # noqa: PTH113 - of thousands
    texts = {}
    for name in names:
        with open(f"{own}/{name}", encoding="utf-8") as file:  # noqa: PTH123
            texts[name] = file.read()
    return texts


def prepare(work: UnitWork, context: RunContext, upstream: Upstream, *, former: bool = False) -> Ready:
    """Bring the work folder of a unit up to date, and run init where something that init reads has changed.

    *former*: on the state that the unit had under its former name. Raises StepError where init fails or an environment
    variable that the unit reads is not set, NotAllowedError where the setting `allow` does not allow what is in it.
    """
    folder = private_folder(context.work / work.unit.name)
    _write_files(work, context, folder)
    put_backend(work, context, folder, former=former)
    write_upstream(folder, upstream)
    ready = Ready(folder, {**environment_values(work.unit, context), **upstream.variables})
    mark = folder / _INIT_MARK
    guarded = _guarded(work, context, folder)
    check_unit(*guarded)
    if not (folder / ".terraform").is_dir() or _read(mark) != init_fingerprint(work, context, folder):
        initialise(work, context, ready)
    check_installed(*guarded)
    return ready


def _guarded(
    work: UnitWork, context: RunContext, folder: Path
) -> tuple[StackFolder, RenderedUnit, Path, frozenset[str]]:
    """What the guard is told of a unit: its folder, and which files in it were written by us just now, and last."""
    ours = {UPSTREAM_FILE, SANDBOX_FILE} if context.sandbox else {UPSTREAM_FILE}
    return context.stack.folder, work.unit, folder, frozenset(ours)


def put_backend(work: UnitWork, context: RunContext, folder: Path, *, former: bool) -> bool:
    """Write the backend of a unit, or of its former name, into *folder*; in the sandbox over it. Whether it changed."""
    unit = work.unit
    context.wallet.learn(unit)
    name = unit.formerly if former and unit.formerly else unit.name
    text = unit.former_backend if former and unit.former_backend else work.files["backend.tf"]
    changed = write_if_different(folder / "backend.tf", text, mode=0o600)
    if context.sandbox:
        state = os.path.relpath(context.sandbox.state / f"{name}.tfstate", folder)
        changed |= write_if_different(folder / SANDBOX_FILE, context.sandbox.override(unit, state), mode=0o600)
    return changed


def prepare_backend(work: UnitWork, context: RunContext, *, former: bool = False) -> Path:
    """Have init make a folder ready from which Terraform can read a unit's state. Raises StepError where it fails, and
    what write_backend() raises.
    """
    folder = write_backend(work, context, former=former)
    if not (folder / ".terraform").is_dir():
        argv = command.init(context.engine, reconfigure=True)
        invoke(context, UnitCommand(work.unit.name, "state", argv, folder, context.init_environment)).check()
    return folder


def write_backend(work: UnitWork, context: RunContext, *, former: bool = False) -> Path:
    """Write a unit's backend, and nothing else, so that no provider is needed, into a folder of its own.

    It lies beside the unit's work folder, so that both can be used at once. Raises NotAllowedError where the setting
    `allow` does not allow the backend.
    """
    bare = UnitWork(replace(work.unit, providers=()), work.files)
    folder = private_folder(context.work / f"{work.unit.name}.{'former-' if former else ''}state")
    if put_backend(bare, context, folder, former=former):
        shutil.rmtree(folder / ".terraform", ignore_errors=True)
    check_unit(*_guarded(bare, context, folder))
    return folder


def initialise(work: UnitWork, context: RunContext, ready: Ready) -> None:
    """Run init. The lock file that Terraform then has goes beside the rendered files, to be committed."""
    folder = ready.folder
    mark = folder / _INIT_MARK
    mark.unlink(missing_ok=True)
    name, log = work.unit.name, context.log(work.unit.name, "init")
    context.progress.started(name, "init", log)
    environment = context.wallet.for_unit(name, context.init_environment, changes=False)
    unit = UnitToInit(name, folder, work.unit.required, environment, log)
    with _as_step(context, log):
        context.providers.prepare(unit)
    argv = command.init(context.engine, reconfigure=True)
    invoke(context, UnitCommand(name, "init", argv, folder, context.init_environment)).check()
    if context.sandbox and (outward := context.sandbox.guard(folder)):
        raise StepError(f"the sandbox cannot keep this from the world: {'; '.join(outward)}", kind="refused")
    project = context.stack.folder.project
    if work.unit.outputs and not (project.root / work.unit.module).is_dir():
        check_remote_outputs(work.unit, folder, project.cache / "modules")
    if context.lock_platforms:
        with _as_step(context, log):
            complete_lock(context.providers, unit, context.lock_platforms)
    lock = _read(folder / LOCK_FILE)
    if lock and context.keep_lock_files and not work.destroy:
        write_if_different(context.stack.folder.rendered / work.unit.name / LOCK_FILE, lock)
    write_atomically(mark, init_fingerprint(work, context, folder), mode=0o600)


@contextlib.contextmanager
def _as_step(context: RunContext, log: Path) -> Iterator[None]:
    """A provider that cannot be had fails the step of one unit, and not the run."""
    try:
        yield
    except UnavailableError as error:
        raise StepError(error.summary, hint=error.hint, log=context.shown(log), kind="registry") from error


def forget_init(context: RunContext, unit: str) -> None:
    """Have the next run init a unit's work folder anew: somebody else has changed what init made of it."""
    (context.work / unit / _INIT_MARK).unlink(missing_ok=True)


def write_upstream(folder: Path, upstream: Upstream) -> None:
    """Write the file of upstream values, or take it away where the unit needs none."""
    path = folder / UPSTREAM_FILE
    if upstream.text:
        write_if_different(path, upstream.text, mode=0o600)
    else:
        path.unlink(missing_ok=True)


def environment_values(unit: RenderedUnit, context: RunContext) -> dict[str, str]:
    """The values of the environment variables that a unit reads, by the names of input variables.

    The redactor learns them. Raises StepError where one is not set.
    """
    missing = [name for name in unit.variables if name not in os.environ]
    if missing:
        raise StepError(
            f"the environment variable {missing[0]} is not set, and {unit.name} reads it by env()",
            hint=f"export {missing[0]}=…",
            detail="",
            kind="environment",
        )
    values = {name: os.environ[name] for name in unit.variables}
    for value in values.values():
        context.redactor.add(value)
    return {f"{VARIABLE_PREFIX}{name}": value for name, value in values.items()}


def init_fingerprint(work: UnitWork, context: RunContext, folder: Path) -> str:
    """A digest of all that init reads: backend, providers, module calls, local modules, lock file, engine."""
    digest = hashlib.sha256(f"{context.engine.name} {context.engine.version}\n".encode())
    for name in sorted({*work.files, SANDBOX_FILE, LOCK_FILE}):
        digest.update(f"{name}\n{_read(folder / name)}\n".encode())
    project = context.stack.folder.project
    modules = module_folders([folder], project.cache / "modules")[1:]
    for path in module_files(modules, project.cache / "modules"):
        if path.name.endswith(SUFFIXES):
            digest.update(project.shown(path).encode() + b"\n" + path.read_bytes())
    return digest.hexdigest()


def _write_files(work: UnitWork, context: RunContext, folder: Path) -> None:
    wanted = {name: text for name, text in work.files.items() if name not in (LOCK_FILE, "backend.tf")}
    for name, text in wanted.items():
        write_if_different(folder / name, text, mode=0o600)
    if LOCK_FILE in work.files:
        write_if_different(folder / LOCK_FILE, work.files[LOCK_FILE], mode=0o600)
    elif not context.sandbox and context.keep_lock_files:
        # Whoever took the committed lock file away wants the providers to be chosen anew.
        (folder / LOCK_FILE).unlink(missing_ok=True)
    for path in folder.iterdir():
        if _READ_BY_TERRAFORM.search(path.name) and path.name not in {*wanted, *_OURS} and not path.is_dir():
            path.unlink()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
