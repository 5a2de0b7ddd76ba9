"""`make demo`, with Terraform's built-in provider: it shows the whole way, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[1] / ".ci" / "demo" / "demo.py"


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the demo may put its files."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


@pytest.fixture
def start_demo(temporary: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start the demo in a process group of its own, as a terminal does."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        argv = [sys.executable, str(DEMO), "--builtin"]
        env = {**os.environ, "TMPDIR": str(temporary)}
        demo = subprocess.Popen(
            argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        started.append(demo)
        return demo

    yield start
    for demo in started:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)
        demo.communicate()


def answers_at_the_emulators_address(printed: str) -> bool:
    found = re.search(r"the sandbox runs at http://([\d.]+):(\d+)", printed)
    assert found, printed
    with socket.socket() as connection:
        return connection.connect_ex((found[1], int(found[2]))) == 0


def read_until(demo: subprocess.Popen[str], text: str) -> str:
    """What the demo printed up to the line that holds *text*."""
    printed = ""
    while text not in printed:
        line = demo.stdout.readline()
        assert line, printed
        printed += line
    return printed


def test_the_demo_goes_all_the_way_and_leaves_nothing_behind(
    start_demo: Callable[[], subprocess.Popen[str]], temporary: Path
) -> None:
    demo = start_demo()
    printed, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, printed
    assert "No changes." in printed
    commits = re.findall(r"^[0-9a-f]{7,} (?:\(.+?\) )?(.+)$", printed, re.MULTILINE)
    assert [subject.split()[0] for subject in commits] == ["destroy", "apply", "The"]
    assert not answers_at_the_emulators_address(printed)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_cleans_up(
    start_demo: Callable[[], subprocess.Popen[str]], temporary: Path, number: signal.Signals
) -> None:
    demo = start_demo()
    printed = read_until(demo, "$ infra-orch plan")
    time.sleep(0.5)
    if number is signal.SIGINT:
        os.killpg(demo.pid, number)  # what a terminal does
    else:
        demo.send_signal(number)
    rest, _ = demo.communicate(timeout=120)
    assert demo.returncode == 130, printed + rest
    assert not answers_at_the_emulators_address(printed)
    assert list(temporary.iterdir()) == []
