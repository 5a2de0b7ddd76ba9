"""`history` and `show`: who did what, when, and what was said."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Desk

MODULE = """
    variable "text" {
      type = string
    }

    resource "terraform_data" "it" {
      input = var.text
    }
    """


def spec(text: str) -> dict[str, str]:
    return {
        "modules/one/main.tf": MODULE,
        "stacks/team/dev/stack.py": f"""
            from infra_orch import Stack

            stack = Stack("dev")
            stack.unit("web", module="one", inputs={{"text": "{text}"}})

            @stack.task(after=["web"])
            def smoke(context):
                print("it smokes")
            """,
    }


@pytest.fixture(scope="module")
def lived(lasting_desk: Desk) -> Desk:
    """A stack that was applied, changed and applied again, and looked at."""
    lasting_desk.write(spec("a"))
    lasting_desk.commit()
    assert lasting_desk.run("apply", "team/dev", "--auto-approve").code == 0
    lasting_desk.write(spec("b"))
    assert lasting_desk.run("apply", "team/dev", "--auto-approve").code == 0
    assert lasting_desk.run("plan", "team/dev").code == 0
    return lasting_desk


@pytest.fixture(scope="module")
def history(lived: Desk) -> list[dict[str, Any]]:
    return list(json.loads(lived.run("history", "team/dev", "--json").out)["runs"])


def test_history_is_newest_first_with_the_commits_that_recorded_it(lived: Desk, history: list[dict[str, Any]]) -> None:
    assert [run["changes"]["update"] for run in history] == [1, 0]
    assert [run["changes"]["create"] for run in history] == [0, 1]
    assert [run["recorded_in"] for run in history] == lived.git("rev-list", "--max-count=2", "HEAD").split()


def test_history_for_a_person_has_a_line_for_each_run(lived: Desk, history: list[dict[str, Any]]) -> None:
    lines = lived.run("history", "team/dev").out.splitlines()
    assert len(lines) == 2
    for line, run in zip(lines, history, strict=True):
        assert run["run"] in line
        assert "Ada <ada@example.com>" in line
        assert run["recorded_in"][:8] in line
    assert ["1 updated" in lines[0], "1 created" in lines[1]] == [True, True]
    assert "0" not in re.sub(r"[^ ]*\d{2,}[^ ]*", "", lines[0]), "what did not happen is left out"


def test_history_is_cut_where_that_is_wanted(lived: Desk) -> None:
    assert len(lived.run("history", "team/dev", "--limit", "1").out.splitlines()) == 1


def test_a_move_is_told_as_one_and_not_as_nothing(desk: Desk) -> None:
    desk.write(spec("a"))
    assert desk.run("apply", "team/dev", "--auto-approve").code == 0
    moved = MODULE.replace('"it"', '"that"') + "moved {\n  from = terraform_data.it\n  to = terraform_data.that\n}\n"
    desk.write({"modules/one/main.tf": moved})
    assert desk.run("apply", "team/dev", "--auto-approve").code == 0
    newest = desk.run("history", "team/dev").out.splitlines()[0]
    assert "  1 moved  " in newest
    assert "1 moved" in desk.git("show", "--no-patch", "--format=%s")
    assert json.loads(desk.run("history", "team/dev", "--json").out)["runs"][0]["changes"]["move"] == 1


def test_a_stack_without_a_run_says_how_to_make_one(desk: Desk) -> None:
    desk.write({"stacks/dev/stack.py": 'from infra_orch import Stack\nstack = Stack("dev")\n'})
    result = desk.run("history", "dev")
    assert (result.code, result.out) == (0, "")
    assert "infra-orch apply dev" in result.err


def test_the_last_run_is_shown_also_one_that_only_planned(lived: Desk) -> None:
    shown = lived.run("show", "last").out
    assert shown.startswith("plan dev: unchanged")
    assert "  who     Ada <ada@example.com>\n" in shown
    assert "  when    20" in shown


def test_a_run_is_found_by_the_beginning_of_its_id(lived: Desk, history: list[dict[str, Any]]) -> None:
    run = history[1]["run"]
    shown = lived.run("show", run[:-2])
    assert shown.code == 0, shown.err
    assert run in shown.out
    assert "module.web.terraform_data.it" in shown.out
    assert "smoke: applied" in shown.out


def test_a_beginning_that_fits_several_is_refused_with_them(lived: Desk) -> None:
    result = lived.run("show", "2026" if lived.run("show", "2026").code else "20")
    assert result.code == 64
    assert "could be" in result.err


def test_a_run_is_read_from_git_where_its_machine_is_gone(lived: Desk, history: list[dict[str, Any]]) -> None:
    runs = lived.root / ".infra-orch/runs"
    runs.rename(runs.with_name("away"))
    shown = lived.run("show", history[0]["run"], "--json")
    logs = lived.run("show", history[0]["run"], "web")
    runs.with_name("away").rename(runs)
    assert json.loads(shown.out)["units"]["web"]["status"] == "applied"
    assert (logs.code, "not on this machine" in logs.err) == (1, True)


def test_the_log_of_a_unit_is_what_terraform_said(lived: Desk, history: list[dict[str, Any]]) -> None:
    log = lived.run("show", history[1]["run"], "web").out
    assert "Apply complete! Resources: 1 added, 0 changed, 0 destroyed." in log
    assert '{"@level"' not in log


def test_logs_that_say_nothing_are_left_out(lived: Desk) -> None:
    log = lived.run("show", "last", "web").out
    assert re.findall(r"── (\w+)", log) == ["plan"]


def test_a_program_is_told_what_became_of_a_unit(lived: Desk) -> None:
    assert json.loads(lived.run("show", "last", "web", "--json").out)["status"] == "unchanged"


def test_what_had_to_wait_for_a_failure_says_so_instead_of_logs(desk: Desk) -> None:
    desk.write(spec("a") | {"modules/one/main.tf": f'{MODULE}\nresource "nothing_such" "it" {{\n}}\n'})
    assert desk.run("apply", "team/dev", "--auto-approve").code == 1
    shown = desk.run("show", "last", "smoke")
    assert (shown.code, shown.out) == (0, "smoke was blocked: web failed\n")


def test_the_log_of_a_task_is_what_it_printed(lived: Desk, history: list[dict[str, Any]]) -> None:
    assert "it smokes" in lived.run("show", history[0]["run"], "smoke").out


@pytest.mark.parametrize("name", ["../../etc", "zzz", "", "-x", "20300101T000000Z-abcdef"])
def test_a_run_that_is_none_is_refused(lived: Desk, name: str) -> None:
    result = lived.run("show", "--", name)
    assert (result.code, result.out) == (64, "")
    assert "Traceback" not in result.err


def test_a_unit_that_was_not_in_the_run_is_refused_with_those_that_were(
    lived: Desk, history: list[dict[str, Any]]
) -> None:
    result = lived.run("show", history[0]["run"], "wev")
    assert (result.code, "web, smoke" in result.err) == (64, True)


def test_a_damaged_record_is_named_with_the_way_to_have_it_back(lived: Desk, history: list[dict[str, Any]]) -> None:
    record = lived.root / f"stacks/team/dev/record/runs/{history[0]['run']}.json"
    text = record.read_text()
    record.write_text(text[:100])
    result = lived.run("history", "team/dev")
    record.write_text(text)
    assert result.code == 1
    assert f"git checkout -- stacks/team/dev/record/runs/{record.name}" in result.err
