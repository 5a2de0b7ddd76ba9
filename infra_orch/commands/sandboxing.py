"""Turn a run to an emulated AWS: the kept emulator, or one for the run alone, and what must not get past it."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from infra_orch.console import Console
from infra_orch.errors import RefusedError, UnavailableError
from infra_orch.files import private_folder
from infra_orch.module.files import LOCK_FILE
from infra_orch.module.lock_file import provider_versions
from infra_orch.project import Project, StackFolder
from infra_orch.record.store import Records
from infra_orch.render.index import RenderedUnit
from infra_orch.run.context import Sandbox
from infra_orch.sandbox import server
from infra_orch.sandbox.escapes import escapes
from infra_orch.sandbox.limits import emulator_limit
from infra_orch.sandbox.redirect import ProviderUse, override_file, unsupported

_ANSWER_SECONDS = 0.5


def emulator_folder(project: Project) -> Path:
    """Where a kept emulator says who and where it is. It is there from the first start of one."""
    return project.scratch / "emulator"


def forget_sandbox(project: Project, url: str) -> None:
    """Remove what tells of the resources in an emulator, states and records: it is worth nothing without it."""
    shutil.rmtree(_sandbox_states(project, url), ignore_errors=True)


def sandbox_of(folder: StackFolder, url: str) -> Sandbox:
    """What turns a stack to the emulator at *url*."""
    project = folder.project
    state = private_folder(_sandbox_states(project, url) / folder.path.relative_to(project.stacks))
    return Sandbox(url, partial(_override, folder), state, partial(_outward, project), emulator_limit)


def records_in_sandbox(project: Project) -> Callable[[StackFolder], Records]:
    """Return what gives the records of the units of any stack that are in the kept emulator.

    Raises UnavailableError where none is kept.
    """
    kept = server.status(emulator_folder(project))
    if kept is None:
        raise UnavailableError("no sandbox is kept, so there is nothing to list", hint="infra-orch sandbox start")
    states = _sandbox_states(project, kept.url)
    return lambda folder: Records(states / folder.path.relative_to(project.stacks) / "record")


@contextlib.contextmanager
def emulated(
    units: Mapping[str, RenderedUnit], folder: StackFolder, given: str | None, console: Console, *, reads_only: bool
) -> Iterator[str]:
    """The URL of the emulator for a run over *units*, of the stack in *folder* and maybe others: the one that is
    *given*, or the kept one, or one of its own.

    Raises RefusedError, before anything runs, where one of the units uses a provider that the emulator cannot take the
    place of; UnavailableError where there is no emulator, also where a run that *reads_only* would begin with an empty
    one.
    """
    project = folder.project
    _refuse_outside(units)
    with contextlib.ExitStack() as stack:
        kept = None if given else server.status(emulator_folder(project))
        url = given or (kept.url if kept else None)
        if url is None:
            if reads_only:
                raise UnavailableError(
                    "no sandbox is kept, so there is nothing to read",
                    hint=f"infra-orch sandbox start, then infra-orch apply {folder.name} --sandbox",
                )
            console.note("sandbox: an emulator for this run alone; `infra-orch sandbox start` starts one that is kept")
            _forget_dead(project)
            url = stack.enter_context(server.start_for_run(emulator_folder(project))).url
            # Another emulator may have had this port.
            forget_sandbox(project, url)
            stack.callback(forget_sandbox, project, url)
        yield url


def _forget_dead(project: Project) -> None:
    """Remove what tells of emulators that were killed, and so had no chance to clean up."""
    for folder in (project.scratch / "sandbox-state").glob("[0-9]*"):
        try:
            socket.create_connection(("127.0.0.1", int(folder.name)), timeout=_ANSWER_SECONDS).close()
        except ConnectionRefusedError:
            shutil.rmtree(folder, ignore_errors=True)
        except (OSError, ValueError):
            continue


def _sandbox_states(project: Project, url: str) -> Path:
    """Where the states of what is in the emulator at *url* lie."""
    return project.scratch / "sandbox-state" / url.rpartition(":")[2]


def _refuse_outside(units: Mapping[str, RenderedUnit]) -> None:
    refused = [(name, address) for name, unit in sorted(units.items()) for address in _outside(unit)]
    if not refused:
        return
    at_hand = sorted({name for name, _ in refused})
    inside = [name for name in sorted(units) if name not in at_hand]
    raise RefusedError(
        "the sandbox emulates AWS, and cannot keep this from the world: "
        + ", ".join(f"{name} ({address})" for name, address in refused),
        hint=f"leave these units out: {' '.join(f'--unit {name}' for name in inside)}" if inside else "",
    )


def _outside(unit: RenderedUnit) -> list[str]:
    """The providers, by source address, that may not run: of the root module and of the modules that are here."""
    own = [provider.source or f"hashicorp/{provider.name}" for provider in unit.providers]
    return unsupported([*own, *unit.required])


def _override(folder: StackFolder, unit: RenderedUnit, state: str) -> str:
    # A template of the stack's own may set arguments that the spec knows nothing of.
    own = any((folder.templates / name).is_file() for name in ("providers.tf", "providers.tf.j2"))
    uses = [ProviderUse(use.name, use.alias, None if own else frozenset(use.arguments)) for use in unit.providers]
    return override_file(uses, state)


def _outward(project: Project, folder: Path) -> list[str]:
    """What the initialised folder of a unit holds that could reach past the emulator, a line each.

    A local-exec program runs in the redirected environment, where AWS is the emulator and proxies are closed.
    """
    lock = folder / LOCK_FILE
    versions = provider_versions(lock.read_text(encoding="utf-8"), project.cache / "modules") if lock.is_file() else {}
    found = [f"the provider {address}" for address in unsupported(list(versions))]
    return found + [f"{e.what} ({e.where})" for e in escapes(folder) if e.what != 'provisioner "local-exec"']
