"""What a run's record or document says of a node is read back as the outcome that it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra_orch.graph.graph import Graph
from infra_orch.record.read import read_outcomes
from infra_orch.record.record import RunFacts, run_record
from infra_orch.report.document import document
from infra_orch.run.outcome import AttributeChange, Basis, Failure, Outcome, ResourceChange, Status, count

FACTS = RunFacts("r", "prod", "apply", "2026", 1.0, "Ada", None, False, "terraform", "1.11.4", False, "1")
RESOURCES = (
    ResourceChange("t.a", "t", ("delete", "create"), (AttributeChange("x", "1", "2", True),), "t.b", "id"),
    ResourceChange("t.c", "t", ("update",), (AttributeChange("y", "1", "2"),)),
)
OUTCOMES = {
    "web": Outcome(
        name="web",
        status=Status.FAILED,
        counts=count(RESOURCES),
        resources=RESOURCES,
        outputs_changed=("ids",),
        basis=Basis.UNKNOWN,
        unknown_inputs=("network.id",),
        failure=Failure("no", "Error: no", "try", "a.log", "locked"),
        warnings=("old",),
        duration=1.25,
        destroys_unit=True,
        unfinished=("t.d",),
    ),
    "smoke": Outcome("smoke", Status.APPLIED, duration=2.0, is_task=True, result={"rows": 3}),
}


def test_a_document_is_read_back_as_the_outcomes_it_was_made_from() -> None:
    graph = Graph.of(OUTCOMES, [("web", "smoke")])
    made = document(OUTCOMES, FACTS, graph, status="failed", left_over=[], gateway=None)
    assert read_outcomes(made) == OUTCOMES


def test_a_record_is_read_back_without_attributes_and_details() -> None:
    web = OUTCOMES["web"]
    assert web.failure
    less = replace(
        web,
        resources=tuple(replace(change, attributes=()) for change in web.resources),
        failure=replace(web.failure, detail=""),
    )
    assert read_outcomes(run_record(OUTCOMES, FACTS, status="failed")) == OUTCOMES | {"web": less}


def test_a_status_that_there_is_not_is_refused() -> None:
    record = run_record(OUTCOMES, FACTS, status="failed")
    record["units"]["web"]["status"] = "exploded"
    with pytest.raises(ValueError, match="exploded"):
        read_outcomes(record)
