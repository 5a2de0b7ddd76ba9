"""Find everything that is wrong with a stack before anything runs, all of it at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from infra_orch.errors import Problem, SpecError, Where
from infra_orch.graph.graph import Graph
from infra_orch.module.declaration import Module
from infra_orch.project import StackFolder
from infra_orch.spec.backends import backend_problems
from infra_orch.spec.circles import circle_problems
from infra_orch.spec.elsewhere import Elsewhere
from infra_orch.spec.identities import credentials_problems
from infra_orch.spec.inputs import input_problems
from infra_orch.spec.modules import ModuleOf, read_modules
from infra_orch.spec.names import concurrency_problems, name_problems, task_problems
from infra_orch.spec.order import across, order
from infra_orch.spec.provider import Provider
from infra_orch.spec.providers import declared_provider_problems, required_providers, unit_provider_problems
from infra_orch.spec.source import Source
from infra_orch.spec.stack import Stack, Task, Unit
from infra_orch.spec.wiring import Wiring, wire


@dataclass(frozen=True)
class CheckedUnit:
    """A unit that was found to be right, with what was read of it.

    *module* is None for a remote module, whose files are not here. *providers* are the configurations that its root
    module needs. *needs* are, by upstream unit, the outputs that it reads. *variables* are its `env()` names.
    *outputs* are the outputs that its root passes through, with whether each is sensitive. *required* are version
    constraints (or nothing) by provider source address, as far as they are known here.
    """

    unit: Unit
    source: Source
    module: Module | None
    providers: tuple[Provider, ...]
    needs: Mapping[str, tuple[str, ...]]
    variables: tuple[str, ...]
    outputs: Mapping[str, bool]
    required: Mapping[str, str]


@dataclass(frozen=True)
class CheckedStack:
    """A stack that was found to be right: its units by name, and the graph over units and tasks.

    *across* are the units of other stacks (`network/vpc`) that its nodes come after, by the nodes' names.
    """

    stack: Stack
    folder: StackFolder
    units: Mapping[str, CheckedUnit]
    tasks: Mapping[str, Task]
    graph: Graph
    across: Mapping[str, tuple[str, ...]]


def check_stack(stack: Stack, folder: StackFolder, elsewhere: Elsewhere | None = None) -> CheckedStack:
    """Check *stack* and return it with its modules read and its graph made. Who checks several hands on what is known
    of the modules and stacks *elsewhere*.

    Raises SpecError with every problem, in the order of the file, each with file and line of the call, the value, and
    the nearest match.
    """
    elsewhere = elsewhere or Elsewhere(folder.project)
    modules, problems = read_modules(stack, folder, elsewhere.folders)
    elsewhere.learn(folder, stack, modules)
    problems += name_problems(stack)
    problems += task_problems(stack)
    problems += concurrency_problems(stack)
    problems += backend_problems(stack)
    problems += declared_provider_problems(stack)
    problems += credentials_problems(stack)
    for unit in stack.units:
        if not modules[unit].broken:
            problems += unit_provider_problems(stack, unit, modules[unit].module)
            problems += input_problems(unit, modules[unit].module)
    wiring, reference_problems = wire(stack, modules, elsewhere)
    graph, order_problems = order(stack, wiring, elsewhere)
    problems += [*reference_problems, *order_problems]
    problems += circle_problems(stack, folder, wiring, elsewhere)
    if problems:
        raise SpecError(_sorted(problems, folder))
    return CheckedStack(
        stack=stack,
        folder=folder,
        units=_checked_units(stack, modules, wiring),
        tasks={task.name: task for task in stack.tasks},
        graph=graph,
        across=across(stack, wiring),
    )


def _sorted(problems: Iterable[Problem], folder: StackFolder) -> list[Problem]:
    project = folder.project
    shown = {Problem(p.message, project.shown_where(p.where) if p.where else None, p.hint) for p in problems}
    return sorted(shown, key=lambda problem: (problem.where or Where(""), problem.message, problem.hint))


def _checked_units(
    stack: Stack, modules: Mapping[Unit, ModuleOf], wiring: Mapping[Unit, Wiring]
) -> dict[str, CheckedUnit]:
    read_by_others: dict[str, set[str]] = {}
    for wires in wiring.values():
        for upstream, names in wires.needs.items():
            read_by_others.setdefault(upstream, set()).update(names)
    checked = {}
    for unit in stack.units:
        found, wires = modules[unit], wiring[unit]
        checked[unit.name] = CheckedUnit(
            unit=unit,
            source=found.source,
            module=found.module,
            providers=wires.providers,
            needs=wires.needs,
            variables=wires.variables,
            outputs=_outputs(unit, found.module, read_by_others.get(unit.name, set())),
            required=required_providers(wires.providers, found.module),
        )
    return checked


def _outputs(unit: Unit, module: Module | None, read_by_others: set[str]) -> dict[str, bool]:
    """The outputs that a unit's root passes through: all that can leave the module, or all that are known of it."""
    if module is not None:
        kept = {name: output.sensitive for name, output in module.outputs.items() if not output.ephemeral}
    else:
        kept = dict.fromkeys((*unit.extra_outputs, *read_by_others), False)
    return dict(sorted((kept | dict.fromkeys(unit.sensitive_outputs, True)).items()))
