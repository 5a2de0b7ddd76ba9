"""What a run is about to do, written before it does it: with its journal and logs, enough to see to its end for it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from infra_orch.errors import UserError
from infra_orch.files import write_atomically
from infra_orch.graph.graph import Graph
from infra_orch.project import StackFolder
from infra_orch.record.record import RunFacts
from infra_orch.render.index import KeptUnit, RenderedStack, digest, from_json, to_json
from infra_orch.run.context import RunContext
from infra_orch.run.kept import outcome_json, read_outcome
from infra_orch.run.outcome import Basis, Outcome, Status
from infra_orch.run.plan import Preview, Selection
from infra_orch.run.unit import saved_plan

NAME = "intent.json"
SCHEMA = 1


@dataclass(frozen=True)
class Consented:
    """How a run was asked for. *commit*: its records are to be committed. *from_rendered*: no Python was evaluated, so
    no task runs. *bundle* is the id of the bundle that is applied.
    """

    commit: bool
    from_rendered: bool
    bundle: str | None


@dataclass(frozen=True)
class Intent:
    """What a run was about to do.

    *stack* is the stack as it was rendered, units that left the spec among its left-over ones. *nodes* are the units
    and tasks of the run as its preview had them, *graph* is their order, *digests* are of the plans, by unit.
    *emulator* is the URL of the sandbox's.
    """

    facts: RunFacts
    stack: RenderedStack
    nodes: Mapping[str, Outcome]
    graph: Graph
    digests: Mapping[str, str]
    consent: Consented
    emulator: str | None


def intent_of(
    selection: Selection, preview: Preview, context: RunContext, facts: RunFacts, consent: Consented
) -> Intent:
    """Return what a run of *selection* is about to do, as its preview has it."""
    stack = context.stack
    gone = {name: KeptUnit(work.unit, ()) for name, work in selection.units.items() if name not in stack.units}
    return Intent(
        facts=facts,
        stack=replace(stack, left_over={**stack.left_over, **gone}),
        nodes=preview.outcomes,
        graph=selection.graph.reversed() if selection.kind == "destroy" else selection.graph,
        digests=plan_digests(preview, context),
        consent=consent,
        emulator=context.sandbox.url if context.sandbox else None,
    )


def plan_digests(preview: Preview, context: RunContext) -> dict[str, str]:
    """A digest of what each planned unit's saved plan does, by unit, where all that it rests on is known.

    A plan that waits for values of others cannot be compared with one that has them.
    """
    found: dict[str, str] = {}
    for name, outcome in preview.outcomes.items():
        if outcome.is_task or outcome.status is not Status.PLANNED or outcome.basis is not Basis.EXACT:
            continue
        with contextlib.suppress(OSError, ValueError):
            plan = saved_plan(context, name)
            does = [plan.raw_changes, plan.document.get("output_changes")]
            found[name] = digest(json.dumps(does, sort_keys=True, default=str))
    return found


def write_intent(intent: Intent, context: RunContext) -> None:
    """Write *intent* into the run's folder, and note in the journal that the run begins to change the world.

    Raises OSError where that cannot be done: nothing must be changed then.
    """
    document = {
        "schema": SCHEMA,
        "facts": asdict(intent.facts),
        "stack": json.loads(to_json(intent.stack)),
        "nodes": {name: outcome_json(outcome) for name, outcome in intent.nodes.items()},
        "edges": [list(edge) for edge in intent.graph.edges],
        "digests": dict(intent.digests),
        "consent": asdict(intent.consent),
        "emulator": intent.emulator,
    }
    write_atomically(context.run_folder / NAME, json.dumps(context.redactor.value(document)), mode=0o600)
    context.journal.write("apply", durable=True)


def runs_of(stack: str, folder: StackFolder, *, sandbox: bool) -> Iterator[str]:
    """The ids of the runs that began to change *stack* and are known here, newest first."""
    for path in sorted((folder.project.scratch / "runs").glob(f"*/{NAME}"), reverse=True):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            facts = json.loads(path.read_text(encoding="utf-8"))["facts"]
            if (facts["stack"], bool(facts["sandbox"])) == (stack, sandbox):
                yield path.parent.name


def read_intent(run_folder: Path, folder: StackFolder) -> Intent | None:
    """Read what a run was about to do; None where it never came so far. Raises UserError where it cannot be read."""
    path = run_folder / NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise UserError(f"{path} was written by another infra-orch (schema {document['schema']!r})")
        nodes = {str(name): read_outcome(name, value) for name, value in document["nodes"].items()}
        return Intent(
            facts=RunFacts(**document["facts"]),
            stack=from_json(json.dumps(document["stack"]), folder),
            nodes=nodes,
            graph=Graph.of(nodes, ((str(first), str(second)) for first, second in document["edges"])),
            digests={str(name): str(value) for name, value in document["digests"].items()},
            consent=Consented(**document["consent"]),
            emulator=None if document["emulator"] is None else str(document["emulator"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        shown = folder.project.shown(path)
        raise UserError(f"{shown} does not say what the run was about to do: {error!r}") from error
