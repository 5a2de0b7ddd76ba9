"""Whether a unit's inputs fit the variables of its module."""

from __future__ import annotations

from collections.abc import Iterator

from infra_orch.errors import Problem, nearest
from infra_orch.module.constraint import mismatches, parse_constraint
from infra_orch.module.declaration import Module, Variable
from infra_orch.spec.sound import holds_opaque, is_identifier, literals, unsound
from infra_orch.spec.stack import Unit

# Source: Terraform's documentation of input variables; these names are arguments of the module block itself.
_RESERVED = frozenset({"source", "version", "providers", "count", "for_each", "lifecycle", "depends_on", "locals"})


def input_problems(unit: Unit, module: Module | None) -> Iterator[Problem]:
    """Yield what is wrong with *unit*'s inputs: unknown, missing, wrongly typed, or not a value that Terraform has.

    Of a remote module (None) nothing is known but what every module has in common.
    """
    for name, value in unit.inputs.items():
        reasons = list(unsound(value))
        for why in reasons:
            yield Problem(f'input {name} of "{unit.name}": {why}', unit.where, _of_unwritten(name, value, module))
        if module is None:
            yield from _name_problems(unit, name)
        elif name not in module.variables:
            hint = nearest(name, module.variables) or _variables(module)
            yield Problem(f'module "{unit.module}" has no variable "{name}" (unit "{unit.name}")', unit.where, hint)
        elif not reasons:
            yield from _misfits(unit, module.variables[name], value)
    for variable in module.variables.values() if module else ():
        if variable.required and variable.name not in unit.inputs:
            hint = f"{variable.where} declares it without a default"
            yield Problem(f'unit "{unit.name}" lacks the input "{variable.name}"', unit.where, hint)


def _of_unwritten(name: str, value: object, module: Module | None) -> str:
    """What is to be written in place of the dots that `init --from` leaves."""
    variable = module.variables.get(name) if module and value is ... else None
    return f"{variable.where} declares it as {variable.constraint or 'any'}" if variable else ""


def _name_problems(unit: Unit, name: str) -> Iterator[Problem]:
    if name in _RESERVED:
        hint = "one unit is one instance: a loop in Python makes more" if name in ("count", "for_each") else ""
        yield Problem(f'input {name} of "{unit.name}": no variable of a module can be called so', unit.where, hint)
    elif not is_identifier(name):
        yield Problem(f'input "{name}" of "{unit.name}": not the name of a variable', unit.where)


def _misfits(unit: Unit, variable: Variable, value: object) -> Iterator[Problem]:
    constraint = parse_constraint(variable.constraint)
    nullable = variable.nullable or not variable.required
    for why in mismatches(constraint, value, holds_opaque, nullable=nullable, quote=not variable.sensitive):
        hint = f"{variable.where} declares it as {variable.constraint or 'any'}"
        yield Problem(f'input {variable.name} of "{unit.name}": {why}', unit.where, hint)
    if variable.sensitive and any(True for _ in literals(value)):
        yield Problem(
            f'input {variable.name} of "{unit.name}" is sensitive, and its value would be committed with the rendered '
            "files",
            unit.where,
            f'env("{variable.name.upper().replace("-", "_")}") reads it when Terraform runs',
        )


def _variables(module: Module) -> str:
    return f"its variables: {', '.join(sorted(module.variables)) or 'none'}"
