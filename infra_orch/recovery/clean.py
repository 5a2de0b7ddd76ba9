"""Take secrets out of what a run that died left on the disk: its logs, and what it had no time to remove."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from infra_orch.recovery.adopt import PLAN as ADOPT_PLAN
from infra_orch.recovery.death import DeadRun
from infra_orch.run.context import RunContext
from infra_orch.run.prepare import ADOPT_FILE
from infra_orch.run.terraform import redact_log
from infra_orch.run.unit import PLAN_FILE, forget_plans, saved_plan

_PRINTED = ("*.printed", "empty.json", ADOPT_PLAN, f"{ADOPT_PLAN}.json", ADOPT_FILE)


def learn_secrets(units: Iterable[str], context: RunContext) -> None:
    """Teach the redactor what the plans that the run left behind know to be secret, the values of variables included:
    a unit's root module has variables for nothing else.
    """
    for unit in units:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            plan = saved_plan(context, unit, PLAN_FILE)
            plan.learn_secrets(context.redactor, {})
            for variable in (plan.document.get("variables") or {}).values():
                context.redactor.add(variable.get("value"))


def redact_logs(dead: DeadRun, context: RunContext) -> None:
    """Redact the logs of the run; what its tasks' programs printed, and nobody had read yet, goes."""
    for path in sorted(dead.folder.glob("*/program-*.log")):
        path.unlink(missing_ok=True)
    for path in sorted(dead.folder.glob("*/*.log")):
        redact_log(context, path)


def forget_leftovers(units: Iterable[str], context: RunContext) -> None:
    """Remove plans, printed states and the like from the work folders."""
    for unit in units:
        with contextlib.suppress(OSError):
            forget_plans(context, unit)
        for folder in (context.work / unit, context.work / f"{unit}.state", context.work / f"{unit}.former-state"):
            for pattern in _PRINTED:
                for path in folder.glob(pattern):
                    path.unlink(missing_ok=True)
