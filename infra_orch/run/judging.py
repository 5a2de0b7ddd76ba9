"""What the policies of a project say of a unit's plan, as part of its outcome."""

from __future__ import annotations

from dataclasses import replace

from infra_orch.policies.plan import Plan, changes_of, masked_plan
from infra_orch.policies.verdict import Verdict
from infra_orch.run.changes import PlanDocument
from infra_orch.run.context import RunContext
from infra_orch.run.outcome import Failure, Outcome, Status
from infra_orch.run.prepare import UnitWork
from infra_orch.run.values import UNKNOWN_RESOURCE


def judged(outcome: Outcome, document: PlanDocument, work: UnitWork, context: RunContext) -> Outcome:
    """Return *outcome*, that of a plan, with what policies warn of; refused where one denies what is planned, and too
    few approved it all the same.
    """
    if outcome.status is not Status.PLANNED:
        return outcome
    unit = work.unit
    plan = Plan(
        stack=context.stack.folder.name,
        unit=unit.name,
        module=unit.module,
        tags=frozenset(unit.tags),
        destroys=work.destroy,
        changes=tuple(changes_of(document.raw_changes)),
        json=masked_plan(document.document, UNKNOWN_RESOURCE) if context.policies.rego else {},
    )
    verdicts = context.policies.judge(plan)
    warned = tuple(_words(verdict, context) for verdict in verdicts if verdict.severity == "warn")
    denied = [verdict for verdict in verdicts if verdict.severity == "deny"]
    denials = tuple(_words(verdict, context) for verdict in denied)
    outcome = replace(outcome, warnings=(*outcome.warnings, *warned), denials=denials)
    if not denied:
        return outcome
    if who := context.overridden(unit.name, outcome):
        passed = tuple(f"{one}; passed, since {who} approved it all the same" for one in denials)
        return replace(outcome, warnings=(*outcome.warnings, *passed))
    more = f" (and {len(denied) - 1} more)" if len(denied) > 1 else ""
    detail = "\n".join(f"{_words(verdict, context)} ({verdict.where})" for verdict in denied)
    hint = (
        f"{denied[0].where} says so: change what is planned, or have the policy changed; "
        f"infra-orch approve {context.run_id} --despite-policies says yes to it all the same"
    )
    failure = Failure(f"{_words(denied[0], context)}{more}", detail, hint, kind="policy")
    return replace(outcome, status=Status.REFUSED, failure=failure)


def _words(verdict: Verdict, context: RunContext) -> str:
    return context.redactor.text(str(verdict))
