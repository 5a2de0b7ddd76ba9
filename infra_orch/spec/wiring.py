"""What each unit of a stack is wired to: the provider configurations that it gets, and the outputs that it reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass

from infra_orch.errors import Problem, Where, nearest
from infra_orch.graph.graph import Graph
from infra_orch.project import stack_and_unit
from infra_orch.spec.elsewhere import Elsewhere, Missing
from infra_orch.spec.modules import ModuleOf
from infra_orch.spec.provider import Provider
from infra_orch.spec.sound import unsound
from infra_orch.spec.stack import Stack, Unit
from infra_orch.spec.values import STACKS, EnvironmentValue, Input, Opaque, Outputs, Reference, target, walk


@dataclass(frozen=True)
class Wiring:
    """*providers*: the configurations that a unit's root module needs. *needs*: by upstream unit, one of another stack
    as `network/vpc`, the outputs that it reads, itself and its providers. *variables*: its `env()` names.
    """

    providers: tuple[Provider, ...]
    needs: Mapping[str, tuple[str, ...]]
    variables: tuple[str, ...]


class Units:
    """The units that a stack can refer to: its own, and those of other stacks."""

    def __init__(self, stack: Stack, modules: Mapping[Unit, ModuleOf], elsewhere: Elsewhere) -> None:
        self._own = {unit.name: unit for unit in reversed(stack.units)}  # of two of one name, the first is meant
        self._modules = modules
        self._elsewhere = elsewhere

    def find(self, name: str) -> tuple[Unit, ModuleOf] | Missing:
        """Return a unit, and its module, by its name as a reference has it."""
        if stack_and_unit(name)[0]:
            return self._elsewhere.unit(name)
        if name not in self._own:
            return Missing("which is no unit of this stack", nearest(name, self._own))
        return self._own[name], self._modules[self._own[name]]


def wire(
    stack: Stack, modules: Mapping[Unit, ModuleOf], elsewhere: Elsewhere
) -> tuple[Mapping[Unit, Wiring], list[Problem]]:
    """Return the wiring of every unit of *stack*, and every reference that leads nowhere."""
    units = Units(stack, modules, elsewhere)
    providers = _settled(stack.providers)
    read: dict[Unit | Provider, list[Opaque]] = {}
    problems: list[Problem] = []
    everything: tuple[Unit | Provider, ...] = (*stack.units, *providers)
    for declared in everything:
        read[declared] = found = _opaque_values(declared)
        title = f'"{declared.name}"' if isinstance(declared, Unit) else f'provider "{declared.address}"'
        for value in dict.fromkeys(found):
            if isinstance(value, (Reference, Outputs)):
                problems += _reference_problems(title, declared.where, value, units)
    chosen = _choose(stack, providers, modules, {key: _upstream(values) for key, values in read.items()})
    wiring = {}
    for unit in stack.units:
        values = [*read[unit], *(value for provider in chosen[unit] for value in read[provider])]
        names = {value.name for value in values if isinstance(value, EnvironmentValue)}
        wiring[unit] = Wiring(chosen[unit], _needs(values, units), tuple(sorted(names)))
        problems += _own_output_problems(unit, read, chosen[unit])
        if STACKS in wiring[unit].needs and any(stack_and_unit(name)[0] for name in wiring[unit].needs):
            message = f'"{unit.name}" reads other stacks, which are `local.{STACKS}`, and a unit called "{STACKS}"'
            problems.append(Problem(message, unit.where, f'call that unit something else: formerly="{STACKS}"'))
    return wiring, problems


def _settled(providers: Iterable[Provider]) -> tuple[Provider, ...]:
    """The configurations, each with the source and version that any of the same provider has."""
    known = tuple(providers)
    settled = []
    for provider in known:
        same = [other for other in known if other.name == provider.name]
        new = copy(provider)
        for field in ("source", "version"):
            object.__setattr__(new, field, next(filter(None, (getattr(other, field) for other in same)), None))
        settled.append(new)
    return tuple(settled)


def _opaque_values(declared: Unit | Provider) -> list[Opaque]:
    """The references and the like in a unit's inputs or a provider's arguments; unsound ones are reported elsewhere."""
    values: Mapping[str, Input] = declared.inputs if isinstance(declared, Unit) else declared.configuration
    return [found for value in values.values() if not any(True for _ in unsound(value)) for found in walk(value)]


def _upstream(values: Iterable[Opaque]) -> frozenset[str]:
    return frozenset(target(value)[0] for value in values if isinstance(value, (Reference, Outputs)))


def _choose(
    stack: Stack,
    providers: tuple[Provider, ...],
    modules: Mapping[Unit, ModuleOf],
    upstream: Mapping[Unit | Provider, frozenset[str]],
) -> dict[Unit, tuple[Provider, ...]]:
    """Choose the configurations of each unit, in the stack's order.

    Those that it names in `providers=`, and for every other provider that its module uses the one without an alias.
    What a remote module uses is not known here, so such a unit gets every configuration without an alias, but for
    those that are configured by what comes after the unit: a cluster cannot use the provider that works within it.
    """
    chosen: dict[Unit, set[Provider]] = {unit: set() for unit in stack.units}
    unsure: dict[Provider, list[Unit]] = {provider: [] for provider in providers}
    for unit in stack.units:
        module = modules[unit].module
        overridden = {key for key in unit.providers if "." not in key}
        for provider in providers:
            if provider.address in unit.providers.values():
                chosen[unit].add(provider)
            elif not provider.alias and provider.name not in overridden:
                if module is not None and (module.complete or provider.name in module.providers):
                    if provider.name in module.providers:
                        chosen[unit].add(provider)
                else:
                    unsure[provider].append(unit)
    before = {
        unit: upstream[unit].union(unit.after, *(upstream[provider] for provider in chosen[unit]))
        for unit in stack.units
    }
    for provider, candidates in unsure.items():
        barred = _upstream_closure(stack, before, upstream[provider])
        for unit in candidates:
            if unit.name not in barred:
                chosen[unit].add(provider)
                before[unit] |= upstream[provider]
    return {unit: tuple(provider for provider in providers if provider in chosen[unit]) for unit in stack.units}


def _upstream_closure(stack: Stack, before: Mapping[Unit, frozenset[str]], names: Iterable[str]) -> frozenset[str]:
    """*names* and every unit that comes before one of them."""
    units = {unit.name for unit in stack.units}
    edges = {(first, unit.name) for unit in stack.units for first in before[unit] if first in units}
    return Graph.of(units, edges).closure(units & set(names), down=False)


def _needs(values: Iterable[Opaque], units: Units) -> dict[str, tuple[str, ...]]:
    needs: dict[str, set[str]] = {}
    for value in values:
        if isinstance(value, (Reference, Outputs)):
            name, steps = target(value)
            found = units.find(name)
            if not isinstance(found, Missing):
                needs.setdefault(name, set()).update({str(steps[0])} if steps else _all_outputs(*found))
    return {name: tuple(sorted(outputs)) for name, outputs in sorted(needs.items())}


def _all_outputs(unit: Unit, found: ModuleOf) -> set[str]:
    """The outputs of a unit, as far as they are known here; those that cannot leave the module are left out."""
    if found.module is not None:
        return {name for name, output in found.module.outputs.items() if not output.ephemeral}
    return {*unit.extra_outputs, *unit.sensitive_outputs}


def _reference_problems(title: str, where: Where, value: Reference | Outputs, units: Units) -> Iterator[Problem]:
    name, steps = target(value)
    there = units.find(name)
    if isinstance(there, Missing):
        yield Problem(f'{title} refers to the outputs of "{name}", {there.why}', where, there.hint)
        return
    unit, found = there
    outputs = found.module.outputs if found.module else {}
    if not steps:
        if not found.broken and not _all_outputs(unit, found) and not outputs:
            message = f'{title} reads all outputs of "{name}", and none is known of its module "{unit.module}"'
            hint = "" if found.module else f'name them: stack.unit("{unit.name}", outputs=["…"])'
            yield Problem(message, where, hint)
    elif (output := str(steps[0])) not in outputs and found.module is None:
        # What others in its own stack read is passed through by its root; what is read from here, only if it is named.
        if stack_and_unit(name)[0] and not found.broken and output not in _all_outputs(unit, found):
            message = f'{title} reads {name}.outputs.{output}, which "{unit.name}" does not pass on'
            yield Problem(message, where, f'in its stack: stack.unit("{unit.name}", outputs=["{output}"])')
    elif output not in outputs:
        message = f'{title} reads {name}.outputs.{output}, but module "{unit.module}" has no such output'
        hint = nearest(output, outputs) or f"its outputs: {', '.join(sorted(outputs)) or 'none'}"
        yield Problem(message, where, hint)
    elif outputs[output].ephemeral:
        message = f"{title} reads {name}.outputs.{output}, which is ephemeral: no other unit ever sees its value"
        yield Problem(message, where, f"{outputs[output].where} declares it")


def _own_output_problems(
    unit: Unit, read: Mapping[Unit | Provider, list[Opaque]], providers: tuple[Provider, ...]
) -> Iterator[Problem]:
    using: tuple[Unit | Provider, ...] = (unit, *providers)
    for declared in using:
        own = [
            value
            for value in read[declared]
            if isinstance(value, (Reference, Outputs)) and target(value)[0] == unit.name
        ]
        if own and isinstance(declared, Unit):
            yield Problem(f'"{unit.name}" reads its own output {own[0]!r}', unit.where)
        elif own and isinstance(declared, Provider):
            message = f'"{unit.name}" uses provider "{declared.address}", whose configuration reads {own[0]!r}'
            hint = f"line {declared.where.line} declares it; give it an alias, and choose it where it is meant"
            yield Problem(message, unit.where, hint)
