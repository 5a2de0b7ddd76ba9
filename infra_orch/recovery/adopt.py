"""Bring what a run that died created into the state: a plan of imports alone, shown first, applied on consent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from infra_orch.engine import command
from infra_orch.files import write_atomically
from infra_orch.recovery.lost import Lost
from infra_orch.render.hcl import quote
from infra_orch.run.context import RunContext
from infra_orch.run.outcome import Outcome, Status, count
from infra_orch.run.prepare import ADOPT_FILE, Ready, UnitWork, prepare
from infra_orch.run.terraform import StepError, UnitCommand, invoke
from infra_orch.run.unit import Outputs, learn_upstream, saved_plan
from infra_orch.run.values import upstream_values

PLAN = "adopt"


@dataclass(frozen=True)
class Adoption:
    """A plan of imports of one unit: what it does, and what it brings in. *left* are those that cannot be imported,
    each with what Terraform said of it.
    """

    outcome: Outcome
    adopts: tuple[Lost, ...]
    left: tuple[tuple[Lost, str], ...]
    ready: Ready


def plan_adoption(work: UnitWork, lost: Sequence[Lost], context: RunContext, outputs: Outputs) -> Adoption:
    """Plan to import *lost* into the state of a unit. *outputs*: those of its upstreams, as they are.

    Raises StepError where the unit cannot be planned at all.
    """
    upstream = upstream_values(work.unit.needs, outputs)
    learn_upstream(context, upstream)
    ready = prepare(work, context, upstream)
    adopts, left = list(lost), []
    try:
        outcome = _plan(work, adopts, context, ready)
    except StepError:
        # One that cannot be imported by its id must not keep the others out.
        adopts = []
        for item in lost:
            try:
                _plan(work, [item], context, ready)
                adopts.append(item)
            except StepError as error:
                left.append((item, error.failure.summary))
        outcome = _plan(work, adopts, context, ready) if adopts else Outcome(work.unit.name, Status.UNCHANGED)
    return Adoption(outcome, tuple(adopts), tuple(left), ready)


def forget_replaced(lost: Sequence[Lost], context: RunContext) -> None:
    """Take out of the state what Terraform said it had deleted, and what a new resource stands in the place of.

    The unit's work folder must be ready. Raises StepError where Terraform refuses.
    """
    for item in lost:
        argv = command.state_rm(context.engine, item.address, lock_timeout=context.lock_timeout)
        folder = context.work / item.unit
        invoke(context, UnitCommand(item.unit, "adopt", argv, folder, context.environment, changes_world=True)).check()


def apply_adoption(adoption: Adoption, context: RunContext) -> None:
    """Do what *adoption* says. Raises StepError where Terraform fails."""
    unit = adoption.outcome.name
    argv = command.apply(context.engine, PLAN, lock_timeout=context.lock_timeout)
    variables = adoption.ready.variables
    folder = adoption.ready.folder
    with _imports(adoption.ready, adoption.adopts):
        invoke(
            context,
            UnitCommand(unit, "adopt", argv, folder, context.environment, variables=variables, changes_world=True),
        ).check()


def _plan(work: UnitWork, lost: Sequence[Lost], context: RunContext, ready: Ready) -> Outcome:
    name = work.unit.name
    options = command.PlanOptions(lock_timeout=context.lock_timeout, targets=[item.address for item in lost])
    with _imports(ready, lost):
        argv = command.plan(context.engine, PLAN, options)
        invoke(
            context, UnitCommand(name, "adopt", argv, ready.folder, context.environment, variables=ready.variables)
        ).check((0, 2))
    path = ready.folder / f"{PLAN}.json"
    path.unlink(missing_ok=True)
    argv = command.show(context.engine, PLAN)
    invoke(context, UnitCommand(name, "adopt", argv, ready.folder, context.environment, stdout=path)).check()
    document = saved_plan(context, name, PLAN)
    document.learn_secrets(context.redactor, ready.variables)
    resources = document.resources(context.redactor)
    wrong = [change.address for change in resources if change.imported_id is None or change.destroys]
    if wrong:
        raise StepError(f"to bring it into the state would change more than that: {', '.join(wrong[:5])}")
    outcome = Outcome(name, Status.PLANNED, counts=count(resources), resources=resources)
    return replace(outcome, addresses=document.addresses())


@contextmanager
def _imports(ready: Ready, lost: Iterable[Lost]) -> Iterator[None]:
    """Within it, the unit's work folder asks for the import of *lost*."""
    path = ready.folder / ADOPT_FILE
    blocks = (f"import {{\n  to = {item.address}\n  id = {quote(item.id)}\n}}\n" for item in lost)
    write_atomically(path, "\n".join(blocks), mode=0o600)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
