"""`apply --resume RUN`: go on with what a run that died, or was stopped, had shown and not done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from infra_orch.commands.parts import Part
from infra_orch.commands.session import Session
from infra_orch.commands.wanted import Wanted
from infra_orch.errors import UsageError
from infra_orch.recovery.intent import Intent, plan_digests, read_intent, runs_of
from infra_orch.run.plan import Preview


@dataclass(frozen=True)
class Resumed:
    """What is left of a run: the names of units and tasks, and digests of the plans that were consented to, by unit."""

    run_id: str
    names: frozenset[str]
    digests: Mapping[str, str]

    def asked_before(self, shown: Preview, run: Session) -> bool:
        """Whether every plan is, change by change, one that was shown and consented to in that run."""
        now = plan_digests(shown, run.context)
        doing = {name for name, outcome in shown.outcomes.items() if outcome.status.to_do and not outcome.is_task}
        return doing <= now.keys() and all(now[name] == self.digests.get(name) for name in doing)


def resumed(run: Session, wanted: str) -> Resumed:
    """Return what is left of the run *wanted* (an id, the beginning of one, or `last`).

    Raises UsageError where no apply of this stack is called so, or everything in it was done.
    """
    run_id, intent = _intent(run, wanted)
    if intent.facts.command != "apply":
        raise UsageError(
            f"run {run_id} is a destroy", hint=f"infra-orch destroy {run.context.stack.folder.name} goes on with it"
        )
    done = _statuses(run, run_id)
    names = frozenset(
        name
        for name, outcome in intent.nodes.items()
        if outcome.status.to_do and done.get(name) not in ("applied", "unchanged")
    )
    left = names & run.context.stack.graph.upstream.keys()
    if not left:
        raise UsageError(f"nothing is left to do of run {run_id}", hint="infra-orch history STACK lists the runs")
    return Resumed(run_id, left, intent.digests)


def narrowed(part: Part, left: Resumed) -> Part:
    """Return *part* for what is left of a run alone."""
    return replace(part, options=replace(part.options, wanted=Wanted(nodes=left.names)))


def _intent(run: Session, wanted: str) -> tuple[str, Intent]:
    stack = run.context.stack
    known = list(runs_of(stack.name, stack.folder, sandbox=run.sandbox))
    found = known[:1] if wanted == "last" else [run_id for run_id in known if run_id.startswith(wanted)]
    if len(found) > 1:
        raise UsageError(f'"{wanted}" could be {", ".join(sorted(found))}', hint="give more of its id")
    intent = read_intent(run.context.run_folder.parent / found[0], stack.folder) if found else None
    if intent is None:
        name = stack.folder.name
        raise UsageError(
            f'no apply of {name} that "{wanted}" names began here', hint=f"infra-orch history {name} lists them"
        )
    return found[0], intent


def _statuses(run: Session, run_id: str) -> dict[str, str]:
    """What became of the nodes of a run, by name; nothing where that is not known."""
    try:
        document = json.loads((run.context.run_folder.parent / run_id / "run.json").read_text(encoding="utf-8"))
        return {name: str(node["status"]) for name, node in {**document["units"], **document["tasks"]}.items()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
