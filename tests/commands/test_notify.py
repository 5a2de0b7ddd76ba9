"""Whoever the settings name is told how a run goes, and no run goes otherwise for it."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from local_http import Chat, chatting

from infra_orch.commands.notifying import failures_told, notify
from infra_orch.console import Console
from infra_orch.errors import LockedError, RefusedError, SpecError, UnavailableError, UserError
from infra_orch.project import Project, find_project

if TYPE_CHECKING:
    from conftest import Desk

SECRET = "TokenABCDEFGHIJKLMNOP"
MODULE = """
    variable "ok" {
      type = bool
    }

    resource "terraform_data" "it" {
      input = "x"
      lifecycle {
        postcondition {
          condition     = var.ok
          error_message = "hunter2 is not ok"
        }
      }
    }
    """
SPEC = """
    from infra_orch import Stack

    stack = Stack("dev")
    a = stack.unit("a", module="it", inputs={"ok": True})
"""
EVERYTHING = """
[[notify]]
to = "env:CHAT"
on = ["start", "applied", "unchanged", "failed", "refused", "cancelled", "drift"]
"""


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    """A webhook whose address is in the variable CHAT."""
    for name in ("GITHUB_RUN_ID", "CI_JOB_URL", "BUILD_URL", "BUILDKITE_BUILD_URL", "CIRCLE_BUILD_URL"):
        monkeypatch.delenv(name, raising=False)
    with chatting() as (host, chat):
        monkeypatch.setenv("CHAT", f"json://{host}/{SECRET}")
        yield chat


@pytest.fixture
def telling(desk: Desk, chat: Chat) -> Desk:
    """A stack with a unit, and a rule that tells of everything."""
    desk.write({"modules/it/main.tf": MODULE, "stacks/dev/stack.py": SPEC, "infra-orch.toml": EVERYTHING})
    desk.commit()
    return desk


def told(chat: Chat) -> list[tuple[str, str]]:
    """Titles, and the first lines of texts."""
    return [(one["title"], one["message"].splitlines()[0]) for one in chat.told]


def test_an_apply_is_told_of_when_it_begins_and_when_it_has_ended(telling: Desk, chat: Chat) -> None:
    done = telling.run("apply", "dev", "--auto-approve")
    assert done.code == 0, done.err
    assert sorted(told(chat)) == [
        ("apply dev: applied", "1 applied · 1 created"),
        ("apply dev: started", "1 to create"),
    ]
    ended = next(one for one in chat.told if one["title"].endswith("applied"))
    assert ended["type"] == "success"
    assert "by Ada" in ended["message"]
    assert telling.git("rev-parse", "HEAD~1")[:12] in ended["message"]
    chat.told.clear()
    again = telling.run("apply", "dev", "--auto-approve")
    assert (again.code, told(chat)) == (0, [("apply dev: unchanged", "nothing changed")])


def test_a_failure_is_told_without_what_the_provider_said_of_it(telling: Desk, chat: Chat) -> None:
    more = "stack.unit('b', module='it', inputs={'ok': False}, after=[a])\n"
    telling.write({"stacks/dev/stack.py": SPEC + f"    {more}"})
    done = telling.run("apply", "dev", "--auto-approve")
    assert done.code == 1
    assert "hunter2" in done.out + done.err
    (failed,) = (one for one in chat.told if one["title"] == "apply dev: failed")
    assert failed["message"].startswith("1 applied, 1 failed")
    assert "hunter2" not in failed["message"]


def test_what_a_policy_refuses_is_told_and_nothing_is_begun(telling: Desk, chat: Chat) -> None:
    telling.write({"policies/no.py": "from infra_orch import policy\n\n@policy()\ndef no(plan):\n    return 'never'\n"})
    assert telling.run("apply", "dev", "--auto-approve").code == 77
    assert told(chat) == [("apply dev: refused", "1 refused")]


def test_nobody_being_there_to_hear_it_changes_nothing_but_a_warning(
    telling: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT", f"json://127.0.0.1:1/{SECRET}")
    telling.write({"stacks/dev/_x.py": f"print('{SECRET}')\n"})
    done = telling.run("apply", "dev", "--auto-approve", "--json")
    assert done.code == 0
    assert [line for line in done.err.splitlines() if "CHAT" in line] == ["warning: CHAT (json) could not be told"]
    assert SECRET not in done.out + done.err
    assert (telling.root / "stacks/dev/record/a.json").exists()


TASK = """
    @stack.task(after=[a])
    def alert(context):
        print("where to:", __import__("os").environ["CHAT"])
        sent = context.notify("release", "web has %s" % context.outputs["a"]["password"], to="CHAT")
        return [sent, context.notify("x", to="env:NOBODY")]


    @stack.task
    def wrong(context):
        context.notify("x", "y", to="json://127.0.0.1/TokenABCDEFGHIJKLMNOP")
    """


def test_a_task_can_tell_somebody_and_what_is_secret_is_masked(telling: Desk, chat: Chat) -> None:
    output = '    output "password" {\n      value     = "correct-horse-battery"\n      sensitive = true\n    }\n'
    telling.write({"stacks/dev/stack.py": SPEC + TASK, "modules/it/main.tf": MODULE + output, "infra-orch.toml": ""})
    done = telling.run("apply", "dev", "--auto-approve", "--json")
    assert told(chat) == [("release", "web has (sensitive)")], done.err
    log = telling.run("show", "last", "alert").out
    assert "where to: (sensitive)" in log
    assert "the variable NOBODY is not set" in log
    assert '"result": [\n        true,\n        false\n      ]' in done.out
    assert "to names no variable" in done.out


@pytest.fixture
def project(tmp_path: Path, chat: Chat) -> Project:
    """A project whose rules are those of several people."""
    (tmp_path / "stacks").mkdir()
    rules = """
    [[notify]]
    to = "env:CHAT"
    on = ["failed", "drift"]
    stacks = ["prod*"]
    title = "$stack $status ($run)"
    text = "by $by"

    [[notify]]
    to = "env:CHAT"
    on = ["applied"]
    """
    (tmp_path / "infra-orch.toml").write_text(rules)
    return find_project(tmp_path, {})


def run(status: str, **facts: Any) -> dict[str, Any]:
    known = {"run_id": "R", "command": "apply", "by": "Ada <a@b>", "commit": None, "units": {}, "tasks": {}}
    return {**known, "status": status, **facts}


def said(project: Project, documents: dict[str, Any], event: str = "", **more: Any) -> str:
    """What is warned of."""
    err = io.StringIO()
    notify(project, documents, Console(err=err), event, **more)
    return err.getvalue()


def test_each_rule_makes_one_message_of_what_is_its_own(project: Project, chat: Chat) -> None:
    documents = {"prod": run("failed"), "prod-eu": run("deferred"), "dev": run("failed"), "test": run("applied")}
    assert said(project, documents) == ""
    assert sorted(told(chat)) == [("apply test: applied", "nothing changed"), ("prod, prod-eu failed (R)", "by Ada")]


def test_drift_beside_what_could_not_be_looked_at_is_both(project: Project, chat: Chat) -> None:
    drifted = {"status": "planned", "changes": {}, "resources": [], "error": None, "duration_s": 0}
    said(project, {"prod": run("failed", command="drift", units={"a": drifted})})
    assert sorted(told(chat)) == [("prod failed (R)", "by Ada"), ("prod has drifted (R)", "by Ada")]


def test_a_rehearsal_in_the_sandbox_calls_nobody(project: Project, chat: Chat) -> None:
    assert said(project, {"prod": run("failed", sandbox=True)}) == ""
    assert chat.told == []


def test_who_is_slow_is_not_waited_for(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with chatting(slow=True) as (host, _):
        monkeypatch.setenv("CHAT", f"json://{host}/{SECRET}")
        began = time.monotonic()
        assert said(project, {"prod": run("failed")}, patience=0.2) == "warning: CHAT was not told in time\n"
        assert time.monotonic() - began < 5


def test_where_a_pipeline_shows_its_run_is_told(project: Project, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SERVER_URL", "https://git.example.com"), ("REPOSITORY", "a/b"), ("RUN_ID", "7")):
        monkeypatch.setenv(f"GITHUB_{name}", value)
    said(project, {"test": run("applied")})
    assert "https://git.example.com/a/b/actions/runs/7" in chat.told[0]["message"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UnavailableError("the bucket of hunter2 is away"), ("prod failed (R)", "")),
        (LockedError("held"), ("prod failed (R)", "")),
        (UserError("the records could not be written"), ("prod failed (R)", "")),
        (RefusedError("protected"), None),
        (SpecError([]), None),
    ],
)
def test_a_run_that_ends_in_an_error_is_told_of_too(
    project: Project, chat: Chat, error: UserError, expected: tuple[str, str] | None
) -> None:
    with pytest.raises(type(error)), failures_told(project, ["prod"], "drift", Console(), sandbox=False):
        raise error
    assert [one["title"] for one in chat.told] == ([expected[0].replace("R", "")] if expected else [])
    assert "hunter2" not in str(chat.told)
