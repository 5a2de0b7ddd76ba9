"""The command line as a process of its own, for tests that stop it or kill it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra_orch.process import session_of

if TYPE_CHECKING:
    from conftest import Desk


class Child:
    """The command line as a process of its own, its output in files."""

    def __init__(self, desk: Desk, *arguments: str, **more: str) -> None:
        self.root = desk.root
        self.out = desk.root.parent / f"out-{time.monotonic_ns()}"
        self.err = self.out.with_suffix(".err")
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "infra_orch", *arguments],
                cwd=desk.root,
                env={**os.environ, **more},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def wait(self) -> int:
        return self.process.wait(60)

    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.out.read_text()))

    def statuses(self) -> dict[str, str]:
        return {name: unit["status"] for name, unit in self.document()["units"].items()}

    def kill_alone(self) -> None:
        """Kill it, and nothing that it has started."""
        self.process.kill()
        self.process.wait()

    def kill_with_all(self) -> None:
        """Kill it and everything that it has started, as a machine that loses its power does."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        started = [int(pid) for children in threads for pid in children.read_text().split()]
        self.kill_alone()
        for leader in started:
            for pid in (leader, *session_of(leader)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def at_work(root: Path) -> list[int]:
    """Processes whose working folder lies in the project, less this one."""
    others = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and int(entry.name) != os.getpid())
    return [int(entry.name) for entry in others if is_at_work(entry, root)]


def is_at_work(entry: Path, root: Path) -> bool:
    with contextlib.suppress(OSError):
        return (entry / "cwd").resolve().is_relative_to(root) and bool((entry / "cmdline").read_bytes())
    return False


def until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.02)
