"""Progress as plain lines, what is read from a log while it grows, and that rich stays out where nothing is drawn."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from infra_orch.console import Console
from infra_orch.report.board import Board, LogFollower, clock
from infra_orch.report.progress import PlainProgress, progress_for
from infra_orch.run.changes import read_plan
from infra_orch.run.outcome import Counts, Failure, Outcome, Status
from infra_orch.run.progress import operations


def applied(name: str) -> Outcome:
    return Outcome(name, Status.APPLIED, counts=Counts(create=2), duration=1.5)


def failed(name: str) -> Outcome:
    failure = Failure("it did not work", "Error: it did not\nwork", "try again", "logs/apply.log")
    return Outcome(name, Status.FAILED, failure=failure)


@pytest.fixture
def err() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def plain(err: io.StringIO) -> PlainProgress:
    return PlainProgress(Console(json=True, err=err), heartbeat=0.05)


def message(kind: str, address: str, action: str = "create") -> bytes:
    hook = {"resource": {"addr": address}, "action": action}
    return json.dumps({"type": kind, "hook": hook}, separators=(",", ":")).encode() + b"\n"


# Plain lines


def test_an_apply_says_when_it_begins_and_what_it_did(plain: PlainProgress, err: io.StringIO) -> None:
    plain.started("network", "init")
    plain.started("network", "apply")
    plain.finished(applied("network"), "apply")

    assert err.getvalue().splitlines() == ["network: apply …", "network: 2 created  1.5 s"]


def test_a_failure_is_told_in_one_piece(plain: PlainProgress, err: io.StringIO) -> None:
    plain.finished(failed("web"), "apply")

    assert err.getvalue().splitlines() == [
        "web: failed: it did not work  0.0 s",
        "  │ Error: it did not",
        "  │ work",
        "  → try again",
        "  log: logs/apply.log",
    ]


def test_of_a_plan_only_trouble_is_told_since_the_plan_is_shown_when_it_is_complete(
    plain: PlainProgress, err: io.StringIO
) -> None:
    for status in Status:
        plain.finished(Outcome(status, status, failure=Failure("why")), "plan")

    told = {line.split(":")[0] for line in err.getvalue().splitlines()}
    assert told == set(Status) - {Status.PLANNED, Status.UNCHANGED, Status.APPLIED, Status.SKIPPED}


def test_why_a_plan_failed_is_said_once_where_the_plan_is_shown(err: io.StringIO) -> None:
    shown, kept = PlainProgress(Console(err=err)), PlainProgress(Console(json=True, err=err))
    for progress in (shown, kept):
        progress.finished(failed("web"), "plan")

    assert err.getvalue().splitlines() == ["web: failed  0.0 s", "web: failed: it did not work  0.0 s"]


def test_what_is_still_at_work_is_said_from_time_to_time(
    plain: PlainProgress, err: io.StringIO, tmp_path: Path
) -> None:
    log = tmp_path / "apply.log"
    log.write_bytes(message("apply_complete", "a") + message("apply_start", "b"))
    with plain.phase("apply", ["network", "web", "db"]):
        plain.finished(failed("db"), "apply")
        plain.started("network", "apply", log, 5)
        plain.started("web", "init")
        time.sleep(0.3)
    before = err.getvalue()
    time.sleep(0.1)

    assert "apply: at work: network (apply 1/5 0 s), web (init 0 s); 1 of 3 done, 1 failed, 0 s\n" in before
    assert err.getvalue() == before


def test_the_line_of_what_is_at_work_stays_short(plain: PlainProgress, err: io.StringIO) -> None:
    with plain.phase("plan", [str(number) for number in range(1000)]):
        for number in range(100):
            plain.started(f"unit-{number}", "plan")
        time.sleep(0.2)

    line = err.getvalue().splitlines()[-1]
    assert "unit-0 (plan 0 s)" in line
    assert line.count("unit-") + int(re.findall(r"and (\d+) more", line)[0]) == 100
    assert len(line) < 400


def test_nothing_at_work_is_nothing_to_say(plain: PlainProgress, err: io.StringIO) -> None:
    with plain.phase("plan", ["network"]):
        time.sleep(0.2)

    assert err.getvalue() == ""


def test_threads_that_speak_at_once_do_not_mix_their_lines(tmp_path: Path) -> None:
    with (tmp_path / "err").open("w+") as err:
        progress = PlainProgress(Console(json=True, err=err), heartbeat=0.001)

        def work(thread: int) -> None:
            for number in range(50):
                progress.finished(failed(f"{thread}-{number}"), "apply")

        with progress.phase("apply", [str(number) for number in range(400)]):
            threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        err.seek(0)
        block = r"\d-\d+: failed: it did not work  0\.0 s\n  │ Error: it did not\n  │ work\n  → try again\n  log: .*\n"
        assert re.fullmatch(f"({block}){{400}}", err.read())


def test_names_cannot_send_anything_to_a_terminal(plain: PlainProgress, err: io.StringIO) -> None:
    with plain.phase("apply", ["x"]):
        plain.started("unit\x1b[2J\r\n", "apply")
        time.sleep(0.2)

    assert all(line.isprintable() for line in err.getvalue().split("\n"))
    assert "unit\\u001b[2J\\u000d\\u000a (apply" in err.getvalue()


def test_an_error_stream_that_cannot_be_written_ends_nothing() -> None:
    with Path("/dev/full").open("w") as full:
        progress = PlainProgress(Console(json=True, err=full))
        progress.finished(applied("network"), "apply")
        progress.finished(applied("web"), "apply")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 m 00 s"), (3599, "59 m 59 s"), (3600, "1 h 00 m"), (90061, "25 h 01 m")],
)
def test_a_growing_duration_reads_like_this(seconds: float, text: str) -> None:
    assert clock(seconds) == text


# What is read from a log


def test_the_operations_of_a_plan_are_what_the_log_of_its_apply_counts_in_the_end(tmp_path: Path) -> None:
    (tmp_path / "other.tfstate").write_text(
        '{"version": 4, "serial": 1, "lineage": "x", "outputs": {}, "resources": []}'
    )
    (tmp_path / "main.tf").write_text("""
        variable "size" {
          type = number
        }
        resource "terraform_data" "replaced" {
          triggers_replace = [var.size]
        }
        resource "terraform_data" "replaced_at_once" {
          triggers_replace = [var.size]
          lifecycle {
            create_before_destroy = true
          }
        }
        resource "terraform_data" "updated" {
          input = var.size
        }
        resource "terraform_data" "kept" {
        }
        resource "terraform_data" "deleted" {
          count = var.size
        }
        data "terraform_remote_state" "read" {
          backend = "local"
          config  = { path = terraform_data.updated.output == 0 ? "none" : "other.tfstate" }
        }
    """)

    def terraform(*arguments: str) -> bytes:
        done = subprocess.run(["terraform", *arguments], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    terraform("init")
    for size in (3, 1):
        terraform("plan", f"-var=size={size}", "-out=plan")
        (tmp_path / "plan.json").write_bytes(terraform("show", "-json", "plan"))
        (tmp_path / "log").write_bytes(terraform("apply", "-json", "plan"))
        follower = LogFollower(tmp_path / "log")
        follower.follow()

        resources = read_plan(tmp_path / "plan.json").resources(_nothing_secret())
        assert follower.done == operations(resources) > 5
        assert follower.under_way == {}


def _nothing_secret():
    from infra_orch.redact import Redactor

    return Redactor(())


def test_a_log_is_followed_as_it_grows(tmp_path: Path) -> None:
    log = tmp_path / "log"
    follower = LogFollower(log)
    follower.follow()
    text = message("apply_start", 'a["ü"]') + message("apply_start", "b", "delete") + message("apply_complete", "b")
    seen = []
    with log.open("ab", buffering=0) as file:
        for byte in text:
            file.write(bytes([byte]))
            follower.follow()
            seen.append((dict(follower.under_way), follower.done))

    steps = [step for step, before in zip(seen, [None, *seen], strict=False) if step != before]
    assert steps == [({}, 0), ({'a["ü"]': "+ "}, 0), ({'a["ü"]': "+ ", "b": "- "}, 0), ({'a["ü"]': "+ "}, 1)]


def test_a_log_that_is_written_anew_is_counted_anew(tmp_path: Path) -> None:
    log, redacted = tmp_path / "log", tmp_path / "redacted"
    log.write_bytes(message("apply_complete", "a") * 3)
    follower = LogFollower(log)
    follower.follow()
    redacted.write_bytes(message("apply_complete", "a") * 3 + b"a line more\n")
    redacted.replace(log)
    follower.follow()
    assert follower.done == 3

    log.write_bytes(b"")
    follower.follow()
    assert follower.done == 0


def test_only_so_much_of_a_log_is_held(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(50_000_000)
        file.seek(0, 2)
        file.write(b"\n" + message("apply_complete", "a"))
    follower = LogFollower(log)
    rounds = 0
    while not follower.done:
        follower.follow()
        rounds += 1
        assert len(follower._rest) < 1_000_000
    assert rounds > 50


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"apply_start","hook":null}',
        b'{"type":"apply_start","hook":{"resource":[]}}',
        b'{"type":"apply_start","hook":{"resource":{"addr":7}}}',
        b'{"hook":' * 100_000,
        b'["hook":]',
        b'\xff\xfe"hook":',
        b'"hook": {}',
    ],
)
def test_nonsense_in_a_log_is_passed_over(tmp_path: Path, line: bytes) -> None:
    log = tmp_path / "log"
    log.write_bytes(line + b"\n" + message("apply_start", "a") + b"\n\n")
    follower = LogFollower(log)
    for _ in range(10):
        follower.follow()

    assert list(follower.under_way) == ["a"]


def test_a_log_that_cannot_be_read_is_no_trouble(tmp_path: Path) -> None:
    LogFollower(tmp_path / "none" / "log").follow()
    LogFollower(tmp_path).follow()


def test_the_provider_that_is_being_installed_is_named(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Initializing provider plugins...\n- Installing acme/tiny v1.2.3...\n")
    board = Board("plan", 1, 0.0)
    board.started("web", "init", log, None, 0.0)
    board.follow()

    assert board.working[0].detail == "installing acme/tiny v1.2.3"


def test_an_address_is_shown_without_the_module_that_is_the_unit(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(message("apply_start", "module.web.a.b", "update") + message("apply_start", "module.web.c.d"))
    board = Board("apply", 1, 0.0)
    board.started("web", "apply", log, None, 0.0)
    board.follow()

    assert board.working[0].detail == "~ a.b (+1)"


# The real command


def test_every_node_is_told_of_once_the_blocked_ones_too(two_units) -> None:
    two_units.write(
        {
            "modules/servers/broken.tf": 'resource "terraform_data" "broken" {\n  provisioner "local-exec" {\n    command = "exit 3"\n  }\n}\n',
            "stacks/dev/stack.py": (two_units.root / "stacks/dev/stack.py").read_text()
            + "\n@stack.task(after=[web])\ndef check(context):\n    pass\n",
        }
    )
    done = two_units.run("apply", "dev", "--auto-approve", "--no-commit", "--json")

    assert done.code == 1
    assert json.loads(done.out)["units"]["web"]["status"] == "failed"
    told = [line.split(":")[0] for line in done.err.splitlines() if re.match(r"\w+: (?!apply)", line)]
    assert [name for name in told if name in ("network", "web", "check")] == ["network", "web", "check"]


def test_rich_is_not_imported_where_nothing_is_drawn(two_units) -> None:
    program = "import sys\nfrom infra_orch.cli.app import run\nrun(sys.argv[1:])\nassert not [name for name in sys.modules if name.split('.')[0] == 'rich']"
    for arguments in (["plan", "dev", "--json"], ["--help"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=two_units.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_without_a_terminal_there_are_plain_lines(err: io.StringIO) -> None:
    with progress_for(Console(err=err)) as progress:
        assert isinstance(progress, PlainProgress)
