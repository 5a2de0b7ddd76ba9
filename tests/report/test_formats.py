"""A preview for programs: JUnit's XML and SARIF, whatever others wrote into it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest
from test_comment import ABOUT, HOSTILE, change, planned, run

from infra_orch.report.comment import comment
from infra_orch.report.junit import junit
from infra_orch.report.sarif import sarif
from infra_orch.run.outcome import Failure, Outcome, Status

FAILED = Outcome("bad", Status.FAILED, failure=Failure("it is locked", "Error: lock", hint="unlock it"), duration=1.5)
LATE = Outcome("late", Status.DEFERRED, unknown_inputs=("net.id",), failure=Failure("waits for net.id"))
STACKS = {
    "team/app": run(
        planned("new", change("x.new", "create")),
        planned("gone", change("x.old", "delete"), change("x.other", "delete", "create")),
        planned("odd", change("x.odd"), warnings=("deprecated",)),
        Outcome("same", Status.UNCHANGED),
        FAILED,
        LATE,
        Outcome("check", Status.APPLIED, is_task=True, result=3),
    )
}


def test_each_stack_is_a_suite_and_what_failed_is_a_failure_with_what_terraform_said() -> None:
    root = ET.fromstring(junit(STACKS))
    (suite,) = root
    assert (suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("skipped")) == (
        "team/app",
        "7",
        "1",
        "1",
    )
    cases = {case.get("name"): case for case in suite}
    assert cases["bad"].find("failure").attrib == {"type": "failed", "message": "it is locked"}  # type: ignore[union-attr]
    assert cases["bad"].findtext("failure") == "it is locked\nError: lock\nunlock it"
    assert cases["bad"].get("time") == "1.50"
    assert cases["late"].find("skipped").attrib == {"message": "waits for net.id"}  # type: ignore[union-attr]
    assert cases["gone"].findtext("system-out") == "1 to destroy, 1 to replace\n- x.old\n- x.other  (replaced)"
    assert cases["same"].findtext("system-out") == "unchanged"


def test_what_a_reviewer_has_to_see_stands_at_the_rendered_file_the_worst_first() -> None:
    (found,) = json.loads(sarif(STACKS, "infra/"))["runs"]
    results = [(one["ruleId"], one["level"], one["message"]["text"]) for one in found["results"]]
    assert results == [
        ("failed", "error", "team/app/bad: it is locked"),
        ("destroyed", "warning", "team/app/gone: x.old is destroyed"),
        ("replaced", "warning", "team/app/gone: x.other is replaced"),
        ("warned", "warning", "team/app/odd: deprecated"),
        ("deferred", "note", "team/app/late: waits for net.id"),
    ]
    assert {rule["id"] for rule in found["tool"]["driver"]["rules"]} >= {one["ruleId"] for one in found["results"]}
    (place,) = found["results"][1]["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "infra/stacks/team/app/rendered/gone/main.tf"
    assert place["logicalLocations"] == [{"fullyQualifiedName": "team/app/gone: x.old"}]


def test_the_same_finding_of_another_run_is_the_same_alert() -> None:
    first, second = (json.loads(sarif(STACKS, ""))["runs"][0]["results"] for _ in range(2))
    prints = [one["partialFingerprints"]["infraOrch/v1"] for one in first]
    assert prints == [one["partialFingerprints"]["infraOrch/v1"] for one in second]
    assert len(set(prints)) == len(prints)


def test_no_more_results_than_a_host_shows() -> None:
    many = {
        "s": run(*(planned(f"u{n}", *(change(f"x.y{m}", "delete") for m in range(100))) for n in range(60)), FAILED)
    }
    (found,) = json.loads(sarif(many, ""))["runs"]
    assert len(found["results"]) == 5000
    assert found["results"][0]["ruleId"] == "failed"


@pytest.mark.parametrize("make", [junit, lambda stacks: sarif(stacks, ""), lambda stacks: comment(stacks, ABOUT)])
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_others_wrote_breaks_nothing(make: Callable[..., str], text: str) -> None:
    outcomes = (
        planned("a", change(f'x["{text}"]', "delete", values=(text, text)), warnings=(text,)),
        Outcome("b", Status.FAILED, failure=Failure(text, text, hint=text)),
    )
    made = make({"app": run(*outcomes)})
    if make is junit:
        assert len(list(ET.fromstring(made).iter("testcase"))) == 2
    elif made.startswith("{"):
        assert len(json.loads(made)["runs"][0]["results"]) == 3
    assert not [char for char in made if char in "\x1b\u202e\u2066"]
