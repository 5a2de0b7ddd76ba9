"""Stop a run whose files hold what the setting `allow` does not allow, before Terraform sees them.

Off at a desk unless `allow` is set; on with `--from-rendered`. Looked at are the rendered files and, through all of
them, the modules that they call: those in the project before anything runs, and those that `init` downloads after it
and before a plan. What cannot be read is not allowed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from infra_orch.errors import Problem, RefusedError, SpecError, Where
from infra_orch.guard.findings import Finding, Source, findings, provider_findings
from infra_orch.module.configuration import configuration_files, installed_folders, installed_sources
from infra_orch.module.files import LOCK_FILE, module_folders
from infra_orch.module.lock_file import provider_versions
from infra_orch.project import Project, StackFolder
from infra_orch.redact import Redactor
from infra_orch.render.index import RenderedStack, RenderedUnit
from infra_orch.settings import FILE, PREFIX, Allow

_LOCAL = ("./", "../")


class NotAllowedError(RefusedError):
    """Files hold what is not allowed. Holds every finding."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self._problems = tuple(problems)
        told = (f"{problem.where}: {problem.message}" for problem in problems)
        super().__init__("; ".join(told), hint=problems[0].hint)

    @property
    def problems(self) -> Sequence[Problem]:
        """Every finding, in the order of the files."""
        return self._problems


def guarded(project: Project) -> Project:
    """Return *project* with every key of its setting `allow` set, so that all of it holds."""
    return replace(project, settings=replace(project.settings, allow=project.settings.allow.settled()))


def check_rendered(stack: RenderedStack) -> None:
    """Check all that is rendered of a stack, and the modules in the project, where its setting `allow` is set.

    Raises NotAllowedError, with everything that was found.
    """
    project = stack.folder.project
    if not project.settings.allow.is_set:
        return
    allow = project.settings.allow.settled()
    units = [*stack.units.values(), *(kept.unit for kept in stack.left_over.values())]
    roots = [stack.folder.rendered / unit.name for unit in units if unit.files]
    found: list[Finding] = []
    for folder in module_folders(roots, None):
        found += _in_folder(folder, allow, project, project.shown)
    for unit in units:
        found += _in_index(unit, project.shown(stack.folder.index), allow)
    _refuse(found, allow)


def check_unit(stack: StackFolder, unit: RenderedUnit, folder: Path, besides: Iterable[str] = ()) -> None:
    """Check the work *folder* of a *unit* before `init`; files in *besides* are ours.

    Raises NotAllowedError as check_rendered() does.
    """
    project = stack.project
    if project.settings.allow.is_set:
        allow = project.settings.allow.settled()
        shown = _shown_as(stack, unit, folder)
        found = list(_in_index(unit, project.shown(stack.index), allow))
        found += [
            finding
            for module in module_folders([folder], None)
            for finding in _in_folder(module, allow, project, shown, frozenset(besides))
        ]
        _refuse(found, allow)


def check_installed(stack: StackFolder, unit: RenderedUnit, folder: Path, besides: Iterable[str] = ()) -> None:
    """Check what `init` brought to a unit's work *folder*: modules and what these call, and the providers.

    Raises NotAllowedError as check_rendered() does, ValueError where what init wrote cannot be read.
    """
    project = stack.project
    if not project.settings.allow.is_set:
        return
    allow = project.settings.allow.settled()
    shown = _shown_as(stack, unit, folder)
    downloads = (folder / ".terraform" / "modules").resolve()
    found: list[Finding] = []
    for module in installed_folders(folder):
        own = downloads if module.resolve().is_relative_to(downloads) else None
        found += _in_folder(module, allow, project, shown, frozenset(besides), own)
    if not allow.module_sources:
        # Told by Terraform, and not by our reading of the same files.
        found += [
            Finding(f'the module source "{source}"', Where(shown(folder)), "module_sources", source)
            for source in installed_sources(folder)
            if not source.startswith(_LOCAL)
        ]
    found += _locked(folder, allow, shown)
    _refuse(found, allow)


def _in_folder(
    folder: Path,
    allow: Allow,
    project: Project,
    shown: Callable[[Path], str],
    besides: frozenset[str] = frozenset(),
    downloads: Path | None = None,
) -> Iterator[Finding]:
    """What a module's files hold that is not allowed. *downloads*: where it may have other local modules."""

    def outside(source: str) -> str | None:
        place = (folder.resolve() / source).resolve()
        scratch = project.root.resolve() / ".infra-orch"
        inside = place.is_relative_to(project.root.resolve()) and not place.is_relative_to(scratch)
        if inside or (downloads and place.is_relative_to(downloads)):
            return None
        return project.shown(place)

    try:
        files = [path for path in configuration_files(folder) if path.name not in besides]
        sources = [Source(path.name, shown(path), path.read_bytes()) for path in files]
    except OSError as error:
        yield Finding(f"{shown(folder)} cannot be read: {error.strerror}", Where(shown(folder)))
        return
    yield from findings(sources, allow, outside)


def _in_index(unit: RenderedUnit, index: str, allow: Allow) -> Iterator[Finding]:
    """What stack.json says of a unit besides its files: providers that are got for it, and the backend of its former
    name, which is text there and becomes a file as it is.
    """
    addresses = {*unit.required, *(provider.source for provider in unit.providers if provider.source)}
    yield from provider_findings(sorted(addresses), Where(index), allow)
    if unit.former_backend is not None:
        source = Source("backend.tf", f"{index} (former_backend of {unit.name})", unit.former_backend.encode())
        yield from (replace(found, where=Where(found.where.file)) for found in findings([source], allow, str))


def _locked(folder: Path, allow: Allow, shown: Callable[[Path], str]) -> Iterator[Finding]:
    """The providers that `init` chose, those that a state needs among them."""
    lock = folder / LOCK_FILE
    if lock.is_file():
        try:
            addresses = provider_versions(lock.read_text(encoding="utf-8"), None)
        except (SpecError, ValueError) as error:
            yield Finding(f"the dependency lock file cannot be read: {error}", Where(shown(lock)))
            return
        yield from provider_findings(addresses, Where(shown(lock)), allow)


def _shown_as(stack: StackFolder, unit: RenderedUnit, folder: Path) -> Callable[[Path], str]:
    """Files of a work folder as the user knows them: those that were rendered, by where they were rendered to."""
    rendered = stack.rendered / unit.name

    def shown(path: Path) -> str:
        return stack.project.shown(
            rendered / path.name if path.parent == folder else rendered if path == folder else path
        )

    return shown


def _refuse(found: Iterable[Finding], allow: Allow) -> None:
    redactor = Redactor()
    each = dict.fromkeys(sorted(found, key=lambda finding: finding.where))
    if each:
        raise NotAllowedError([_problem(finding, allow, redactor) for finding in each])


def _problem(finding: Finding, allow: Allow, redactor: Redactor) -> Problem:
    what = redactor.text(finding.what)
    if not finding.key:
        return Problem(what, finding.where, "mend it: `terraform fmt` shows what Terraform says of it")
    now = getattr(allow, finding.key)
    if isinstance(now, bool):
        setting, value = "true", "1"
    else:
        names = [*now, redactor.text(finding.value)]
        setting, value = json.dumps(names, ensure_ascii=False), ",".join(names)
    variable = f"{PREFIX}ALLOW_{finding.key.upper()}"
    hint = f"allowed by {finding.key} = {setting} under [allow] in {FILE}, or by {variable}='{value}'"
    return Problem(f"{what} is not allowed", finding.where, hint)
