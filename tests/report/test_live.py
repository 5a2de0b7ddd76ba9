"""The live view: how it looks, that it leaves nothing behind, and that nothing which others write is mangled by it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pseudo_terminal import Terminal
from rich.cells import cell_len

from infra_orch.console import Console
from infra_orch.report.board import Board
from infra_orch.report.live import LiveProgress
from infra_orch.report.progress import progress_for
from infra_orch.report.view import MOST_LINES, layout
from infra_orch.run.outcome import Counts, Failure, Outcome, Status

STAND_IN = Path(__file__).parents[1] / "stand_in_terraform.py"
ON_ITS_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "infra_orch", *sys.argv[1:]])
"""
"""Has a program started on the terminal that is its standard input, so that Ctrl-C reaches it."""


def applied(name: str) -> Outcome:
    return Outcome(name, Status.APPLIED, counts=Counts(create=2), duration=1.5)


def failed(name: str) -> Outcome:
    failure = Failure("it did not work", "Error: it did not\nwork", "try again", "logs/apply.log")
    return Outcome(name, Status.FAILED, failure=failure)


def board_with(count: int) -> Board:
    """A board of units of which each began a second after the one before it."""
    board = Board("apply", count, 0.0)
    for number in range(count):
        board.started(f"unit-{number}", "apply", None, 5, float(number))
    return board


def shown(board: Board, now: float, width: int, height: int) -> list[str]:
    return [line.plain for line in layout(board, now, width, height)]


@pytest.fixture
def console(terminal: Terminal) -> Console:
    return Console(out=terminal.stream, err=terminal.stream)


# How it looks


def test_units_are_below_one_another_with_step_share_and_time() -> None:
    board = Board("apply", 4, 0.0)
    board.started("network", "apply", None, 5, 0.0)
    board.started("db", "init", None, None, 61.0)
    board.finished(failed("web"))

    assert shown(board, 75.5, 60, 24) == [
        "  network  apply    0/5  1 m 15 s",
        "  db       init              14 s",
        "Applying ━━━━━───────────────  1 of 4 · 1 failed · 1 m 15 s",
    ]


def test_only_as_many_as_have_room_are_shown_those_at_work_for_longest_first() -> None:
    *rows, more, total = shown(board_with(100), 200.0, 80, 10)

    assert [row.split()[0] for row in rows] == ["unit-0", "unit-1", "unit-2"]
    assert more == "  … 97 more"
    assert total.startswith("Applying")


@pytest.mark.parametrize("height", [1, 2, 3, 5, 10, 24, 500])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 15, 16, 100])
def test_it_takes_half_of_the_terminal_at_most(height: int, count: int) -> None:
    lines = shown(board_with(count), 200.0, 80, height)

    assert len(lines) <= max(1, min(height // 2, MOST_LINES))
    named = sum(line.startswith("  unit") for line in lines)
    left_out = [int(line.split()[1]) for line in lines if "…" in line]
    assert len(lines) == 1 or named + sum(left_out) == count


@pytest.mark.parametrize("width", [1, 2, 5, 10, 20, 33, 40, 80, 200])
@pytest.mark.parametrize("name", ["a", "a-name-of-some-length", "x" * 300, "資源" * 20])
def test_no_line_is_as_wide_as_the_terminal(width: int, name: str) -> None:
    board = Board("apply", 1000, 0.0)
    board.started(name, "destroy", None, 12345, 0.0)
    board.finished(failed("x"))

    assert all(cell_len(line) < max(2, width) for line in shown(board, 5000.0, width, 24))


def test_in_twenty_columns_the_names_and_times_are_left() -> None:
    board = Board("apply", 12, 0.0)
    board.started("web-servers", "apply", None, 5, 0.0)

    assert shown(board, 14.0, 20, 24)[0] == "  web-servers  14 s"


def test_a_name_cannot_send_anything_to_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    hook = {"resource": {"addr": 'a["\x1b]0;x\x07\n\r\u202e"]'}, "action": "create"}
    log.write_text(json.dumps({"type": "apply_start", "hook": hook}, separators=(",", ":")) + "\n")
    board = Board("apply", 1, 0.0)
    board.started("unit\x1b[2J\n", "apply", log, 1, 0.0)
    board.follow()

    row = shown(board, 1.0, 100, 24)[0]
    assert row.isprintable()
    assert "unit\\u001b[2J\\u000a" in row
    assert "\\u001b]0;x\\u0007" in row


# What it leaves on the terminal


def test_what_is_at_work_is_drawn_and_nothing_of_it_is_left(terminal: Terminal, console: Console) -> None:
    progress = LiveProgress(console)
    with progress.phase("apply", ["network", "web"]):
        progress.started("network", "apply", total=3)
        progress.started("web", "init")
        assert not terminal.wait_for(lambda lines: len(lines) == 3)[0].startswith(" " * 3)
        assert not terminal.cursor
        progress.finished(applied("network"), "apply")
        terminal.wait_for(lambda lines: lines[:1] == ["network: 2 created  1.5 s"] and len(lines) == 3)
        progress.finished(failed("web"), "apply")
    terminal.wait_for(lambda _: terminal.cursor)

    first, second, *rest = terminal.lines
    assert first == "network: 2 created  1.5 s"
    assert second.startswith("web: failed: it did not work")
    assert rest == ["  │ Error: it did not", "  │ work", "  → try again", "  log: logs/apply.log"]


def test_what_is_done_at_once_is_not_drawn_at_all(terminal: Terminal, console: Console) -> None:
    progress = LiveProgress(console)
    with progress.phase("apply", ["network"]):
        progress.started("network", "apply")
        progress.finished(applied("network"), "apply")

    terminal.wait_for(lambda lines: lines == ["network: 2 created  1.5 s"])
    assert "Applying" not in terminal.sent


def test_an_exception_takes_the_view_away(terminal: Terminal, console: Console) -> None:
    progress = LiveProgress(console)

    def interrupted() -> None:
        with progress.phase("apply", ["network"]):
            progress.started("network", "apply")
            terminal.wait_for(lambda lines: len(lines) == 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    terminal.wait_for(lambda lines: not lines and terminal.cursor)
    assert console.view is None


def test_a_line_that_is_longer_than_the_terminal_is_shown_whole(terminal: Terminal, console: Console) -> None:
    progress = LiveProgress(console)
    long = "word " * 50 + "end"
    with progress.phase("apply", ["network"]):
        progress.started("network", "apply")
        terminal.wait_for(lambda lines: len(lines) == 2)
        progress.note(long)
        terminal.wait_for(lambda lines: len(lines) > 2)

    terminal.wait_for(lambda lines: len(lines) == 4)
    assert "".join(line.ljust(80) for line in terminal.lines).strip() == long


def test_a_terminal_that_becomes_narrower_keeps_no_piece_of_an_older_view(terminal: Terminal, console: Console) -> None:
    progress = LiveProgress(console)
    with progress.phase("apply", ["one", "two"]):
        progress.note("before")
        progress.started("one", "apply", total=3)
        progress.started("two", "apply", total=3)
        terminal.wait_for(lambda lines: len(lines) == 4)
        terminal.narrow(18)
        terminal.wait_for(lambda lines: lines[-1:] == ["Applying 0 of 2 …"])
        assert [line.split()[0] for line in terminal.lines] == ["before", "one", "two", "Applying"]
        terminal.narrow(10)
        terminal.wait_for(lambda lines: all(len(line) < 10 for line in lines))
        assert len(terminal.lines) == 4

    terminal.wait_for(lambda lines: lines == ["before"])


def test_threads_that_speak_at_once_do_not_mix_their_lines(terminal: Terminal, console: Console) -> None:
    progress = LiveProgress(console)

    def work(thread: int) -> None:
        for number in range(20):
            progress.started(f"{thread}-{number}", "apply")
            time.sleep(0.02)
            progress.finished(applied(f"{thread}-{number}"), "apply")

    with progress.phase("apply", [str(number) for number in range(160)]):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    everybody = {f"{thread}-{number}: 2 created  1.5 s" for thread in range(8) for number in range(20)}
    terminal.wait_for(lambda lines: len(lines) == len(everybody))
    assert set(terminal.lines) == everybody


# What others write meanwhile


def test_results_go_to_the_same_terminal_unmangled(terminal: Terminal, console: Console) -> None:
    progress = LiveProgress(console)
    result = [f"result {number}" for number in range(6)]
    with progress.phase("apply", ["network"]):
        progress.started("network", "apply")
        terminal.wait_for(lambda lines: len(lines) == 2)
        console.result(result)
        terminal.wait_for(lambda lines: len(lines) == 8)
        assert terminal.lines[:6] == result
        console.note("a note")

    terminal.wait_for(lambda lines: lines == [*result, "a note"])


def test_a_question_is_not_overdrawn_and_what_happens_meanwhile_is_told_after_it(
    terminal: Terminal, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = LiveProgress(console)
    answers: list[bool] = []
    with os.fdopen(os.dup(terminal.theirs)) as stdin, progress.phase("apply", ["network", "web"]):
        monkeypatch.setattr(sys, "stdin", stdin)
        progress.started("web", "apply")
        progress.started("network", "apply")
        terminal.wait_for(lambda lines: len(lines) == 3)
        asking = threading.Thread(target=lambda: answers.append(console.ask("Apply this?")))
        asking.start()
        asked = terminal.wait_for(lambda lines: lines[-1:] == ["  Only 'yes' will be accepted:"])
        assert asked == ["Apply this?", "  Only 'yes' will be accepted:"]
        progress.finished(applied("network"), "apply")
        time.sleep(0.6)
        assert terminal.lines == asked
        assert terminal.cursor
        terminal.type("yes\n")
        asking.join()
        terminal.wait_for(lambda lines: len(lines) == 5)
        assert terminal.lines[2] == "network: 2 created  1.5 s"
    assert answers == [True]


def test_what_was_typed_before_the_question_is_no_answer(
    terminal: Terminal, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    with os.fdopen(os.dup(terminal.theirs)) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        terminal.type("yes\n")
        time.sleep(0.1)
        answers: list[bool] = []
        asking = threading.Thread(target=lambda: answers.append(console.ask("Apply this?")))
        asking.start()
        terminal.wait_for(lambda lines: lines[-1:] == ["  Only 'yes' will be accepted:"])
        terminal.type("no\n")
        asking.join()
    assert answers == [False]


def test_a_signal_handler_may_speak_at_any_moment(terminal: Terminal, console: Console) -> None:
    progress = LiveProgress(console)
    said = 0

    def speak(*_: object) -> None:
        nonlocal said
        said += 1
        console.note(f"signal {said}")

    before = signal.signal(signal.SIGALRM, speak)
    try:
        with progress.phase("apply", [str(number) for number in range(400)]):
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
            for number in range(400):
                progress.started(str(number), "apply")
                console.result(f"result {number}")
                progress.finished(applied(str(number)), "apply")
        signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    console.note("the end")
    lines = terminal.wait_for(lambda lines: lines[-1:] == ["the end"])
    assert [line for line in lines if line.startswith("signal")] == [f"signal {n + 1}" for n in range(said)]
    assert [line for line in lines if line.startswith("result")] == [f"result {n}" for n in range(400)]


def test_a_terminal_that_is_gone_ends_nothing(terminal: Terminal, console: Console) -> None:
    progress = LiveProgress(console)
    with progress.phase("apply", ["network", "web"]):
        progress.started("network", "apply")
        terminal.wait_for(lambda lines: len(lines) == 2)
        terminal.hang_up()
        progress.finished(applied("network"), "apply")
        console.note("SIGHUP: stopping")
        console.result("a result")
        time.sleep(0.4)
    console.result("the end")


# Where it is drawn


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", ""), ("CI", "true")])
def test_there_is_no_view_where_it_is_not_wanted(
    console: Console, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    assert console.animated
    monkeypatch.setenv(name, value)
    assert not console.animated
    with progress_for(console) as progress:
        assert not isinstance(progress, LiveProgress)


def test_there_is_no_view_with_json(terminal: Terminal) -> None:
    assert not Console(json=True, out=terminal.stream, err=terminal.stream).animated


# The real command


@pytest.fixture
def command(two_units, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Start the command line on the terminal, in a project of two units, with a Terraform that misbehaves."""
    monkeypatch.setenv("INFRA_ORCH_ENGINE", str(STAND_IN))
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, behaviour: str) -> subprocess.Popen[bytes]:
        monkeypatch.setenv("STAND_IN_TERRAFORM", behaviour)
        process = subprocess.Popen(
            [sys.executable, "-c", ON_ITS_TERMINAL, *arguments],
            cwd=two_units.root,
            stdin=terminal.theirs,
            stdout=terminal.theirs,
            stderr=terminal.theirs,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_a_plan_leaves_the_plan_and_nothing_of_the_view(command, terminal: Terminal) -> None:
    process = command("plan", "dev", behaviour="plan=slow:1")
    terminal.wait_for(lambda lines: any("Planning" in line for line in lines))
    assert process.wait(30) == 0

    lines = terminal.wait_for(lambda lines: lines[-1:] == ["Plan: 5 to add, 0 to change, 0 to destroy."])
    assert terminal.cursor
    assert not any("Planning" in line or line.startswith("  web ") for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_an_apply_gives_the_terminal_back(
    command, terminal: Terminal, number: signal.Signals
) -> None:
    process = command("apply", "dev", "--auto-approve", "--no-commit", behaviour="apply=hang")
    terminal.wait_for(lambda lines: any("  network  apply" in line for line in lines))
    if number is signal.SIGINT:
        terminal.type("\x03")
    else:
        process.send_signal(number)
    assert process.wait(30) == 130

    lines = terminal.wait_for(lambda _: terminal.cursor)
    assert any(f"{number.name}: stopping; nothing new is begun, waiting for: network: apply" in line for line in lines)
    assert not any("Applying" in line or "  network  apply" in line for line in lines)


def test_ctrl_c_is_an_answer_to_the_question(command, terminal: Terminal) -> None:
    process = command("apply", "dev", "--no-commit", behaviour="")
    terminal.wait_for(lambda lines: lines[-1:] == ["  Only 'yes' will be accepted:"], 30)
    terminal.type("\x03")
    assert process.wait(30) == 130

    terminal.wait_for(lambda lines: lines[-1:] == ["apply cancelled: nothing was changed."])


def test_a_hang_up_is_a_polite_stop(command, terminal: Terminal, two_units) -> None:
    process = command("apply", "dev", "--auto-approve", "--no-commit", behaviour="apply=hang")
    terminal.wait_for(lambda lines: any("  network  apply" in line for line in lines))
    terminal.hang_up()
    process.wait(30)

    (run,) = (two_units.root / ".infra-orch" / "runs").glob("*/run.json")
    assert json.loads(run.read_text())["status"] == "cancelled"
