"""The lock of a stack: who holds it, and which runs died with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra_orch.errors import LockedError, UserError
from infra_orch.run.lock import Holder, holder_of, stack_lock

HOLDS = """
import sys, time
from pathlib import Path
from infra_orch.run.lock import stack_lock
with stack_lock(Path(sys.argv[1]), "dev", sys.argv[2], "apply"):
    print("held", flush=True)
    time.sleep(60)
"""


def held(path: Path, run_id: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(path), run_id], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def killed(path: Path, run_id: str) -> None:
    with held(path, run_id) as process:
        process.kill()


def test_a_second_one_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "dev.lock"
    with held(path, "run-1") as process:
        said = f"in use by apply run-1 \\(pid {process.pid} on "
        with pytest.raises(LockedError, match=said), stack_lock(path, "dev", "run-2", "plan"):
            pass
        process.kill()


def test_a_run_that_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "dev.lock"
    with stack_lock(path, "dev", "run-1", "apply") as lock:
        assert holder_of(path) == Holder(os.uname().nodename, os.getpid(), "run-1", "apply", *since(path))
        lock.release(owes=False)
    assert holder_of(path) is None
    with stack_lock(path, "dev", "run-2", "apply") as lock:
        assert lock.owed == ()


def since(path: Path) -> tuple[str, str]:
    document = json.loads(path.read_text())
    return document["since"], document["born"]


def test_a_run_that_was_killed_is_owed_for(tmp_path: Path) -> None:
    path = tmp_path / "dev.lock"
    killed(path, "run-1")
    with stack_lock(path, "dev", "run-2", "apply") as lock:
        assert lock.owed == ("run-1",)
        lock.settled("run-1")
        lock.release(owes=False)
    with stack_lock(path, "dev", "run-3", "apply") as lock:
        assert lock.owed == ()


def test_what_is_owed_outlives_whoever_was_to_see_to_it(tmp_path: Path) -> None:
    path = tmp_path / "dev.lock"
    killed(path, "run-1")
    killed(path, "run-2")
    with stack_lock(path, "dev", "run-3", "recover") as lock:
        assert lock.owed == ("run-1", "run-2")
        lock.settled("run-1")
        lock.release(owes=True)
    with stack_lock(path, "dev", "run-4", "recover") as lock:
        assert lock.owed == ("run-2", "run-3")


def test_a_file_that_was_cut_off_is_a_lock_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "dev.lock"
    path.write_text('{"host": "x", "pi')
    with stack_lock(path, "dev", "run-1", "apply") as lock:
        assert lock.owed == ()


def test_a_holder_whose_number_another_process_has_now_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "dev.lock"
    with stack_lock(path, "dev", "run-1", "apply"):
        holder = holder_of(path)
        assert holder is not None
        assert not holder.is_gone
        assert Holder(holder.host, holder.pid, "run-0", "apply", holder.since, born="1").is_gone


def test_of_another_machines_processes_nobody_here_knows() -> None:
    assert not Holder("elsewhere", 1 << 22, "run-1", "apply", "2026-01-01T00:00:00+00:00").is_gone


def test_a_lock_of_a_newer_version_is_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "dev.lock"
    path.write_text('{"schema": 99, "owed": ["run-1"]}')
    with pytest.raises(UserError, match="newer infra-orch"), stack_lock(path, "dev", "run-2", "apply"):
        pass
