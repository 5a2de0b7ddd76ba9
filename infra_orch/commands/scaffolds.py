"""What `infra-orch new` makes files of: the shipped templates, or those of a team, which stand in for them.

A team's own run in Jinja's sandbox, within bounds: they make text, and can do nothing else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError

from infra_orch.errors import UsageError, UserError, Where, nearest
from infra_orch.files import with_home
from infra_orch.project import Project
from infra_orch.render.own_templates import OwnTemplates, loader_within, render_bounded, template_line

Kind = Literal["project", "stack", "module"]
_MODULE = {f"{name}.tf": f"module/{name}.tf.j2" for name in ("main", "variables", "outputs")}
EXAMPLE_STACK = "dev"
EXAMPLE_MODULE = "service"
SHIPPED: Mapping[Kind, Mapping[str, str]] = {
    "module": _MODULE,
    "stack": {"stack.py": "stack/stack.py.j2"},
    "project": {
        "README.md": "project/README.md.j2",
        "infra-orch.toml": "project/infra-orch.toml.j2",
        ".gitignore": "project/gitignore.j2",
        ".gitattributes": "project/gitattributes.j2",
        f"stacks/{EXAMPLE_STACK}/stack.py": "project/stack.py.j2",
        f"tests/test_{EXAMPLE_STACK}.py": "project/test_dev.py.j2",
        **{f"modules/{EXAMPLE_MODULE}/{file}": template for file, template in _MODULE.items()},
    },
}
"""The files of each kind, and the shipped template of each."""

_END = ".j2"
_IN_BRACES = re.compile(r"\{\{ *(\w+) *\}\}")
_VERBATIM = "templates"
"""What a template of a project has in a folder of this name is for the project to use, and copied as it is."""
_NOT_OURS = frozenset({".git", "__pycache__", ".DS_Store", ".terraform"})


@dataclass(frozen=True)
class File:
    """A file that is to be made, by its *path* in the folder of what is made."""

    path: str
    content: bytes
    executable: bool = False


@dataclass(frozen=True)
class Scaffold:
    """What a *kind* of thing is made of: templates in *own*, a folder below *root*; None: the shipped ones."""

    kind: Kind
    own: Path | None
    root: Path

    def files(self, values: Mapping[str, Any]) -> list[File]:
        """Return the files, with *values* put in.

        Raises UserError, with file and line, for what is wrong with a template of a team's.
        """
        if self.own is None:
            return [File(path, shipped(template, values).encode()) for path, template in SHIPPED[self.kind].items()]
        found: dict[str, File] = {}
        for path in _files_in(self.own):
            made = self._file(path, values)
            if made.path in found:
                raise UserError(f"two templates make {made.path}", where=self._where(path))
            found[made.path] = made
        self._refuse_incomplete(found)
        return list(found.values())

    def _refuse_incomplete(self, found: Mapping[str, File]) -> None:
        """Refuse a template that does not make what it is for."""
        assert self.own is not None
        wanted = {"stack": "stack.py", "module": "*.tf", "project": "infra-orch.toml, or anything in stacks/"}[
            self.kind
        ]
        there = {
            "stack": "stack.py" in found,
            "module": any(path.endswith((".tf", ".tf.json")) and "/" not in path for path in found),
            "project": any(path == "infra-orch.toml" or path.startswith("stacks/") for path in found),
        }
        if not there[self.kind]:
            raise UserError(f"the template of a {self.kind} makes no {wanted}", where=self._where(self.own))

    def _file(self, path: Path, values: Mapping[str, Any]) -> File:
        assert self.own is not None
        name = path.relative_to(self.own).as_posix()
        is_text = name.endswith(_END) and not (self.kind == "project" and name.startswith(f"{_VERBATIM}/"))
        executable = os.access(path, os.X_OK)
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise UserError("this template is a link that leads out of its folder", where=self._where(path))
        target = self._named(path, name.removesuffix(_END) if is_text else name, values)
        if not is_text:
            return File(target, path.read_bytes(), executable)
        environment = _sandbox(self.own, self.root)
        try:
            return File(target, render_bounded(environment, name, values).encode(), executable)
        except Exception as error:  # a template can raise anything that its expressions can
            raise self._wrong(path, error, name, values) from error

    def _named(self, path: Path, name: str, values: Mapping[str, Any]) -> str:
        """The path that a template makes: its own, with the values that stand in it in braces."""

        def put(found: re.Match[str]) -> str:
            if found[1] not in values:
                hint = nearest(found[1], values) or f"names there are: {', '.join(values)}"
                raise UserError(f'this template has "{found[1]}" in its name', where=self._where(path), hint=hint)
            return str(values[found[1]])

        name = _IN_BRACES.sub(put, name)
        parts = PurePosixPath(name).parts
        tidy = name == "/".join(parts) and name.isprintable()
        if not tidy or not {"..", ".", ".git", "/"}.isdisjoint(parts):
            raise UserError(f'this template makes "{name}", which is no path for it', where=self._where(path))
        return name

    def _wrong(self, path: Path, error: Exception, name: str, values: Mapping[str, Any]) -> UserError:
        line = getattr(error, "lineno", None) or template_line(error, name)
        words, hint = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}", ""
        if isinstance(error, UndefinedError):
            hint = f"names there are: {', '.join(values)}"
        elif isinstance(error, UnicodeDecodeError):
            words = "it is not UTF-8"
            hint = "save it as UTF-8; what is to be copied as it is has a name that does not end in .j2"
        # A template that another one includes has a name of its own.
        inner = getattr(error, "name", None) if isinstance(error, TemplateSyntaxError) else None
        at = self.own / inner if self.own and isinstance(inner, str) and (self.own / inner).is_file() else path
        return UserError(f"template: {words}", hint=hint, where=self._where(at, line or 0))

    def _where(self, path: Path, line: int = 0) -> Where:
        shown = path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
        return Where(shown, line)


def scaffold(kind: Kind, within: Project, template: str | None) -> Scaffold:
    """Return what a stack or a module *within* a project is made of; *template* names one of several.

    Raises UsageError where there is no such template, or the folder that the setting names is not there.
    """
    base = within.root / with_home(within.settings.templates)
    if not base.is_dir() and within.settings.templates != type(within.settings).templates:
        raise UsageError(
            f'setting templates = "{within.settings.templates}": there is no such folder',
            hint=f"make it, with {kind}/ in it, or take the setting out",
        )
    root = within.root if base.resolve().is_relative_to(within.root) else base
    return _chosen(kind, base, root, template)


def scaffold_in(kind: Kind, base: Path, template: str | None) -> Scaffold:
    """Return what is made of the templates in the folder *base*. Raises UsageError where it has none of that kind."""
    found = _chosen(kind, base, base, template)
    if found.own is None:
        raise UsageError(f"{base / kind} is missing: there is no template of a {kind} in that folder")
    return found


def templates_of(kind: str, base: Path) -> list[str]:
    """Return the names of the further templates of a kind: `web` of the folder `module-web`."""
    return sorted(path.name.removeprefix(f"{kind}-") for path in base.glob(f"{kind}-?*") if path.is_dir())


def _chosen(kind: Kind, base: Path, root: Path, template: str | None) -> Scaffold:
    own = base / (f"{kind}-{template}" if template else kind)
    if own.is_dir() and "/" not in (template or ""):
        return Scaffold(kind, own, root)
    if template:
        known = templates_of(kind, base)
        listed = f"there are: {', '.join(known)}" if known else f"a folder {base.name}/{kind}-{template}/ is one"
        raise UsageError(
            f'there is no template "{template}" of a {kind}: {base.name}/{kind}-{template}/ is missing',
            hint=nearest(template, known) or listed,
        )
    return Scaffold(kind, None, root)


def _files_in(folder: Path) -> Iterator[Path]:
    """The files that are templates, by name; those that begin with `_` are for including."""
    for path in sorted(folder.rglob("*")):
        if _NOT_OURS.isdisjoint(path.relative_to(folder).parts) and path.is_file() and not path.name.startswith("_"):
            yield path


def _sandbox(folder: Path, root: Path) -> OwnTemplates:
    loader = loader_within(folder, root)
    return OwnTemplates(loader=loader, undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)


def shipped(template: str, values: Mapping[str, Any]) -> str:
    """Return the text of a shipped template with *values* put in."""
    loader = PackageLoader("infra_orch.commands", "scaffold")
    environment = Environment(loader=loader, undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701 - no HTML
    return environment.get_template(template).render(values)
