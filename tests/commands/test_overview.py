"""`infra-orch` without a command: where one stands in a project, and what comes next."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import parses

from infra_orch.report.overview import StackStanding, Standing, next_commands

if TYPE_CHECKING:
    from conftest import Desk

SPEC = """
    from infra_orch import Stack

    stack = Stack("dev")
    stack.unit("one", module="m")
    stack.unit("two", module="m")
"""
RECORD = {
    "schema": 1,
    "unit": "one",
    "status": "applied",
    "run": "20261124T225621418Z-9a8fce",
    "at": "2026-11-24T22:56:21+00:00",
    "changes": {},
    "resources": [],
    "addresses": [],
    "providers": {},
    "commit": None,
}


@pytest.fixture
def rendered(desk: Desk) -> Desk:
    """A stack that was rendered, all of it committed, and one unit of which has a record."""
    desk.write({"modules/m/main.tf": "locals {\n}\n", "stacks/dev/stack.py": SPEC})
    assert desk.run("render", "dev").code == 0
    record(desk, "one")
    desk.commit()
    return desk


def record(desk: Desk, unit: str, **more: str) -> None:
    desk.write({f"stacks/dev/record/{unit}.json": json.dumps(RECORD | {"unit": unit} | more)})


def locked(desk: Desk, **more: object) -> None:
    path = desk.root / ".infra-orch/locks/work-dev.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"schema": 1, "owed": [], **more}))


def test_it_says_where_one_stands_and_what_comes_next(rendered: Desk) -> None:
    done = rendered.run()
    assert (done.code, done.err) == (0, "infra-orch --help lists all commands\n")
    assert done.out.splitlines() == [
        "project  1 stack, 2 units rendered, 1 of them applied",
        "  dev  2 units, applied last 2026-11-24T22:56:21+00:00",
        "",
        "  infra-orch plan dev   see what an apply would do",
        "  infra-orch apply dev  plan, show, ask, do exactly that",
        "  infra-orch list       see all units, and what of each has changed since its last apply",
    ]


def test_it_evaluates_no_spec_and_writes_nothing(desk: Desk) -> None:
    desk.write({"stacks/dev/stack.py": 'open("was-here", "w")\n'})
    assert "never rendered" in desk.run().out
    assert sorted(path.name for path in desk.root.iterdir()) == [".git", "stacks"]


def test_an_empty_project_gets_to_its_first_stack(desk: Desk) -> None:
    assert "infra-orch new stack dev " in desk.run().out


def test_what_failed_and_what_is_left_over_come_first(rendered: Desk) -> None:
    record(rendered, "two", status="failed")
    record(rendered, "old")
    out = rendered.run().out
    assert "failed: two, left over: old" in out
    commands = [line.split("  ")[1] for line in out.rpartition("\n\n")[2].splitlines()]
    assert commands == ["infra-orch history dev", "infra-orch plan dev --prune", "git status"]
    assert "not committed: stacks/dev/record/old.json, and 1 more" in out


def test_a_run_that_died_is_told_and_one_at_work_is_not_taken_for_it(rendered: Desk) -> None:
    locked(rendered, owed=["20261124T225621418Z-9a8fce"])
    out = rendered.run().out
    assert "a run died" in out
    assert "infra-orch recover dev" in out
    locked(rendered, host="elsewhere", pid=1, run_id="r", command="apply", since="2026-11-24T22:56:21+00:00")
    out = rendered.run().out
    assert "apply r (pid 1 on elsewhere" in out
    assert "died" not in out
    gone = 2**22 + 1
    locked(
        rendered, host=socket.gethostname(), pid=gone, run_id="r", command="apply", since="2026-11-24T22:56:21+00:00"
    )
    assert "a run died" in rendered.run().out


def test_a_record_that_cannot_be_read_hides_no_other_stack(rendered: Desk) -> None:
    rendered.write({"stacks/other/stack.py": SPEC, "stacks/dev/record/one.json": "{"})
    done = rendered.run()
    assert done.code == 0
    assert "other  never rendered" in done.out
    assert "warning: dev: stacks/dev/record/one.json: this is not a record" in done.err
    assert "dev    cannot be read" in done.out
    assert "infra-orch history dev" in done.out


def test_settings_that_are_wrong_are_said(rendered: Desk) -> None:
    rendered.write({"infra-orch.toml": "paralelism = 3\n"})
    done = rendered.run()
    assert (done.code, "parallelism" in done.err) == (64, True)


GONE = StackStanding("gone", 1, left_over=("one",), has_spec=False)
FRESH = StackStanding("fresh")
DONE = StackStanding("done", 2, 2)


@pytest.mark.parametrize(
    ("stacks", "first"),
    [
        ([], "infra-orch new stack dev"),
        ([FRESH], "infra-orch validate fresh"),
        ([FRESH, StackStanding("hurt", unreadable=True)], "infra-orch history hurt"),
        ([FRESH, StackStanding("more")], "infra-orch validate --all"),
        ([DONE], "git status"),
        ([DONE, GONE], "infra-orch destroy gone --from-rendered"),
        ([FRESH, StackStanding("team/hurt", 2, 2, died=True, failed=("a",))], "infra-orch recover team/hurt"),
        ([DONE, StackStanding("half", 2, 1)], "infra-orch plan half"),
    ],
)
def test_the_next_commands_are_three_and_can_be_typed(stacks: list[StackStanding], first: str) -> None:
    commands = [command for command, _ in next_commands(Standing(Path("/project"), stacks, ("stacks/x",)))]
    assert commands[0] == first
    assert len(commands) == 3
    for words in map(str.split, commands):
        if words[0] == "infra-orch":
            parses(words[1:])
