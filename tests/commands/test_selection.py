"""Which units and tasks a run works on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk

ANY = """
    variable "value" {
      type    = any
      default = null
    }

    resource "terraform_data" "it" {
      input = var.value
    }

    output "value" {
      value = terraform_data.it.output
    }
    """


@pytest.fixture(scope="module")
def town(lasting_desk: Desk) -> Desk:
    """net <- db <- api, net <- web, lone; tasks after db, after api and web, before web, and on their own."""
    lasting_desk.write(
        {
            "modules/any/main.tf": ANY,
            "stacks/dev/stack.py": """
            from infra_orch import Stack

            stack = Stack("dev", tags=["all"])
            net = stack.unit("net", module="any", inputs={"value": "n"})
            db = stack.unit("db", module="any", inputs={"value": net.outputs.value}, tags=["data"])
            api = stack.unit("api", module="any", inputs={"value": db.outputs.value}, tags=["app"])
            web = stack.unit("web", module="any", inputs={"value": net.outputs.value}, tags=["app"])
            stack.unit("lone", module="any")

            @stack.task(after=[db], name="db-check", on="plan")
            def db_check(context): ...

            @stack.task(after=[api, web], on="plan")
            def smoke(context): ...

            @stack.task(before=[web], on="plan")
            def ready(context): ...

            @stack.task(on="plan")
            def hello(context): ...
            """,
        }
    )
    return lasting_desk


def chosen(desk: Desk, *arguments: str) -> tuple[set[str], set[str]]:
    result = desk.run("plan", "dev", "--json", *arguments)
    assert result.code == 0, result.err
    document = json.loads(result.out)
    return set(document["units"]), set(document["tasks"])


@pytest.mark.parametrize(
    ("arguments", "units", "tasks"),
    [
        ((), {"net", "db", "api", "web", "lone"}, {"db-check", "smoke", "ready", "hello"}),
        (("--unit", "db"), {"db"}, {"db-check"}),
        (("--unit", "*b"), {"db", "web"}, {"db-check", "ready"}),
        (("--unit", "lone", "--unit", "net"), {"lone", "net"}, set()),
        (("--unit", "api", "--with-upstream"), {"api", "db", "net"}, {"db-check"}),
        (("--unit", "db", "--with-downstream"), {"db", "api"}, {"db-check"}),
        (("--tag", "app"), {"api", "web"}, {"smoke", "ready"}),
        (("--tag", "app", "--unit", "net"), {"api", "web", "net"}, {"smoke", "ready"}),
    ],
)
def test_what_is_asked_for_is_worked_on(
    town: Desk, arguments: tuple[str, ...], units: set[str], tasks: set[str]
) -> None:
    assert chosen(town, *arguments) == (units, tasks)


def test_the_order_that_units_left_out_imply_stays(town: Desk) -> None:
    document = json.loads(town.run("plan", "dev", "--unit", "net", "--unit", "api", "--json").out)
    assert list(document["units"]) == ["net", "api"]
    assert document["units"]["api"]["unknown_inputs"] == ["db.value"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--unit", "dbb"), 'did you mean "db"?'),
        (("--unit", "x*"), "units: api, db, lone, net, web"),
        (("--unit", ""), "units: api, db, lone, net, web"),
        (("--unit", "../db"), "is called"),
        (("--tag", "dat"), 'did you mean "data"?'),
        (("--tag", "zzz"), "tags: all, app, data"),
    ],
)
def test_what_fits_nothing_is_refused_with_what_there_is(town: Desk, arguments: tuple[str, ...], words: str) -> None:
    result = town.run("plan", "dev", *arguments)
    assert (result.code, words in result.err) == (64, True), result.err


def test_a_unit_outside_the_run_gives_what_it_has(desk: Desk) -> None:
    desk.write(
        {
            "modules/any/main.tf": ANY,
            "stacks/dev/stack.py": """
            from infra_orch import Stack

            stack = Stack("dev")
            net = stack.unit("net", module="any", inputs={"value": "n"})
            stack.unit("web", module="any", inputs={"value": net.outputs.value})
            """,
        }
    )
    assert desk.run("apply", "dev", "--auto-approve", "--unit", "net").code == 0
    document = json.loads(desk.run("plan", "dev", "--unit", "web", "--json").out)
    assert document["units"]["web"]["basis"] == "exact"


def test_a_stack_without_units_has_nothing_to_do(desk: Desk) -> None:
    desk.write({"stacks/dev/stack.py": 'from infra_orch import Stack\nstack = Stack("dev")\n'})
    for arguments in (("plan", "dev"), ("apply", "dev", "--auto-approve"), ("destroy", "dev", "--auto-approve")):
        result = desk.run(*arguments)
        assert result.code == 0, result.err
        assert "dev has no units to work on" in result.err


def test_what_waits_for_a_unit_that_is_no_part_of_the_run_is_told_before_the_question_and_after(town: Desk) -> None:
    planned = town.run("plan", "dev", "--unit", "db", "--unit", "web")
    assert planned.code == 0
    assert "db, web: cannot be applied before net, which is no part of this run: --with-upstream" in planned.err
    done = town.run("apply", "dev", "--unit", "web", "--auto-approve")
    assert done.code == 1
    assert "web: deferred: still waits for net.value" in done.err
    assert "→ --with-upstream applies net, too" in done.err
    assert "cannot be applied before" not in town.run("plan", "dev").err
