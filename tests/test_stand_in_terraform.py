"""The stand-in misbehaves as it says, for the tests that rely on it, and a supervisor copes with each of its ways."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from infra_orch.engine.engine import find_engine
from infra_orch.process import Program, Supervisor

STAND_IN = Path(__file__).with_name("stand_in_terraform.py")


def run(
    folder: Path, behaviour: str, *arguments: str, supervisor: Supervisor | None = None
) -> tuple[int, bytes, bytes]:
    """Exit code, standard output and standard error."""
    code = (supervisor or Supervisor()).run(
        Program(
            [str(STAND_IN), *arguments],
            label="stand-in",
            cwd=folder,
            env={
                **os.environ,
                "STAND_IN_TERRAFORM": behaviour,
                "TF_CLI_CONFIG_FILE": os.devnull,
                "CHECKPOINT_DISABLE": "1",
            },
            stdout=folder / "out",
            stderr=folder / "err",
        )
    )
    return code, (folder / "out").read_bytes(), (folder / "err").read_bytes()


def stopped(folder: Path, behaviour: str, patience: float) -> tuple[int, bytes, bytes]:
    """Stop it as soon as it has said that it is there."""
    supervisor = Supervisor(patience)

    def stop() -> None:
        end = time.monotonic() + 20
        while (
            not ((folder / "out").exists() and b"stand-in" in (folder / "out").read_bytes()) and time.monotonic() < end
        ):
            time.sleep(0.01)
        supervisor.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    result = run(folder, behaviour, "apply", supervisor=supervisor)
    stopper.join()
    return result


def test_a_hanging_one_heeds_an_interrupt(tmp_path: Path) -> None:
    code, out, _ = stopped(tmp_path, "apply=hang", patience=20)
    assert (code, b"Gracefully shutting down" in out) == (1, True)


def test_a_deaf_one_is_killed(tmp_path: Path) -> None:
    assert stopped(tmp_path, "ignore-sigint", patience=0.2)[0] == -signal.SIGKILL


def test_a_crash_looks_like_terraforms(tmp_path: Path) -> None:
    code, _, err = run(tmp_path, "plan=crash", "plan")
    assert (code, b"TERRAFORM CRASH" in err) == (11, True)


def test_one_that_is_killed_has_no_exit_code(tmp_path: Path) -> None:
    assert run(tmp_path, "killed", "apply")[0] == -signal.SIGKILL


def test_garbage_is_not_text(tmp_path: Path) -> None:
    code, out, _ = run(tmp_path, "garbage", "show", "-json")
    assert code == 0
    with pytest.raises(UnicodeDecodeError):
        out.decode()


def test_an_exit_code_is_given_to_the_named_command_only(tmp_path: Path) -> None:
    assert run(tmp_path, "state list=exit:3, plan=exit:4", "state", "-x", "list")[0] == 3
    assert run(tmp_path, "state list=exit:3, plan=exit:4", "plan", "-no-color")[0] == 4


def test_a_chatty_one_ends(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, "chatter", "plan")
    assert (code, len(out), len(err)) == (0, 10_000_000, 10_000_000)


def test_otherwise_it_is_the_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on PATH")
    monkeypatch.setenv("STAND_IN_TERRAFORM", "crash")
    assert find_engine(str(STAND_IN)).version == find_engine("terraform").version
    assert run(tmp_path, "apply=crash", "fmt", "-check")[0] == 0
