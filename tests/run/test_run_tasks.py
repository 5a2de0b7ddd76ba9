"""Tasks: Python functions as nodes of the graph, whose failures are outcomes and whose prints go to their logs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra_orch.run.task_context import client_of
from infra_orch.sandbox.redirect import apply_redirect, sandbox_environment

if TYPE_CHECKING:
    from conftest import Desk

UP = """
    variable "text" {
      type = string
    }

    resource "terraform_data" "it" {
      input = var.text
    }

    output "id" {
      value = terraform_data.it.id
    }

    output "values" {
      value = { text = var.text, number = 1.5, whole = 3, none = null }
    }

    output "password" {
      value     = "correct-horse"
      sensitive = true
    }
    """


def with_tasks(desk: Desk, tasks: str, *, units: str = "") -> Desk:
    """A stack `dev` with *units* and *tasks*, which are Python text."""
    spec = "import time\nfrom infra_orch import Stack\n\nstack = Stack('dev')\n"
    text = spec + textwrap.dedent(units) + textwrap.dedent(tasks)
    (desk.root / "stacks/dev").mkdir(exist_ok=True)
    (desk.root / "stacks/dev/stack.py").write_text(text)
    return desk.write({"modules/up/main.tf": UP})


def applied(desk: Desk, *more: str) -> tuple[int, dict[str, Any], str]:
    result = desk.run("apply", "dev", "--auto-approve", "--json", *more)
    assert result.out, result.err
    return result.code, json.loads(result.out)["tasks"], result.err


def log_of(desk: Desk, task: str) -> str:
    return desk.run("show", "last", task).out


def test_a_task_is_given_the_outputs_of_the_units_before_it(desk: Desk) -> None:
    with_tasks(
        desk,
        """
        @stack.task(after=[web])
        def look(context):
            \"""Return what it sees.\"""
            seen = {unit: dict(outputs) for unit, outputs in context.outputs.items()}
            seen["web"]["password"] = len(seen["web"]["password"])
            return {"seen": seen, "stack": context.stack, "run": context.run_id}
        """,
        units="""
        web = stack.unit("web", module="up", inputs={"text": "w"})
        other = stack.unit("other", module="up", inputs={"text": "o"})
        """,
    )
    result = desk.run("apply", "dev", "--auto-approve", "--json")
    document = json.loads(result.out)
    found = document["tasks"]["look"]["result"]
    assert set(found["seen"]) == {"web"}
    assert found["seen"]["web"]["values"] == {"text": "w", "number": 1.5, "whole": 3, "none": None}
    assert len(found["seen"]["web"]["id"]) == 36
    assert (found["stack"], found["run"]) == ("dev", document["run_id"])


def test_a_unit_that_is_not_before_a_task_is_named_by_the_error(desk: Desk) -> None:
    with_tasks(desk, "@stack.task\ndef look(context):\n    return context.outputs['web']['id']\n")
    code, tasks, _ = applied(desk)
    assert (code, tasks["look"]["status"]) == (1, "failed")
    assert "the task comes after no unit web in this run" in tasks["look"]["error"]["summary"]


def test_what_is_not_known_yet_is_not_there_in_a_plan(desk: Desk) -> None:
    with_tasks(
        desk,
        """
        @stack.task(after=[web], on="plan")
        def look(context):
            return {"known": sorted(context.outputs["web"]), "text": context.outputs["web"]["values"]["text"]}
        """,
        units='web = stack.unit("web", module="up", inputs={"text": "w"})\n',
    )
    result = desk.run("plan", "dev", "--json")
    assert json.loads(result.out)["tasks"]["look"]["result"] == {"known": ["password", "values"], "text": "w"}


def test_an_exception_fails_the_task_and_what_comes_after_it_and_nothing_else(desk: Desk) -> None:
    with_tasks(
        desk,
        """
        @stack.task
        def broken(context):
            return {}["missing"]

        @stack.task(after=[broken])
        def below(context): ...

        @stack.task
        def aside(context):
            return [1, "two"]
        """,
    )
    code, tasks, _ = applied(desk)
    assert code == 1
    assert {name: task["status"] for name, task in tasks.items()} == {
        "broken": "failed",
        "below": "blocked",
        "aside": "applied",
    }
    assert tasks["aside"]["result"] == [1, "two"]
    assert tasks["broken"]["error"]["summary"] == "KeyError: 'missing'"


def test_the_traceback_is_in_the_log_and_begins_at_the_users_own_line(desk: Desk) -> None:
    with_tasks(desk, "@stack.task\ndef broken(context):\n    raise ValueError('no luck')\n")
    result = desk.run("apply", "dev", "--auto-approve")
    assert "raise ValueError('no luck')" in result.err
    assert result.err.count("File ") == 1
    assert "ValueError: no luck" in log_of(desk, "broken")


@pytest.mark.parametrize("ending", ["raise SystemExit(3)", "raise KeyboardInterrupt", "raise GeneratorExit"])
def test_nothing_that_a_task_raises_ends_the_run(desk: Desk, ending: str) -> None:
    with_tasks(desk, f"@stack.task\ndef ends(context):\n    {ending}\n\n@stack.task\ndef aside(context): ...\n")
    code, tasks, _ = applied(desk)
    assert (code, tasks["ends"]["status"], tasks["aside"]["status"]) == (1, "failed", "applied")


def test_prints_go_to_the_log_and_standard_output_stays_pure(desk: Desk) -> None:
    with_tasks(
        desk,
        """
        import sys, threading

        @stack.task
        def chatty(context):
            print("hello", end=" ")
            print("log")
            print("warned", file=sys.stderr)
            thread = threading.Thread(target=print, args=("from a thread",))
            thread.start()
            thread.join()
            context.log.info("number %d", 7)

        @stack.task
        def other(context):
            print("from the other")
        """,
    )
    result = desk.run("apply", "dev", "--auto-approve", "--json")
    assert json.loads(result.out)["tasks"]["chatty"]["status"] == "applied"
    log = log_of(desk, "chatty")
    assert "hello log" in log
    assert "warned" in log
    assert "number 7" in log
    assert "from the other" not in log
    assert "from a thread" in result.err


def test_a_program_that_a_task_starts_by_itself_does_not_print_into_the_document(desk: Desk) -> None:
    with_tasks(
        desk,
        """
        import subprocess

        @stack.task
        def checks(context):
            return subprocess.run(["echo", "all is well"]).returncode
        """,
    )
    argv = [sys.executable, "-m", "infra_orch", "apply", "dev", "--auto-approve", "--json"]
    printed = subprocess.run(argv, cwd=desk.root, capture_output=True, text=True, check=True)
    assert json.loads(printed.stdout)["tasks"]["checks"]["result"] == 0
    assert "all is well" in printed.stderr


def test_a_task_is_tried_again_with_longer_and_longer_pauses(desk: Desk) -> None:
    with_tasks(
        desk,
        """
        times = []

        @stack.task(retries=3, retry_delay=0.05)
        def flaky(context):
            times.append(time.monotonic())
            if len(times) < 4:
                raise ConnectionError("not yet")
            return [round(b - a, 3) for a, b in zip(times, times[1:])]
        """,
    )
    code, tasks, _ = applied(desk)
    pauses = tasks["flaky"]["result"]
    assert (code, len(pauses)) == (0, 3)
    assert all(pause >= least for pause, least in zip(pauses, (0.05, 0.1, 0.2), strict=True))
    assert log_of(desk, "flaky").count("not yet") == 3


def test_a_task_that_never_ends_is_given_up_at_its_time(desk: Desk) -> None:
    with_tasks(desk, "@stack.task(timeout=0.3)\ndef hangs(context):\n    time.sleep(60)\n")
    began = time.monotonic()
    code, tasks, _ = applied(desk)
    assert (code, tasks["hangs"]["error"]["summary"]) == (1, "took longer than 0.3 s")
    assert time.monotonic() - began < 20


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("deaf", [False, True], ids=["polite", "deaf"])
def test_a_program_that_hangs_ends_with_its_task(desk: Desk, monkeypatch: pytest.MonkeyPatch, deaf: bool) -> None:
    monkeypatch.setattr("infra_orch.run.tasks._GRACE_SECONDS", 0.5)
    trap = "trap '' INT; " if deaf else ""
    with_tasks(
        desk,
        f"""
        @stack.task(timeout=0.5)
        def hangs(context):
            context.run(["sh", "-c", "echo $$ > {desk.root}/pid; {trap}sleep 60; sleep 60"])
        """,
    )
    code, tasks, _ = applied(desk)
    assert code == 1
    assert "took longer than" in tasks["hangs"]["error"]["summary"]
    assert not alive(int((desk.root / "pid").read_text()))


def test_a_program_says_what_it_printed_and_fails_with_it(desk: Desk) -> None:
    with_tasks(
        desk,
        """
        @stack.task
        def runs(context):
            return context.run(["sh", "-c", "echo out; echo err >&2; pwd"])

        @stack.task
        def fails(context):
            context.run(["sh", "-c", "echo what went wrong; exit 3"])

        @stack.task
        def missing(context):
            context.run(["no-such-program-here"])

        @stack.task
        def text(context):
            context.run("echo hello")
        """,
    )
    _, tasks, _ = applied(desk)
    assert tasks["runs"]["result"].split() == ["out", "err", str(desk.root / "stacks/dev")]
    assert tasks["fails"]["error"]["summary"] == "sh ended with code 3: what went wrong"
    assert 'cannot start "no-such-program-here"' in tasks["missing"]["error"]["summary"]
    assert "takes a list of arguments" in tasks["text"]["error"]["summary"]


def test_a_result_is_recorded_as_json_has_it_and_without_secrets(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "tok-1234567890")
    with_tasks(
        desk,
        """
        import datetime, os, pathlib

        @stack.task
        def made(context):
            return {"when": datetime.date(2026, 1, 2), "path": pathlib.Path("a/b"), 5: (1, 2),
                    "url": "https://x/?t=" + os.environ["API_TOKEN"], "password": "pw"}
        """,
    )
    applied(desk)
    (record,) = (desk.root / "stacks/dev/record/runs").glob("*.json")
    assert json.loads(record.read_text())["tasks"]["made"]["result"] == {
        "when": "2026-01-02",
        "path": "a/b",
        "5": [1, 2],
        "url": "https://x/?t=(sensitive)",
        "password": "(sensitive)",
    }


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ("it = []; it.append(it)", "Circular reference"),
        ("it = {(1, 2): 3}", "keys must be"),
        ("it = float('nan')", "not JSON compliant"),
        ("it = b'caf\\xe9.txt'.decode(errors='surrogateescape')", "surrogates not allowed"),
    ],
)
def test_a_result_that_is_no_json_fails_the_task(desk: Desk, made: str, why: str) -> None:
    with_tasks(desk, f"@stack.task\ndef returns(context):\n    {made}\n    return it\n")
    _, tasks, err = applied(desk)
    assert tasks["returns"]["error"]["summary"].startswith("what it returned cannot be recorded as JSON: ")
    assert why in tasks["returns"]["error"]["summary"]
    assert "File " not in err, "nothing of it was the user's line"


def test_an_error_that_quotes_a_file_name_which_is_no_utf_8_is_recorded(desk: Desk) -> None:
    with_tasks(
        desk,
        r"""
        @stack.task
        def reads(context):
            raise OSError(b"no caf\xe9.txt".decode(errors="surrogateescape"))
    """,
    )
    code, tasks, _ = applied(desk)
    assert (code, tasks["reads"]["error"]["summary"]) == (1, "OSError: no caf\\udce9.txt")
    assert desk.git("log", "-1", "--format=%s").startswith("apply dev")


def test_tasks_run_where_they_were_declared_to_be(desk: Desk) -> None:
    with_tasks(
        desk,
        """
        from pathlib import Path

        def note(context, word):
            with (Path(__file__).parents[2] / "order.txt").open("a") as file:
                file.write(word + "\\n")

        @stack.task(before=[web])
        def migrate(context):
            note(context, "migrate")

        @stack.task(after=[web, migrate])
        def smoke(context):
            note(context, "smoke")

        @stack.task(after=[web], on="destroy")
        def goodbye(context):
            note(context, "goodbye " + ("gone" if not exists() else "there") + " " + context.outputs["web"]["values"]["text"])

        @stack.task(before=[web], on="destroy")
        def drain(context):
            note(context, "drain " + ("gone" if not exists() else "there"))

        def exists():
            state = Path(__file__).parent / "state/web.tfstate"
            return '"terraform_data"' in state.read_text()

        @stack.task(on="plan")
        def check(context):
            note(context, "check")
        """,
        units='web = stack.unit("web", module="up", inputs={"text": "w"})\n',
    )
    order = desk.root / "order.txt"

    def noted(*arguments: str) -> list[str]:
        order.unlink(missing_ok=True)
        assert desk.run(*arguments).code == 0
        return order.read_text().splitlines() if order.exists() else []

    assert noted("plan", "dev") == ["check"]
    assert noted("apply", "dev", "--auto-approve") == ["migrate", "smoke"]
    assert noted("destroy", "dev", "--auto-approve") == ["drain there", "goodbye gone w"]


def test_tasks_are_said_to_be_skipped_where_no_python_is_evaluated(desk: Desk) -> None:
    with_tasks(
        desk,
        "@stack.task(after=[web])\ndef smoke(context):\n    raise ValueError\n",
        units='web = stack.unit("web", module="up", inputs={"text": "w"})\n',
    )
    assert desk.run("render", "dev").code == 0
    desk.commit()
    code, tasks, _ = applied(desk, "--from-rendered")
    assert (code, tasks["smoke"]["status"]) == (0, "skipped")


def test_a_task_whose_log_is_gone_fails_for_its_own_reason(desk: Desk) -> None:
    with_tasks(
        desk,
        """
        @stack.task
        def wipes(context):
            import pathlib, shutil
            shutil.rmtree(pathlib.Path(__file__).parents[2] / ".infra-orch/runs", ignore_errors=True)
            raise ValueError("its own")
        """,
    )
    code, tasks, _ = applied(desk)
    assert (code, tasks["wipes"]["error"]["summary"]) == (1, "ValueError: its own")


def test_a_client_of_the_sandbox_reads_no_profile_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("no ini [")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    environment = apply_redirect(os.environ, sandbox_environment("http://127.0.0.1:9", "eu-west-1"))
    client = client_of(environment, "sqs", None)
    assert (client.meta.region_name, client.meta.endpoint_url) == ("eu-west-1", "http://127.0.0.1:9")
