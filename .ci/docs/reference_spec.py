"""The reference of what a stack file, a policy and a test import, made of signatures and docstrings."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markdown_text import cell, code, fence, row

import infra_orch
import infra_orch.testing
from infra_orch.spec import values

PAGES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "stack": (
        "Stacks, units and tasks",
        "What a stack file declares. How to write one: [the spec](../../spec.md), [tasks](../../tasks.md).",
        ("Stack", "Unit", "Task", "TaskContext", "StackReference", "UnitReference"),
    ),
    "values": (
        "Values",
        "What inputs may hold besides what JSON has. How they are used: [references](../../spec.md#references).",
        ("Input", "Outputs", "Reference", "expression", "Expression", "env", "EnvironmentValue", "block", "Block"),
    ),
    "providers": (
        "Providers and backends",
        "How they are used: [providers and backends](../../providers.md).",
        ("Provider", "Backend", "LocalBackend", "S3Backend"),
    ),
    "credentials": (
        "Credentials",
        "How they are used: [credentials](../../credentials.md).",
        ("Credentials",),
    ),
    "policies": (
        "Policies",
        "What a file in `policies/` imports. How to write one: [policies](../../policies.md).",
        ("policy", "Plan", "Change"),
    ),
    "testing": (
        "Tests",
        (
            "What the fixtures of the pytest plugin are, for annotations: `from infra_orch.testing import …`, also "
            "`UNKNOWN` and `SENSITIVE`. How to write one: [testing](../../testing.md)."
        ),
        (
            *("StackUnderTest", "UnitUnderTest", "Rendered", "Planned", "PlannedUnit", "Applied", "Resource"),
            "RunFailedError",
        ),
    ),
}
"""The pages, by the names of their files: a title, what it is for, and the names of the package that are on it."""
_MADE_ELSEWHERE = frozenset(("Unit", "Task", "TaskContext", "StackReference", "UnitReference", "Plan", "Change")) | {
    *("Outputs", "Reference", "Expression", "EnvironmentValue", "Block"),
    *PAGES["testing"][2],
}
"""Classes that whoever imports them does not make: of them the fields and methods count, not how they are made."""
_PARAMETER = re.compile(r"(?P<name>[a-z_]+): (?P<text>\S.*)")


@dataclass(frozen=True)
class Prose:
    """A docstring in parts: what it says, what it says of each parameter, of what is raised, and an example."""

    text: str
    parameters: Mapping[str, str]
    raises: str
    example: str


def prose(docstring: str) -> Prose:
    """Take a docstring apart: lines `name: what it is`, with what is indented below them; paragraphs; an `Example:`."""
    text, _, example = inspect.cleandoc(docstring).partition("\nExample:\n")
    said: list[str] = []
    parameters: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        found = _PARAMETER.fullmatch(line)
        if found:
            last = found["name"]
            parameters[last] = found["text"]
        elif last and line.startswith("    "):
            parameters[last] += f" {line.strip()}"
        else:
            last = ""
            said.append(line)
    paragraphs = [part for part in re.split(r"\n\n+", "\n".join(said).strip()) if part]
    raised = [part for part in paragraphs if part.startswith("Raises ")]
    told = [part for part in paragraphs if part not in raised]
    return Prose("\n\n".join(told), parameters, "\n\n".join(raised), textwrap.dedent(example).strip())


def pages() -> dict[str, str]:
    """Return the pages of the reference by their paths."""
    made = {f"reference/spec/{name}.md": _page(*about) for name, about in PAGES.items()}
    return {"reference/spec/index.md": _index()} | made


def _index() -> str:
    lines = [
        "# The spec, name by name",
        "",
        "Everything that `from infra_orch import …` gives, and for tests `from infra_orch.testing import …`: what goes",
    ]
    lines += ["in, what comes out, what is raised, and an example.", "", "| name | what it is |", "|---|---|"]
    for page, (_, _, names) in PAGES.items():
        for name in names:
            about = prose(_docstring(name)).text.partition("\n")[0]
            lines.append(row(f"[{code(name)}]({page}.md#{name})", cell(about)))
    return "\n".join([*lines, ""])


def named(name: str) -> Any:
    """What the package, or else its part for tests, has by this name."""
    return getattr(infra_orch, name, None) or getattr(infra_orch.testing, name)


def _docstring(name: str) -> str:
    return inspect.getdoc(named(name)) or "" if name != "Input" else _said_below("Input")


def _page(title: str, about: str, names: tuple[str, ...]) -> str:
    lines = [f"# {title}", "", about, ""]
    for name in names:
        lines += list(_entry(name))
    return "\n".join(lines)


def _entry(name: str) -> Iterator[str]:
    thing = named(name)
    yield from (f"## {name} {{ #{name} }}", "")
    if name == "Input":
        yield from (*fence(f"Input = {thing}", "python"), "", _docstring(name), "")
        return
    if not inspect.isclass(thing):
        yield from _callable(thing, name)
        return
    if name not in _MADE_ELSEWHERE:
        yield from (*fence(signature(thing, name), "python"), "")
    yield from _told(prose(_docstring(name)), _types(thing), fields=name in _MADE_ELSEWHERE)
    for method, function in _methods(thing):
        yield from (f"### {name}.{method}", "")
        if isinstance(function, property):
            yield from _told(prose(function.fget.__doc__ or ""), {})
        else:
            yield from _callable(function, f"{name}.{method}")


def _callable(function: Any, name: str) -> Iterator[str]:
    yield from (*fence(signature(function, name), "python"), "")
    yield from _told(prose(inspect.getdoc(function) or ""), _types(function))


def _told(said: Prose, types: Mapping[str, tuple[str, str]], *, fields: bool = False) -> Iterator[str]:
    """What a docstring says, a table of the parameters (or fields), what is raised, and the example."""
    yield from (_plain(said.text, said), "")
    if said.parameters:
        yield from ("| | type | what it is |", "|---|---|---|") if fields else _HEAD
        for name, about in said.parameters.items():
            kind, default = (code(one) if one else "" for one in types.get(name, ("", "")))
            told = cell(_plain(about, said))
            yield row(code(name), kind, told) if fields else row(code(name), kind, default, told)
        yield ""
    if said.raises:
        yield from (_plain(said.raises, said), "")
    if said.example:
        yield from (*fence(said.example, "python"), "")


_HEAD = ("| | type | default | what it is |", "|---|---|---|---|")


def _plain(text: str, said: Prose) -> str:
    """Names of parameters stand in asterisks in a docstring, and as code on a page."""
    return re.sub(r"\*(\w+)\*", lambda found: code(found[1]) if found[1] in said.parameters else found[0], text)


def _types(thing: Any) -> dict[str, tuple[str, str]]:
    """The type and the default of each parameter of a callable, and of each field of a class."""
    found: dict[str, tuple[str, str]] = {}
    if inspect.isclass(thing):
        for one in inspect.getmro(thing):
            found |= {name: (_shown(kind), "") for name, kind in vars(one).get("__annotations__", {}).items()}
    for name, parameter in _parameters(thing).items():
        kind = "" if parameter.annotation is inspect.Parameter.empty else _shown(parameter.annotation)
        default = "" if parameter.default is inspect.Parameter.empty else _default(thing, name, parameter.default)
        star = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}.get(parameter.kind, "")
        found[name] = (f"{star}{kind}" if star and kind else kind, default)
    return found


def _shown(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _default(thing: Any, name: str, default: Any) -> str:
    if type(default).__name__ == "_HAS_DEFAULT_FACTORY_CLASS":
        factory = next(field.default_factory for field in dataclasses.fields(thing) if field.name == name)
        return "{}" if factory is dict else "[]" if factory is list else f"{factory.__name__}()"  # type: ignore[union-attr]
    return repr(default).replace("'", '"')


def _parameters(thing: Any) -> Mapping[str, inspect.Parameter]:
    try:
        found = inspect.signature(thing).parameters
    except (TypeError, ValueError):
        return {}
    return {name: one for name, one in found.items() if name not in ("self", "cls", "function")}


def signature(thing: Any, name: str) -> str:
    """How a class is made or a function is called, a parameter on each line where they are many."""
    parts: list[str] = []
    kinds = _types(thing)
    by_name = False
    for one in _parameters(thing).values():
        kind, default = kinds[one.name]
        star = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}.get(one.kind, "")
        if one.kind is inspect.Parameter.KEYWORD_ONLY and not by_name:
            by_name = True
            parts.append("*")
        parts.append(f"{star}{one.name}: {kind.lstrip('*')}" + (f" = {default}" if default else ""))
        if one.kind is inspect.Parameter.POSITIONAL_ONLY:
            parts.append("/")
    positional = [number for number, part in enumerate(parts) if part == "/"]
    parts = [part for number, part in enumerate(parts) if part != "/" or number == positional[-1]]
    returned = "" if inspect.isclass(thing) else _returned(thing)
    line = f"{name}({', '.join(parts)}){returned}"
    return line if len(line) <= 90 else "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){returned}"])


def _returned(function: Any) -> str:
    try:
        kind = inspect.signature(function).return_annotation
    except (TypeError, ValueError):
        return ""
    return "" if kind is inspect.Signature.empty else f" -> {_shown(kind)}"


def _methods(thing: Any) -> Iterator[tuple[str, Any]]:
    """What a class has for those who write stacks: its own public methods and properties that have an example, or more
    to say than one line; the others are for infra-orch.
    """
    for name, raw in vars(thing).items():
        found = getattr(thing, name, None) if isinstance(raw, (classmethod, staticmethod)) else raw
        document = (raw.fget.__doc__ if isinstance(raw, property) else getattr(found, "__doc__", "")) or ""
        if name.startswith("_") or not document or name in _NOT_FOR_SPECS:
            continue
        if inspect.isfunction(found) or inspect.ismethod(found) or isinstance(raw, property):
            yield name, found


_NOT_FOR_SPECS = frozenset({"for_unit", "address", "of"})
"""Methods of the package's own."""


def _said_below(name: str) -> str:
    """The text below an assignment in the module of values."""
    body = ast.parse(inspect.getsource(values)).body
    for this, after in itertools.pairwise(body):
        if isinstance(this, ast.AnnAssign) and isinstance(this.target, ast.Name) and this.target.id == name:
            assert isinstance(after, ast.Expr)
            return str(ast.literal_eval(after.value))
    raise LookupError(name)
