"""The one door to other programs, tried with real children."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra_orch.errors import InterruptedRun, UnavailableError
from infra_orch.process import Program, Supervisor, capture

POLITE = """
import signal, sys, time
def end(*_):
    print("given back", flush=True)
    sys.exit(7)
signal.signal(signal.SIGINT, end)
print("ready", flush=True)
while True: time.sleep(0.01)
"""
COUNTS_INTERRUPTS = """
import signal, sys, time
def count(*_): print("interrupt", flush=True)
signal.signal(signal.SIGINT, count)
print("ready", flush=True)
end = time.monotonic() + 0.6
while time.monotonic() < end: time.sleep(0.01)
"""
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
plugin = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("ready", plugin.pid, flush=True)
time.sleep(60)
"""


class Child:
    """One child, run in a thread: its output file, and its exit code once it has one."""

    def __init__(self, supervisor: Supervisor, folder: Path, program: str, timeout: float | None = None) -> None:
        self.out = folder / "out.log"
        self.code: int | None = None

        def run() -> None:
            argv = [sys.executable, "-c", program]
            self.code = supervisor.run(Program(argv, "web: apply", folder, os.environ, self.out), timeout=timeout)

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def ready(self) -> str:
        wait_until(lambda: self.out.exists() and re.search("ready.*\n", self.out.read_text()))
        return self.out.read_text()

    def end(self) -> int:
        self.thread.join(20)
        assert self.code is not None, "the child did not end"
        return self.code


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_exit_code_and_output_come_back(tmp_path: Path) -> None:
    program = "import sys; print('to out'); print('to err', file=sys.stderr); sys.exit(3)"
    code = Supervisor().run(
        Program(
            [sys.executable, "-c", program],
            label="x",
            cwd=tmp_path,
            env=os.environ,
            stdout=tmp_path / "logs" / "out",
            stderr=tmp_path / "logs" / "err",
        )
    )
    assert (code, (tmp_path / "logs/out").read_text(), (tmp_path / "logs/err").read_text()) == (
        3,
        "to out\n",
        "to err\n",
    )


def test_a_signal_that_ended_the_child_is_a_negative_code(tmp_path: Path) -> None:
    child = Child(Supervisor(), tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert child.end() == -signal.SIGKILL


def test_output_is_for_its_owner_even_where_the_file_was_open_to_all(tmp_path: Path) -> None:
    (tmp_path / "out.log").write_text("before\n")
    (tmp_path / "out.log").chmod(0o644)
    child = Child(Supervisor(), tmp_path, "print('after')")
    assert child.end() == 0
    assert stat.S_IMODE(child.out.stat().st_mode) == 0o600
    assert child.out.read_text() == "before\nafter\n"


def test_a_chatty_child_is_never_blocked(tmp_path: Path) -> None:
    program = "import os\nfor fd in (1, 2):\n  for _ in range(100): os.write(fd, b'x' * 100_000)"
    child = Child(Supervisor(), tmp_path, program)
    assert child.end() == 0
    assert child.out.stat().st_size == 20_000_000


def test_a_child_that_asks_a_question_gets_no_answer_instead_of_waiting_for_one(tmp_path: Path) -> None:
    assert Child(Supervisor(), tmp_path, "import sys; sys.exit(5 if sys.stdin.read() == '' else 1)").end() == 5


def test_stop_asks_politely_first(tmp_path: Path) -> None:
    supervisor = Supervisor(patience=20)
    child = Child(supervisor, tmp_path, POLITE)
    child.ready()
    supervisor.stop()
    assert child.end() == 7
    assert child.out.read_text() == "ready\ngiven back\n"


def test_an_interrupt_reaches_what_a_script_runs_where_it_is_shared(tmp_path: Path) -> None:
    """A shell that waits for its program goes on only when that has ended."""
    supervisor = Supervisor(patience=60)
    out = tmp_path / "out"
    codes: list[int] = []

    def run() -> None:
        script = ["sh", "-c", "sh -c 'echo ready; exec sleep 60'; true"]
        codes.append(
            supervisor.run(Program(script, label="x", cwd=tmp_path, env=os.environ, stdout=out, shares_interrupt=True))
        )

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: out.exists() and out.read_text())
    supervisor.stop()
    thread.join(20)
    assert codes, "it was waited for"


def test_stop_kills_the_whole_session_when_patience_ends(tmp_path: Path) -> None:
    supervisor = Supervisor(patience=0.2)
    child = Child(supervisor, tmp_path, STUBBORN)
    plugin = int(child.ready().split()[1])
    supervisor.stop()
    assert child.end() == -signal.SIGKILL
    wait_until(lambda: gone(plugin))


def test_a_time_out_interrupts_and_then_kills(tmp_path: Path) -> None:
    child = Child(Supervisor(patience=0.2), tmp_path, STUBBORN, timeout=0.5)
    assert child.end() == -signal.SIGKILL


def test_a_child_that_heeds_the_time_out_ends_in_its_own_way(tmp_path: Path) -> None:
    child = Child(Supervisor(patience=20), tmp_path, POLITE, timeout=0.5)
    assert child.end() == 7


def test_a_time_out_that_was_not_needed_leaves_no_timer(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    assert Child(Supervisor(), tmp_path, "", timeout=60).end() == 0
    wait_until(lambda: set(threading.enumerate()) <= before)


def test_a_stopped_run_that_has_ended_leaves_no_timer(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    supervisor = Supervisor(patience=60)
    child = Child(supervisor, tmp_path, POLITE)
    child.ready()
    supervisor.stop()
    child.end()
    wait_until(lambda: set(threading.enumerate()) <= before)


def test_one_interrupt_only_whatever_asks_for_it(tmp_path: Path) -> None:
    """To the second SIGINT Terraform answers by dropping the work in hand."""
    supervisor = Supervisor(patience=20)
    child = Child(supervisor, tmp_path, COUNTS_INTERRUPTS, timeout=0.3)
    child.ready()
    supervisor.stop()
    supervisor.stop()
    assert child.end() == 0
    assert child.out.read_text().count("interrupt") == 1


def test_nothing_is_started_after_a_stop(tmp_path: Path) -> None:
    supervisor = Supervisor()
    supervisor.stop()
    with pytest.raises(InterruptedRun, match="web: apply: not started"):
        supervisor.run(
            Program(
                [sys.executable, "-c", "open('started', 'w')"],
                label="web: apply",
                cwd=tmp_path,
                env=os.environ,
                stdout=tmp_path / "out",
            )
        )
    assert supervisor.stopping
    assert not (tmp_path / "started").exists()


def test_what_runs_is_known_by_its_label(tmp_path: Path) -> None:
    supervisor = Supervisor(patience=20)
    child = Child(supervisor, tmp_path, POLITE)
    child.ready()
    labels = [running.label for running in supervisor.running()]
    supervisor.stop()
    child.end()
    assert (labels, supervisor.running()) == (["web: apply"], [])


def test_a_stop_wakes_whoever_sleeps() -> None:
    supervisor = Supervisor()
    threading.Timer(0.05, supervisor.stop).start()
    before = time.monotonic()
    assert supervisor.wait_for_stop(20)
    assert time.monotonic() - before < 10


def test_no_child_escapes_a_stop_that_comes_while_many_start(tmp_path: Path) -> None:
    supervisor = Supervisor(patience=20)
    codes: list[int] = []

    def start(number: int) -> None:
        try:
            for attempt in range(20):
                out = tmp_path / f"{number}-{attempt}"
                codes.append(
                    supervisor.run(Program(["sleep", "30"], label="x", cwd=tmp_path, env=os.environ, stdout=out))
                )
        except InterruptedRun:
            return

    threads = [threading.Thread(target=start, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    wait_until(supervisor.running)
    supervisor.stop()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert set(codes) <= {-signal.SIGINT}


HANDLER = """
import os, pathlib, signal, sys
from infra_orch.process import Program, Supervisor
supervisor = Supervisor(patience=20)
signal.signal(signal.SIGTERM, lambda *_: supervisor.stop())
child = "import os, signal, time; os.kill(os.getppid(), signal.SIGTERM); time.sleep(30)"
code = supervisor.run(Program([sys.executable, "-c", child], label="x", cwd=pathlib.Path("."), env=os.environ, stdout=pathlib.Path("out")))
print(code == -signal.SIGINT or code == 1)
"""


def test_a_signal_handler_may_stop_what_its_own_thread_waits_for(tmp_path: Path) -> None:
    code, out, _ = capture([sys.executable, "-c", HANDLER], cwd=tmp_path, timeout=25)
    assert (code, out.strip()) == (0, b"True")


EARLY = """
import os, pathlib, signal, subprocess, sys
from infra_orch.process import Program, Supervisor
class Popen(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        os.kill(os.getpid(), signal.SIGTERM)
subprocess.Popen = Popen
supervisor = Supervisor(patience=20)
signal.signal(signal.SIGTERM, lambda *_: supervisor.stop())
here = pathlib.Path(".")
print(supervisor.run(Program(["sleep", "30"], label="x", cwd=here, env=os.environ, stdout=here / "out")))
"""


def test_a_signal_that_comes_while_a_child_is_started_stops_that_child(tmp_path: Path) -> None:
    code, out, err = capture([sys.executable, "-c", EARLY], cwd=tmp_path, timeout=25)
    assert (code, int(out), err) == (0, -signal.SIGINT, b"")


def test_only_named_descriptors_reach_the_child(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("given")
    program = "import os, sys; print(os.read(int(sys.argv[1]), 99).decode())\ntry: os.fstat(int(sys.argv[2]))\nexcept OSError: print('closed')"
    with (tmp_path / "given").open() as given, (tmp_path / "given").open() as other:
        os.set_inheritable(other.fileno(), True)
        Supervisor().run(
            Program(
                [sys.executable, "-c", program, str(given.fileno()), str(other.fileno())],
                label="x",
                cwd=tmp_path,
                env=os.environ,
                stdout=tmp_path / "out",
                inherit=[given.fileno()],
            )
        )
    assert (tmp_path / "out").read_text() == "given\nclosed\n"


ORCHESTRATOR = """
import os, pathlib, sys
from infra_orch.process import Program, Supervisor
child = "import time\\nfor n in range(20): print(n, flush=True); time.sleep(0.03)\\nprint('whole')"
Supervisor().run(Program([sys.executable, "-c", child], label="x", cwd=pathlib.Path("."), env=os.environ, stdout=pathlib.Path("out")))
"""


def test_a_killed_orchestrator_does_not_take_its_child_along(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with subprocess.Popen([sys.executable, "-c", ORCHESTRATOR], cwd=tmp_path) as orchestrator:
        wait_until(lambda: out.exists() and "1\n" in out.read_text())
        orchestrator.kill()
    assert "whole" not in out.read_text(), "the child had ended before the kill: the test proves nothing"
    wait_until(lambda: "whole" in out.read_text())


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r'cannot start "no-such-program": No such file or directory$'):
        Supervisor().run(Program(["no-such-program"], label="x", cwd=tmp_path, env=os.environ, stdout=tmp_path / "out"))


def test_a_missing_folder_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r'cannot start "true": No such file or directory \(.*/gone\)$'):
        Supervisor().run(Program(["true"], label="x", cwd=tmp_path / "gone", env=os.environ, stdout=tmp_path / "out"))


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "terraform"
    broken.write_bytes(b"\x00not a program")
    broken.chmod(0o755)
    with pytest.raises(UnavailableError, match="Exec format error"):
        capture([str(broken)], cwd=tmp_path)


def test_capture_gives_everything_back(tmp_path: Path) -> None:
    program = (
        "import json, os, sys; print(json.dumps([sys.stdin.read(), os.environ['A'], os.getcwd()])); sys.exit('bad')"
    )
    code, out, err = capture(
        [sys.executable, "-c", program], cwd=tmp_path, env={"A": "b", "PATH": os.environ["PATH"]}, stdin=b"in"
    )
    assert (code, json.loads(out), err) == (1, ["in", "b", str(tmp_path.resolve())], b"bad\n")


def test_capture_does_not_wait_for_ever(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r'"sleep" gave no answer within 0\.2 s'):
        capture(["sleep", "30"], cwd=tmp_path, timeout=0.2)


@pytest.mark.parametrize(
    ("work", "code"),
    [("lambda: 3", 3), ("lambda: 1 / 0", 70), ("lambda: os.kill(os.getpid(), 9)", -9)],
    ids=["a code", "an exception", "a signal"],
)
def test_work_in_a_process_of_its_own_leaves_nothing_here(work: str, code: int) -> None:
    # In a program without threads, as it is meant for.
    program = f"""
import os, sys
from infra_orch.process import in_a_process
told = []
code = in_a_process({work}, told.append)
print(code, told[0] != os.getpid(), len(told))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{code} True 1\n"
