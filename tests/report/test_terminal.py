"""What a person reads of a plan and of an apply."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from infra_orch.report.style import Style, safe
from infra_orch.report.terminal import apply_summary, outcome_line, plan_lines, plan_summary
from infra_orch.run.outcome import AttributeChange, Basis, Failure, Outcome, ResourceChange, Status, count

if TYPE_CHECKING:
    from conftest import Desk

PLAIN = Style()
COLOURED = Style(colour=True)
ANSI = re.compile(r"\033\[[0-9;]*m")


def changed(*attributes: AttributeChange, actions: tuple[str, ...] = ("update",), **more: str) -> ResourceChange:
    return ResourceChange("module.web.aws_instance.it", "aws_instance", actions, attributes, **more)


def planned(*resources: ResourceChange, name: str = "web", **more: object) -> Outcome:
    return Outcome(name, Status.PLANNED, count(resources), resources, **more)  # type: ignore[arg-type]


def lines(*outcomes: Outcome, style: Style = PLAIN) -> list[str]:
    return list(plan_lines({outcome.name: outcome for outcome in outcomes}, style))


def text(*outcomes: Outcome) -> str:
    return "\n".join(lines(*outcomes))


def test_a_change_shows_old_and_new_in_columns() -> None:
    assert lines(
        planned(changed(AttributeChange("type", '"small"', '"big"'), AttributeChange("tags.Name", "null", '"w"')))
    ) == [
        "web: 1 to update",
        "    ~ module.web.aws_instance.it",
        '        type      = "small" → "big"',
        '        tags.Name = null → "w"',
        "",
    ]


def test_what_forces_a_replacement_is_marked() -> None:
    shown = text(
        planned(changed(AttributeChange("ami", '"a"', '"b"', forces_replacement=True), actions=("delete", "create")))
    )
    assert "  -/+ module.web.aws_instance.it  replaced" in shown
    assert 'ami = "a" → "b"  # forces replacement' in shown


def test_of_a_new_resource_what_is_empty_is_left_out_and_what_is_unknown_is_one_line() -> None:
    attributes = (
        AttributeChange("arn", "null", "(known after apply)"),
        AttributeChange("id", "null", "(known after apply)"),
        AttributeChange("name", "null", '"n"'),
        AttributeChange("note", "null", '""'),
        AttributeChange("tags", "null", "null"),
    )
    assert lines(planned(changed(*attributes, actions=("create",))))[2:-1] == [
        '        name = "n"',
        "        arn, id = (known after apply)",
    ]


@pytest.mark.parametrize(
    ("actions", "sign"),
    [
        (("create",), "+"),
        (("update",), "~"),
        (("delete",), "-"),
        (("create", "delete"), "+/-"),
        (("read",), "<="),
        (("forget",), "."),
    ],
)
def test_every_action_has_its_sign(actions: tuple[str, ...], sign: str) -> None:
    assert lines(planned(changed(actions=actions)))[1].split()[0] == sign


def test_a_move_and_an_import_say_where_from() -> None:
    shown = text(
        planned(changed(actions=("no-op",), moved_from="module.old.aws_instance.it")),
        planned(changed(actions=("no-op",), imported_id="i-1"), name="imported"),
    )
    assert "moved from module.old.aws_instance.it" in shown
    assert "imported, id i-1" in shown


def test_very_many_attributes_are_cut_and_it_is_said_how_to_see_them() -> None:
    attributes = [AttributeChange(f"a{number:03}", "1", "2") for number in range(100)]
    shown = text(planned(changed(*attributes)))
    assert "a039" in shown
    assert "a040" not in shown
    assert "… 60 more; --full shows them" in shown


def test_what_a_plan_rests_on_is_said() -> None:
    shown = lines(
        planned(changed(), name="a", basis=Basis.PLANNED),
        planned(changed(), name="b", basis=Basis.UNKNOWN, unknown_inputs=("net.id",)),
    )
    assert "a: 1 to update  (rests on values that upstream plans promise)" in shown
    assert "b: 1 to update  (not known yet: net.id)" in shown


def test_units_without_changes_are_one_line() -> None:
    shown = lines(Outcome("a", Status.UNCHANGED), Outcome("b", Status.UNCHANGED), planned(changed()))
    assert shown[-2:] == ["unchanged: a, b", ""]


def test_units_of_which_there_is_nothing_to_show_stand_close_together() -> None:
    blocked = [Outcome(name, Status.BLOCKED, failure=Failure("net failed")) for name in ("a", "b")]
    assert lines(*blocked, planned(changed()))[:4] == [
        "a: blocked: net failed",
        "b: blocked: net failed",
        "",
        "web: 1 to update",
    ]


def test_a_failure_shows_what_was_said_what_to_do_and_the_log() -> None:
    failure = Failure("it broke", "Error: it broke\n\n  on main.tf", "mend it", "runs/1/web/plan.log")
    assert lines(Outcome("web", Status.FAILED, failure=failure)) == [
        "web: failed: it broke",
        "  │ Error: it broke",
        "  │ ",
        "  │   on main.tf",
        "  → mend it",
        "  log: runs/1/web/plan.log",
        "",
    ]


def test_the_summary_counts_like_terraforms() -> None:
    outcomes = {
        "a": planned(changed(actions=("create",)), changed(actions=("delete", "create"))),
        "b": planned(changed(), changed(actions=("delete",))),
        "c": Outcome("c", Status.DEFERRED),
    }
    assert plan_summary(outcomes, PLAIN, "plan") == "Plan: 2 to add, 1 to change, 2 to destroy. (deferred: c)"


def test_no_changes_are_said_only_of_what_was_seen() -> None:
    unchanged = Outcome("a", Status.UNCHANGED)
    assert plan_summary({"a": unchanged}, PLAIN, "plan") == "No changes. Your infrastructure matches the stack."
    failed = Outcome("b", Status.FAILED)
    blocked = Outcome("c", Status.BLOCKED)
    incomplete = "The plan is not complete: failed: b; blocked: c."
    assert plan_summary({"a": unchanged, "b": failed, "c": blocked}, PLAIN, "plan") == incomplete
    more = {"a": planned(changed()), "b": failed, "c": blocked}
    assert plan_summary(more, PLAIN, "plan") == f"Plan: 0 to add, 1 to change, 0 to destroy. {incomplete}"
    deferred = Outcome("b", Status.DEFERRED)
    assert plan_summary({"b": deferred}, PLAIN, "plan") == "No changes in what could be planned. (deferred: b)"


def test_tasks_that_will_run_are_said() -> None:
    outcomes = {"a": Outcome("a", Status.UNCHANGED), "t": Outcome("t", Status.PLANNED, is_task=True)}
    assert plan_summary(outcomes, PLAIN, "plan").endswith("Task to run: t.")


def test_an_apply_that_is_not_complete_says_so() -> None:
    done = Outcome("a", Status.APPLIED, count((changed(actions=("create",)),)))
    assert apply_summary({"a": done}, PLAIN, "apply", 3.2) == "Apply complete. 1 added, 0 changed, 0 destroyed, in 3 s."
    failed = Outcome("b", Status.FAILED)
    assert apply_summary({"a": done, "b": failed}, PLAIN, "destroy", 61).startswith("Destroy not complete. 1 added")


HOSTILE = "\033[2J\033]0;title\007\u202ereversed\u202c\r\b\x9b31m"


def test_nothing_that_others_wrote_reaches_the_terminal_as_a_command() -> None:
    resource = ResourceChange(
        f'x.it["{HOSTILE}"]', "x", ("update",), (AttributeChange(HOSTILE, HOSTILE, HOSTILE),), moved_from=HOSTILE
    )
    failure = Failure(HOSTILE, HOSTILE, HOSTILE, "log")
    outcomes = (planned(resource, warnings=(HOSTILE,)), Outcome("b", Status.FAILED, failure=failure))
    shown = text(*outcomes) + outcome_line(outcomes[1], PLAIN)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert "\\u001b[2J" in shown


def test_safe_text_keeps_what_is_only_text() -> None:
    assert safe("né ☃ 𝄞\tx\ny") == "né ☃ 𝄞\tx\ny"
    assert safe("a\nb", keep_newlines=False) == "a\\u000ab"


def test_without_colours_the_text_is_the_same() -> None:
    outcomes = (
        planned(changed(AttributeChange("a", "1", "2", forces_replacement=True), actions=("delete", "create"))),
        Outcome("b", Status.FAILED, failure=Failure("no", "why", "do", "log")),
        Outcome("c", Status.UNCHANGED),
    )
    coloured = "\n".join(lines(*outcomes, style=COLOURED))
    assert "\033[" in coloured
    assert ANSI.sub("", coloured) == text(*outcomes)


def shell(desk: Desk, command: str) -> tuple[int, str, str]:
    python = f"{sys.executable} -m infra_orch"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command.replace('infra-orch', python)}"],
        cwd=desk.root,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_reader_that_goes_away_harms_no_run(two_units: Desk) -> None:
    code, out, err = shell(two_units, "infra-orch apply dev --auto-approve | head -1")
    assert (code, out) == (0, "network: 3 to create\n"), err
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
    assert two_units.git("log", "-1", "--format=%s") == "apply dev: 5 created"


def test_output_that_cannot_be_written_is_said_and_harms_no_run(two_units: Desk) -> None:
    code, _, err = shell(two_units, "infra-orch apply dev --auto-approve > /dev/full")
    assert "Traceback" not in err
    assert code == 1
    assert "standard output cannot be written" in err
    states = {path.name for path in (two_units.root / "stacks/dev/state").glob("*.tfstate")}
    assert states in (set(), {"network.tfstate", "web.tfstate"})
    assert not list((two_units.root / ".infra-orch").rglob("tfplan*"))
