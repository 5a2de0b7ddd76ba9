"""The index of a rendered stack, `rendered/stack.json`: all that the stages after rendering need to know of a spec.

With the rendered files beside it, it is enough to plan and apply without evaluating any Python.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, cast

from infra_orch.errors import UserError, Where
from infra_orch.graph.graph import Graph
from infra_orch.project import NAME, StackFolder, is_stack_name, stack_and_unit
from infra_orch.render.credentials import identities_json, read_identities
from infra_orch.spec.check import CheckedStack, CheckedUnit
from infra_orch.spec.credentials import Identities
from infra_orch.spec.sound import is_identifier
from infra_orch.spec.stack import Phase

SCHEMA = 1
SCHEMA_ID = "urn:infra-orch:schema:stack:1"


@dataclass(frozen=True)
class ProviderUse:
    """A provider configuration in a unit's root module: its local name, alias, source address where given, and the
    names of the arguments that it sets.
    """

    name: str
    alias: str | None
    source: str | None
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class RenderedUnit:
    """A unit as it was rendered.

    *module*: the module's folder, relative to the project, or its address. *needs*: by upstream unit, one of another
    stack as `network/vpc`, the outputs that it reads. *variables*: the environment variables that it reads. *outputs*:
    the outputs that it passes through, with whether each is sensitive. *former_backend*: backend.tf of the state that
    the unit had under its former name. *files*: SHA-256 by file name. *required*: version constraints by provider
    source address. *credentials*: whose it works with, where these are not the environment's.
    """

    name: str
    module: str
    backend: str
    needs: Mapping[str, tuple[str, ...]]
    variables: tuple[str, ...]
    providers: tuple[ProviderUse, ...]
    outputs: Mapping[str, bool]
    tags: tuple[str, ...]
    protect: bool
    formerly: str | None
    former_backend: str | None
    files: Mapping[str, str]
    required: Mapping[str, str]
    where: Where
    credentials: Identities | None = None


_PLAIN_FIELDS = {field.name for field in fields(RenderedUnit)} - {"name", "providers", "where", "credentials"}


@dataclass(frozen=True)
class RenderedTask:
    """A task as it was declared; its function is in the spec only."""

    name: str
    on: Phase
    where: Where


@dataclass(frozen=True)
class KeptUnit:
    """A unit that left the spec, still exists, and whose last render is nowhere but here: without it, nothing could
    destroy the unit. *dependents*: the units that depended on it then.
    """

    unit: RenderedUnit
    dependents: tuple[str, ...]


@dataclass(frozen=True)
class RenderedStack:
    """A stack as it was rendered: what plan, apply and destroy run from. *left_over*: units whose render is kept.
    *credentials* are those of its tasks. *concurrency*: by tag, how many units that have it are worked on at once.
    *across*: the units of other stacks (`network/vpc`) that its nodes come after, by the nodes' names.
    """

    name: str
    folder: StackFolder
    units: Mapping[str, RenderedUnit]
    tasks: Mapping[str, RenderedTask]
    graph: Graph
    left_over: Mapping[str, KeptUnit] = field(default_factory=dict)
    credentials: Identities | None = None
    concurrency: Mapping[str, int] = field(default_factory=dict)
    across: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def stacks_before(self) -> tuple[str, ...]:
        """The other stacks that it refers to, by the names of their folders."""
        return tuple(sorted({stack_and_unit(name)[0] for names in self.across.values() for name in names}))

    @property
    def of_destroys(self) -> frozenset[str]:
        """The tasks that run in a destroy. In the graph they stand the other way round, and order nothing else."""
        return frozenset(name for name, task in self.tasks.items() if task.on == "destroy")

    def order(self, kind: str) -> Graph:
        """The graph in a run of *kind*, in the order of creation: a destroy walks it the other way round."""
        return self.graph if kind == "destroy" else self.graph.without(self.of_destroys)


def joint_graph(stacks: Mapping[str, RenderedStack], kind: str) -> Graph:
    """Return the order among all nodes of *stacks*, given by the names of their folders, in a run of *kind*.

    Nodes go by their stack's name and their own, `network/vpc`. There may be circles that lead through several stacks.
    """
    orders = {name: stack.order(kind) for name, stack in stacks.items()}
    nodes = {f"{stack}/{node}" for stack, graph in orders.items() for node in graph.upstream}
    edges = {(f"{stack}/{a}", f"{stack}/{b}") for stack, graph in orders.items() for a, b in graph.edges}
    for name, stack in stacks.items():
        for node, firsts in stack.across.items():
            edges |= {(first, f"{name}/{node}") for first in firsts if {first, f"{name}/{node}"} <= nodes}
    return Graph.of(nodes, edges)


def index_of(checked: CheckedStack, files: Mapping[str, Mapping[str, str]], former: Mapping[str, str]) -> RenderedStack:
    """Return the index of a checked stack whose units were rendered to *files* ({unit: {file name: text}}).

    *former* are the backends of the states that renamed units had.
    """
    project = checked.folder.project
    return RenderedStack(
        name=checked.stack.name,
        folder=checked.folder,
        units={
            name: _unit(unit, files[name], checked, former.get(name)) for name, unit in sorted(checked.units.items())
        },
        tasks={
            name: RenderedTask(name, task.on, project.shown_where(task.where))
            for name, task in sorted(checked.tasks.items())
        },
        graph=checked.graph,
        credentials=checked.stack.credentials.identities if checked.stack.credentials else None,
        concurrency=dict(sorted(checked.stack.concurrency.items())),
        across=checked.across,
    )


def to_json(stack: RenderedStack) -> str:
    """Return the text of stack.json: sorted, indented, ending in a newline; the same for the same spec."""
    return json.dumps(to_document(stack), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def to_document(stack: RenderedStack) -> dict[str, Any]:
    """Return what stack.json holds."""
    document: dict[str, Any] = {
        "$schema": SCHEMA_ID,
        "schema": SCHEMA,
        "stack": stack.name,
        "units": {name: _unit_json(unit) for name, unit in stack.units.items()},
        "tasks": {name: {"on": task.on, "where": _where(task.where)} for name, task in stack.tasks.items()},
        "edges": [list(edge) for edge in stack.graph.edges],
    }
    if stack.credentials:
        document["credentials"] = identities_json(stack.credentials)
    if stack.concurrency:
        document["concurrency"] = dict(stack.concurrency)
    if stack.across:
        document["across"] = {name: list(names) for name, names in stack.across.items()}
    if stack.left_over:
        document["left_over"] = {
            name: _unit_json(kept.unit) | {"dependents": list(kept.dependents)}
            for name, kept in stack.left_over.items()
        }
    return document


def read_index(folder: StackFolder) -> RenderedStack:
    """Read the index of a stack. Raises UserError where there is none, or it cannot be read."""
    shown = folder.project.shown(folder.index)
    try:
        text = folder.index.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{shown} is missing", hint=f"infra-orch render {folder.name}, and commit it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{shown} cannot be read: {error}", where=Where(shown)) from error
    return from_json(text, folder)


def from_json(text: str, folder: StackFolder) -> RenderedStack:
    """Read stack.json back. Raises UserError where it is not what to_json writes, whatever it is instead."""
    shown = folder.project.shown(folder.index)
    mend = f"infra-orch render {folder.name} writes it anew"
    try:
        document = json.loads(text)
        schema = document["schema"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{shown} is not a rendered stack: {error!r}", where=Where(shown), hint=mend) from error
    if schema != SCHEMA:
        raise UserError(f"{shown} has schema {schema!r}, and this infra-orch reads {SCHEMA}", hint=mend)
    try:
        return from_document(document, folder)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{shown} is not a rendered stack: {error!r}", where=Where(shown), hint=mend) from error


def digest(text: str | bytes) -> str:
    """Return the SHA-256 of *text* as hexadecimal digits."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def _unit(checked: CheckedUnit, files: Mapping[str, str], stack: CheckedStack, former: str | None) -> RenderedUnit:
    unit = checked.unit
    project = stack.folder.project
    credentials = unit.credentials or stack.stack.credentials
    return RenderedUnit(
        name=unit.name,
        module=project.shown(checked.source.folder) if checked.source.folder else checked.source.text,
        backend=stack.stack.backend.type,
        needs=checked.needs,
        variables=checked.variables,
        providers=tuple(
            ProviderUse(p.name, p.alias, p.source, tuple(sorted(p.configuration))) for p in checked.providers
        ),
        outputs=checked.outputs,
        tags=unit.tags,
        protect=unit.protect,
        formerly=unit.formerly,
        former_backend=former,
        files={name: digest(text) for name, text in sorted(files.items())},
        required=checked.required,
        where=project.shown_where(unit.where),
        credentials=credentials.identities if credentials else None,
    )


def from_document(document: Mapping[str, Any], folder: StackFolder) -> RenderedStack:
    """Read back what to_document() returned. Raises ValueError, KeyError, TypeError or AttributeError otherwise."""
    units = {_name(name): _read_unit(name, value) for name, value in document["units"].items()}
    tasks = {_name(name): _read_task(name, value) for name, value in document["tasks"].items()}
    kept = {
        _name(name): KeptUnit(_read_unit(name, value), tuple(map(_name, value["dependents"])))
        for name, value in document.get("left_over", {}).items()
    }
    graph = Graph.of((*units, *tasks), ((str(first), str(second)) for first, second in document["edges"]))
    if graph.cycle():
        raise ValueError("its edges make a circle")
    across = {_name(name): tuple(map(_foreign, names)) for name, names in document.get("across", {}).items()}
    for unit in units.values():
        if not graph.upstream[unit.name] | {*across.get(unit.name, ())} >= unit.needs.keys():
            raise ValueError(f"unit {unit.name} needs what it does not come after")
    credentials = read_identities(document.get("credentials"))
    concurrency = {str(tag): _count(most) for tag, most in document.get("concurrency", {}).items()}
    if not across.keys() <= graph.upstream.keys():
        raise ValueError("something that is no unit or task comes after other stacks")
    name = _name(document["stack"])
    return RenderedStack(name, folder, units, tasks, graph, kept, credentials, concurrency, across)


def _read_unit(name: str, value: Mapping[str, Any]) -> RenderedUnit:
    return RenderedUnit(
        name=_name(name),
        module=str(value["module"]),
        backend=_name(value["backend"]),
        needs={_upstream(upstream): tuple(map(_identifier, outputs)) for upstream, outputs in value["needs"].items()},
        variables=tuple(map(_identifier, value["variables"])),
        providers=tuple(_read_provider(p) for p in value["providers"]),
        outputs={_identifier(output): bool(sensitive) for output, sensitive in value["outputs"].items()},
        tags=tuple(map(str, value["tags"])),
        protect=bool(value["protect"]),
        formerly=None if value["formerly"] is None else _name(value["formerly"]),
        former_backend=None if value["former_backend"] is None else str(value["former_backend"]),
        files={_file_name(file): str(checksum) for file, checksum in value["files"].items()},
        required={str(source): str(version) for source, version in value["required"].items()},
        where=Where(str(value["where"]["file"]), int(value["where"]["line"])),
        credentials=read_identities(value.get("credentials")),
    )


def _read_provider(value: Mapping[str, Any]) -> ProviderUse:
    alias, source = value["alias"], value["source"]
    return ProviderUse(
        name=_name(value["name"]),
        alias=None if alias is None else _name(alias),
        source=None if source is None else str(source),
        arguments=tuple(map(_identifier, value["arguments"])),
    )


def _read_task(name: str, value: Mapping[str, Any]) -> RenderedTask:
    if value["on"] not in ("plan", "apply", "destroy"):
        raise ValueError(f"task {name}: on={value['on']!r}")
    where = Where(str(value["where"]["file"]), int(value["where"]["line"]))
    return RenderedTask(_name(name), cast("Phase", value["on"]), where)


def _name(name: object) -> str:
    """A name from a file that somebody may have tampered with goes into paths and argv: it is checked again."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name")
    return name


def _upstream(name: object) -> str:
    """A unit of the stack itself, or of another one."""
    return _foreign(name) if isinstance(name, str) and "/" in name else _name(name)


def _foreign(name: object) -> str:
    stack, unit = stack_and_unit(name) if isinstance(name, str) else ("", "")
    if not NAME.fullmatch(unit) or not is_stack_name(stack):
        raise ValueError(f"{name!r} is not the name of a unit of another stack")
    return f"{stack}/{unit}"


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not a number of units")
    return value


def _identifier(name: object) -> str:
    """A name that goes into HCL."""
    if not isinstance(name, str) or not is_identifier(name):
        raise ValueError(f"{name!r} is not a name")
    return name


def _file_name(name: str) -> str:
    if "/" in name or "\\" in name or name.startswith(".") or not name.endswith((".tf", ".tf.json")):
        raise ValueError(f"{name!r} is not a rendered file")
    return name


def _where(where: Where) -> dict[str, Any]:
    return {"file": where.file, "line": where.line}


def _unit_json(unit: RenderedUnit) -> dict[str, Any]:
    # Field by field, since asdict() copies all that it finds, and takes longer than all the rest.
    plain = {name: getattr(unit, name) for name in _PLAIN_FIELDS}
    nested = {"providers": [asdict(use) for use in unit.providers], "where": _where(unit.where)}
    own = {"credentials": identities_json(unit.credentials)} if unit.credentials else {}
    return plain | nested | own
