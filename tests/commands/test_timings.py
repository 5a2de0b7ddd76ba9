"""`timings`: where the time of a run went, for people, programs and viewers of traces."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk


@pytest.fixture(scope="module")
def ran(lasting_desk: Desk) -> Desk:
    """A project in which something slow was applied."""
    lasting_desk.write(
        {
            "modules/slow/main.tf": """
            resource "terraform_data" "it" {
              provisioner "local-exec" {
                command = "sleep 1"
              }
            }
            """,
            "stacks/dev/stack.py": """
            from infra_orch import Stack

            stack = Stack("dev", tags=["slow"], concurrency={"slow": 1})
            first = stack.unit("first", module="slow")
            stack.unit("then", module="slow", after=[first])
            stack.unit("aside", module="slow")
            """,
        }
    )
    lasting_desk.commit()
    assert lasting_desk.run("apply", "dev", "--auto-approve").code == 0
    return lasting_desk


def test_the_time_of_an_apply_went_into_its_applies_and_its_queue(ran: Desk) -> None:
    found = json.loads(ran.run("timings", "last", "--json").out)
    plan, apply = found["phases"]
    assert (plan["name"], apply["name"]) == ("plan", "apply")
    for node in apply["nodes"].values():
        (step,) = node["steps"]
        assert step["step"] == "apply"
        assert 1.0 <= step["seconds"] <= node["seconds"]
    # One at a time is what the limit lets be at work.
    assert set(apply["critical"]) == {"first", "aside", "then"}
    assert max(node["queue"] for node in apply["nodes"].values()) > 0.9
    assert apply["seconds"] >= 3.0


def test_a_person_sees_a_row_for_each_unit_and_what_was_waited_for(ran: Desk) -> None:
    lines = ran.run("timings", "last").out.splitlines()
    assert lines[0].startswith("apply dev: ")
    assert {line.split()[1] for line in lines if line.startswith("* ")} == {"first", "then", "aside", "plan", "apply"}


def test_what_only_looks_at_a_stack_is_not_the_last_run(ran: Desk) -> None:
    before = json.loads(ran.run("timings", "last", "--json").out)["run"]
    assert ran.run("explain", "dev", "first").code == 0
    assert json.loads(ran.run("timings", "last", "--json").out)["run"] == before


def test_a_trace_is_written_where_it_is_wanted(ran: Desk) -> None:
    assert ran.run("timings", "last", "--trace", "trace.json").out == ""
    events = json.loads((ran.root / "trace.json").read_text())["traceEvents"]
    assert {"apply dev"} == {event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert {"first", "then", "aside", "apply"} <= {event["name"] for event in events if event["ph"] == "X"}


def test_a_run_says_itself_where_its_time_went(ran: Desk) -> None:
    done = ran.run("plan", "dev", "--timings", "--json")
    assert json.loads(done.out)["status"] == "unchanged"
    assert "* plan waited for: " in done.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("20990101T000000000Z-000000",), 64, "there is no run"),
        (("../../etc",), 64, "is not the id of a run"),
        (("last", "--trace", "nowhere/trace.json"), 1, "nowhere/trace.json cannot be written"),
    ],
)
def test_what_cannot_be_told_or_written_is_said(ran: Desk, words: tuple[str, ...], code: int, said: str) -> None:
    done = ran.run("timings", *words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


def test_of_a_run_that_was_made_elsewhere_only_the_record_is_here(ran: Desk) -> None:
    (record,) = (ran.root / "stacks/dev/record/runs").glob("*.json")
    (ran.root / ".infra-orch/runs" / record.stem).rename(ran.root / "elsewhere")
    done = ran.run("timings", record.stem)
    (ran.root / "elsewhere").rename(ran.root / ".infra-orch/runs" / record.stem)
    assert done.code == 1
    assert "are not on this machine" in done.err
