"""The files of one unit's root module, as text. Pure: a checked unit in, {file name: text} out."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, TemplateError

from infra_orch.errors import Problem, SpecError, Where, nearest
from infra_orch.project import Project, StackFolder
from infra_orch.render.hcl import VARIABLE_PREFIX, Raw, body_lines, expression_text
from infra_orch.render.own_templates import OwnTemplates, loader_within, render_bounded, template_line
from infra_orch.spec.check import CheckedStack, CheckedUnit
from infra_orch.spec.provider import Provider
from infra_orch.spec.values import Input

FILES = ("main.tf", "backend.tf", "providers.tf", "outputs.tf", "variables.tf")
"""The files that a unit may have. variables.tf is there only where the unit reads env() values."""


class Templates:
    """The shipped templates, and those of a stack that stand in for them.

    A stack's own are run in Jinja's sandbox, within bounds, and an undefined name is an error.
    """

    def __init__(self, folder: StackFolder) -> None:
        self._folder = folder
        self._files = sorted(folder.templates.glob("*"))
        self._names = frozenset(path.name for path in self._files if path.is_file())
        self.up = f"{_relative(folder.project.root, folder.rendered)}/.."
        """The way from the folder of a unit to the project's root."""

    @cached_property
    def _own(self) -> Environment:
        folder = self._folder
        return _prepared(OwnTemplates, loader_within(folder.templates, folder.project.root))

    def problems(self) -> Iterator[Problem]:
        """Yield every template of the stack that stands in for nothing; those that begin with `_` are for including."""
        shown = self._folder.project.shown
        known = {name for file in FILES for name in (file, f"{file}.j2")}
        for path in self._files:
            if path.name not in known and not path.name.startswith((".", "_")):
                hint = nearest(path.name, known) or f"these files can be: {', '.join(FILES)}"
                yield Problem(f'template "{path.name}" is of no file that is rendered', Where(shown(path)), hint)

    def render(self, file: str, values: Mapping[str, Any]) -> str:
        """Render *file* (`main.tf`) with *values*. Raises SpecError for an error in a stack's own template."""
        name = f"{file}.j2"
        own = next((path for path in (name, file) if path in self._names), None)
        if own is None:
            return _shipped(name).render(values)
        try:
            return render_bounded(self._own, own, values)
        except Exception as error:  # a template can raise anything that its expressions can
            shown = self._folder.project.shown(self._folder.templates / own)
            line = getattr(error, "lineno", None) or template_line(error, own)
            words = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
            raise SpecError([Problem(f"template {own}: {words}", Where(shown, line))]) from error


def render_unit(checked: CheckedUnit, stack: CheckedStack, templates: Templates) -> dict[str, str]:
    """Return the root module of *checked* as {file name: text}; the same text for the same spec, on every machine.

    Raises SpecError for an error in a template of the stack's own.
    """
    unit = checked.unit
    values = {
        "header": _header(stack, unit.name),
        "stack": {"name": stack.stack.name},
        "unit": {"name": unit.name, "module": unit.module, "tags": list(unit.tags), "formerly": unit.formerly},
        "source": _source(checked, stack.folder.project, templates.up),
        "inputs": dict(unit.inputs),
        "providers": _handed_on(checked),
        "backend": _backend(stack, unit.name, templates.up),
        "required_providers": _required(checked),
        "provider_blocks": [_provider_block(provider) for provider in checked.providers],
        "outputs": [_output(unit.name, name, sensitive=sensitive) for name, sensitive in checked.outputs.items()],
        "variables": [{"environment": name, "name": VARIABLE_PREFIX + name} for name in checked.variables],
    }
    files = FILES if checked.variables else FILES[:-1]
    return {file: templates.render(file, values).strip("\n") + "\n" for file in files}


def render_backend(stack: CheckedStack, checked: CheckedUnit, state_of: str, templates: Templates) -> str:
    """Return backend.tf of *checked* for the state that belongs to the unit name *state_of*."""
    values = {
        "header": _header(stack, checked.unit.name),
        "stack": {"name": stack.stack.name},
        "unit": {"name": state_of},
        "backend": _backend(stack, state_of, templates.up),
    }
    return templates.render("backend.tf", values).strip("\n") + "\n"


@functools.cache
def _shipped(name: str) -> Template:
    """A shipped template, compiled once for all stacks."""
    template = _shipped_ones().get_template(name)
    template.globals = {}  # they use none of Jinja's, which are copied each time
    return template


@functools.cache
def _shipped_ones() -> Environment:
    return _prepared(Environment, PackageLoader("infra_orch.render", "templates"))


def _prepared(kind: type[Environment], loader: Any) -> Environment:
    environment = kind(loader=loader, undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.filters["body"] = lambda arguments, indent=2: "\n".join(body_lines(arguments, indent))
    environment.filters["hcl"] = expression_text
    return environment


def _header(stack: CheckedStack, unit: str) -> str:
    spec = stack.folder.project.shown(stack.folder.spec)
    return (
        f'# Rendered by infra-orch from {spec}, unit "{unit}". Edit that file, not this one:\n'
        f"# `infra-orch render {stack.folder.name}` writes it anew."
    )


def _source(checked: CheckedUnit, project: Project, up: str) -> dict[str, Input]:
    folder = checked.source.folder
    if folder is None:
        version = {"version": checked.unit.version} if checked.unit.version else {}
        return {"source": checked.source.text, **version}
    # By way of the project's root, so that it is the same folder from the rendered and from the work folder.
    shown = project.shown(folder)
    inside = Path(os.path.relpath(folder, project.root)).as_posix() if shown.startswith("/") else shown
    return {"source": f"{up}/{inside}"}


def _backend(stack: CheckedStack, unit: str, up: str) -> dict[str, Any]:
    backend = stack.stack.backend
    configuration = backend.for_unit(stack.stack.name, unit)
    if backend.type == "local" and not configuration:
        # By way of the project's root, so that it is the same file from the rendered and from the work folder.
        state = stack.folder.project.shown(stack.folder.state)
        configuration = {"path": f"{up}/{state}/{unit}.tfstate"}
    return {"type": backend.type, "configuration": configuration}


def _required(checked: CheckedUnit) -> dict[str, Input]:
    required: dict[str, Input] = {}
    for provider in checked.providers:
        entry = {"source": provider.source, "version": provider.version}
        settled = {key: value for key, value in entry.items() if value}
        if settled:
            required[provider.name] = settled
    return required


def _handed_on(checked: CheckedUnit) -> dict[str, Raw]:
    """The `providers` of the module call: what the unit chooses, and what its module declares and gets without that.

    A call that names one hands on no other to what the module itself calls.
    """
    module, chosen = checked.module, dict(checked.unit.providers)
    if chosen and module is not None:
        mine = {provider.name for provider in checked.providers if not provider.alias}
        chosen = {name: name for name in mine & module.required_providers.keys() & module.providers} | chosen
    return {Raw(key): Raw(value) for key, value in sorted(chosen.items())}


def _provider_block(provider: Provider) -> dict[str, Any]:
    alias: dict[str, Input] = {"alias": provider.alias} if provider.alias else {}
    return {"name": provider.name, "arguments": {**alias, **provider.configuration}}


def _output(unit: str, name: str, *, sensitive: bool) -> dict[str, Any]:
    arguments: dict[str, Input | Raw] = {"value": Raw(f"module.{unit}.{name}")}
    if sensitive:
        arguments["sensitive"] = True
    return {"name": name, "arguments": arguments}


def _relative(path: Path, start: Path) -> str:
    relative = Path(os.path.relpath(path, start)).as_posix()
    return relative if relative.startswith("../") else f"./{relative}"
