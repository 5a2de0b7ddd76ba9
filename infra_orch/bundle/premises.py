"""What a plan rests on besides its states: files of the stack and its modules, `env()` values, other units' outputs."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from infra_orch.errors import UserError
from infra_orch.fingerprint.sources import Sources
from infra_orch.module.files import LOCK_FILE
from infra_orch.render.index import RenderedStack, digest, to_json
from infra_orch.run.plan import Preview, Selection
from infra_orch.run.prepare import UnitWork


def files_of(stack: RenderedStack, units: Mapping[str, UnitWork]) -> dict[str, str]:
    """Return the SHA-256 of every file that a plan of *units* rests on, by path below the project.

    These are sources_of() their modules, the index, and the units' rendered files. Not the dependency lock files: a
    bundle has those in it. Raises UserError where a module's file cannot be read.
    """
    folder, project = stack.folder, stack.folder.project
    found = sources_of(stack, {work.unit.module for work in units.values()})
    found[project.shown(folder.index)] = digest(to_json(stack))
    for name, work in units.items():
        for file, text in work.files.items():
            if file != LOCK_FILE:
                found[project.shown(folder.rendered / name / file)] = digest(text)
    return found


def sources_of(stack: RenderedStack, modules: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256, by path below the project, of what people wrote: the spec, where there is one, and all that
    lies in the folders of *modules* (as RenderedUnit.module has them) and of the local ones nested in them, and what
    these read outside of them (see read_outside).

    Raises UserError where a file cannot be read.
    """
    folder, project = stack.folder, stack.folder.project
    sources = Sources(project)
    found = {project.shown(folder.spec): file_digest(folder.spec)} if folder.spec.is_file() else {}
    try:
        for module in sorted(set(modules)):
            found |= sources.of_module(module).files
    except OSError as error:
        raise UserError(f"{error.filename}, which a plan rests on, cannot be read: {error.strerror}") from error
    return found


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits. Raises UserError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}, which a plan rests on, cannot be read: {error.strerror}") from error


def variables_of(units: Iterable[UnitWork], salt: str) -> dict[str, str]:
    """Return keyed digests of the `env()` values of *units*, by name; those that are not set are left out."""
    names = {name for work in units for name in work.unit.variables}
    return {name: _keyed(salt, os.environ[name]) for name in sorted(names) if name in os.environ}


def outside_of(selection: Selection, preview: Preview, salt: str) -> dict[str, str]:
    """Return keyed digests of what *selection* reads of units outside it, by unit, as *preview* knows it."""
    found = {}
    for name, outputs in preview.outside.items():
        needed = {output for work in selection.units.values() for output in work.unit.needs.get(name, ())}
        values = {
            output: [outputs[output].value, outputs[output].sensitive] for output in sorted(needed) if output in outputs
        }
        found[name] = _keyed(salt, json.dumps(values, sort_keys=True, default=str))
    return found


def _keyed(salt: str, text: str) -> str:
    return hmac.new(salt.encode(), text.encode(errors="surrogateescape"), "sha256").hexdigest()
