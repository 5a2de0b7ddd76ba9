"""The emulator's process: `python -m infra_orch.sandbox.serve`, started by `server.py` and by nobody else.

It takes a free port of 127.0.0.1, tells it through a pipe once it can be asked, and serves until it is told to end: by
a signal, or, where it runs for one run, by the end of the process that started it, however that ends.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import logging
import os
import select
import signal
import sys
import threading
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from infra_orch.files import write_atomically
from infra_orch.sandbox.paths import LOCK_NAME, STATE_NAME

_LOCK_PATIENCE_SECONDS = 2.0
_CHECK_SECONDS = 1.0


def main(arguments: list[str]) -> NoReturn:
    """Serve until told to end. Never returns: threads that still answer somebody must not hold the process."""
    parser = argparse.ArgumentParser(prog="python -m infra_orch.sandbox.serve")
    parser.add_argument("--ready", type=int, required=True, help="file descriptor that is told the address, as JSON")
    parser.add_argument("--lifeline", type=int, help="file descriptor whose end is ours")
    parser.add_argument("--parent", type=int, default=0, help="process id of who holds the other end")
    parser.add_argument("--keep-in", type=Path, help="folder of a kept emulator")
    options = parser.parse_args(arguments)
    if options.lifeline is not None:
        threading.Thread(target=_end_with, args=(options.lifeline, options.parent), daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    code = 0
    try:
        _serve(options.ready, options.keep_in)
    except SystemExit as end:
        code = 1 if end.code else 0
        sys.stderr.write(f"{end.code or 'ended as told'}\n")
    except BaseException:  # noqa: BLE001 the log is the only place where it can be read
        code = 1
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _serve(ready: int, keep_in: Path | None) -> None:
    if keep_in is None:
        _answer(ready, None)
        return
    lock = _hold(keep_in / LOCK_NAME)
    state = keep_in / STATE_NAME
    try:
        _answer(ready, state)
    finally:
        state.unlink(missing_ok=True)
        os.close(lock)


def _answer(ready: int, state: Path | None) -> None:
    server, about = _server()
    if state is not None:
        write_atomically(state, json.dumps(about) + "\n", mode=0o600)
    with contextlib.suppress(BrokenPipeError), os.fdopen(ready, "w") as starter:
        starter.write(json.dumps(about) + "\n")
    server.serve_forever()


def _server() -> tuple[Any, dict[str, Any]]:
    """A server that listens already, and the facts about it: `{"url", "pid", "started"}`."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else it writes a line for every call
    # Imported here because it takes a second, which the lifeline must not wait for.
    from moto.core.config import default_user_config  # noqa: PLC0415
    from moto.moto_server import werkzeug_app  # noqa: PLC0415
    from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415

    from infra_orch.sandbox.application import Application  # noqa: PLC0415
    from infra_orch.sandbox.census import watch  # noqa: PLC0415

    watch()
    # Functions and jobs are kept but not run: their containers would have the network that the sandbox must not use.
    default_user_config["lambda"] = {"use_docker": False}
    default_user_config["batch"] = {"use_docker": False}
    about: dict[str, Any] = {"pid": os.getpid(), "started": datetime.now(UTC).isoformat(timespec="seconds")}
    application = Application(about)
    handler = getattr(werkzeug_app, "MotoRequestHandler", WSGIRequestHandler)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=handler)
    about["url"] = f"http://127.0.0.1:{server.server_port}"
    os.environ["MOTO_PORT"] = str(server.server_port)
    return server, about


def _hold(path: Path) -> int:
    """Lock *path* for the life of this process, and return its descriptor."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Somebody who asks for the status holds it for a moment.
            if time.monotonic() > deadline:
                raise SystemExit(f"another emulator is kept in {path.parent}") from None
            time.sleep(0.02)
        else:
            return descriptor


def _end_with(lifeline: int, parent: int) -> None:
    """End this process when *lifeline* ends or *parent* is gone.

    The pipe ends with the last process that holds its other end, at once; a program that a dead parent left behind may
    have inherited that end, hence the second question.
    """
    while os.getppid() == parent:
        readable, _, _ = select.select([lifeline], [], [], _CHECK_SECONDS)
        if readable and not os.read(lifeline, 1):
            break
    os._exit(0)


def _end(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
