"""Ctrl-C, SIGTERM and a hang-up are all the same polite stop."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from infra_orch.process import Supervisor

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def polite_stop(supervisor: Supervisor, tell: Callable[[str], None]) -> Iterator[None]:
    """Within it, a signal asks *supervisor* to stop; a further one tells what is being waited for.

    Only the main thread can take signals; elsewhere this does nothing.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        running = supervisor.running()
        waiting = ", ".join(child.label for child in running) or "nothing"
        if supervisor.stopping:
            tell(f"still waiting for: {waiting} (killed after {supervisor.patience:.0f} s)")
        else:
            name = signal.Signals(number).name
            tell(f"{name}: stopping; nothing new is begun, waiting for: {waiting}")
            supervisor.stop()

    try:
        before = {number: signal.signal(number, stop) for number in _SIGNALS}
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
