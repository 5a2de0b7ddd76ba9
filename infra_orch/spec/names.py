"""Whether stacks, units and tasks have names that can be used, each for one of them only, and sound tasks."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from typing import get_args

from infra_orch.errors import Problem, Where, nearest
from infra_orch.project import NAME
from infra_orch.spec.sound import is_identifier, unplain
from infra_orch.spec.stack import Phase, Stack, Task, Unit

_REFERENCE_HINT = "a name is needed before Terraform runs, so it can hold no reference"
NAME_HINT = "letters, digits, - and _, beginning with a letter, at most 64 characters"


def name_problems(stack: Stack) -> Iterator[Problem]:
    """Yield what is wrong with the names in *stack*, former ones, tags and those of outputs included."""
    if not NAME.fullmatch(stack.name):
        yield Problem(f"{_quoted(stack.name)} cannot be a stack's name", stack.where, NAME_HINT)
    seen: dict[str, Where] = {}
    declared: tuple[Unit | Task, ...] = (*stack.units, *stack.tasks)
    for node in declared:
        if not NAME.fullmatch(node.name):
            kind = "unit" if isinstance(node, Unit) else "task"
            hint = _REFERENCE_HINT if "\0" in node.name else NAME_HINT
            yield Problem(f"{_quoted(node.name)} cannot be a {kind}'s name", node.where, hint)
        # Two names that differ in case alone are one folder on many file systems.
        first = seen.setdefault(node.name.lower(), node.where)
        if first is not node.where:
            hint = f"line {first.line} declares it first; units and tasks share their names"
            yield Problem(f'the name "{node.name}" is taken', node.where, hint)
    yield from _former_name_problems(stack, seen)
    for unit in stack.units:
        for tag in unit.tags:
            if why := unplain(tag):
                yield Problem(f'the tag {_quoted(tag)} of "{unit.name}": {why}', unit.where)
        for output in (*unit.extra_outputs, *unit.sensitive_outputs):
            if not is_identifier(output):
                yield Problem(f'outputs of "{unit.name}": {_quoted(output)} is not the name of an output', unit.where)


def task_problems(stack: Stack) -> Iterator[Problem]:
    """Yield what is wrong with the tasks of *stack*: when they run, how often, how long, and their functions."""
    phases = get_args(Phase)
    for task in stack.tasks:
        title = f'task "{task.name}"'
        if task.on not in phases:
            hint = nearest(str(task.on), phases) or f"one of: {', '.join(phases)}"
            yield Problem(f"{title}: on={task.on!r} is no kind of run", task.where, hint)
        if task.retries < 0:
            yield Problem(f"{title}: retries={task.retries} is less than 0", task.where)
        if not (math.isfinite(task.retry_delay) and task.retry_delay >= 0):
            yield Problem(f"{title}: retry_delay={task.retry_delay:g} is not a number of seconds", task.where)
        if task.timeout is not None and not (math.isfinite(task.timeout) and task.timeout > 0):
            yield Problem(f"{title}: timeout={task.timeout:g} is not a number of seconds above 0", task.where)
        if inspect.iscoroutinefunction(task.function):
            yield Problem(f"{title} is an async function, and nothing would wait for it", task.where, "use a plain def")
        elif not _takes_a_context(task):
            hint = f"def {task.name}(context): …"
            yield Problem(f"{title}: its function takes one argument, the context", task.where, hint)


def concurrency_problems(stack: Stack) -> Iterator[Problem]:
    """Yield what is wrong with the limits in *stack*: each is a number of units that have a tag."""
    tags = {tag for unit in stack.units for tag in unit.tags}
    for tag, most in stack.concurrency.items():
        if most < 1:
            yield Problem(f"concurrency of {_quoted(tag)}: with {most} at once nothing would begin", stack.where)
        if tag not in tags:
            hint = nearest(tag, tags) or f"tags: {', '.join(sorted(tags)) or 'none'}"
            yield Problem(f"concurrency: no unit has the tag {_quoted(tag)}", stack.where, hint)


def _former_name_problems(stack: Stack, seen: dict[str, Where]) -> Iterator[Problem]:
    former: dict[str, str] = {}
    for unit in stack.units:
        if unit.formerly is None:
            continue
        title = f'formerly="{unit.formerly}" of "{unit.name}"'
        other = former.setdefault(unit.formerly.lower(), unit.name)
        if not NAME.fullmatch(unit.formerly):
            yield Problem(f"{title} cannot have been a unit's name", unit.where, NAME_HINT)
        elif unit.formerly.lower() == unit.name.lower():
            yield Problem(f"{title} is the name that it has", unit.where, "take formerly= out")
        elif unit.formerly.lower() in seen:
            line = seen[unit.formerly.lower()].line
            hint = f"line {line} declares it; take formerly= out once the state has moved"
            yield Problem(f"{title} is the name of another unit or task", unit.where, hint)
        elif other != unit.name:
            yield Problem(f'{title}: "{other}" was called so, too, and one state cannot move to two units', unit.where)


def _takes_a_context(task: Task) -> bool:
    try:
        inspect.signature(task.function).bind(None)
    except TypeError:
        return False
    except ValueError:
        return True  # a builtin, which says nothing of its arguments
    return True


def _quoted(name: str) -> str:
    text = name if name.isprintable() else name.encode("unicode_escape").decode()
    return f'"{text}"'
