"""`unlock`: whose a state's lock is, and giving it back where its holder is gone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk

LOCK = {
    "ID": "6f5c1a52-5a5e-4d3e-9d4e-0d1f3c2b1a09",
    "Operation": "OperationTypeApply",
    "Who": "grace@ci-runner-7",
    "Version": "1.11.4",
    "Created": "2026-01-02T03:04:05.678Z",
    "Info": "",
    "Path": "",
}


class StateServer:
    """Keeps states as Terraform's http backend has it, and their locks."""

    def __init__(self) -> None:
        self.states: dict[str, bytes] = {}
        self.locks: dict[str, bytes] = {}
        keeps = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, code: int, body: bytes = b"") -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def body(self) -> bytes:
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                self.answer(200, keeps.states[path]) if path in keeps.states else self.answer(404)

            def do_POST(self) -> None:
                keeps.states[self.path.split("?")[0]] = self.body()
                self.answer(200)

            def do_LOCK(self) -> None:
                asked = self.body()
                if self.path in keeps.locks:
                    self.answer(423, keeps.locks[self.path])
                else:
                    keeps.locks[self.path] = asked
                    self.answer(200)

            def do_UNLOCK(self) -> None:
                self.body()
                keeps.locks.pop(self.path, None)
                self.answer(200)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def states(two_units: Desk) -> Iterator[StateServer]:
    """A server that keeps the states of the stack `dev`."""
    kept = StateServer()
    thread = threading.Thread(target=kept.server.serve_forever, daemon=True)
    thread.start()
    address = f"{kept.url}/{{unit}}"
    backend = f'Backend("http", address="{address}", lock_address="{address}", unlock_address="{address}")'
    spec = two_units.root / "stacks/dev/stack.py"
    text = spec.read_text().replace("import Stack", "import Backend, Stack")
    spec.write_text(text.replace('Stack("dev")', f'Stack("dev", backend={backend})'))
    two_units.commit()
    assert two_units.run("apply", "dev", "--auto-approve").code == 0
    yield kept
    kept.server.shutdown()
    kept.server.server_close()
    thread.join()


def test_nothing_is_locked(two_units: Desk, states: StateServer) -> None:
    done = two_units.run("unlock", "dev")
    assert (done.code, "no state of dev is locked" in done.err) == (0, True)
    assert states.locks == {}


def test_a_lock_of_somebody_else_is_shown_and_stays(two_units: Desk, states: StateServer) -> None:
    states.locks["/web"] = json.dumps(LOCK).encode()
    done = two_units.run("unlock", "dev", "--auto-approve")
    assert done.code == 75
    assert done.out.startswith("web: locked by ")
    assert "--force" in done.err
    assert "/web" in states.locks


def test_a_lock_of_somebody_else_is_given_back_where_that_is_told_twice(two_units: Desk, states: StateServer) -> None:
    states.locks["/web"] = json.dumps(LOCK).encode()
    unasked = two_units.run("unlock", "dev", "web", "--force")
    assert (unasked.code, "/web" in states.locks) == (77, True)
    done = two_units.run("unlock", "dev", "web", "--force", "--auto-approve")
    assert (done.code, states.locks) == (0, {}), done.err
    assert two_units.run("plan", "dev", "--detailed-exitcode").code == 0


def test_only_the_unit_that_is_named_is_looked_at(two_units: Desk, states: StateServer) -> None:
    states.locks["/web"] = json.dumps(LOCK).encode()
    assert two_units.run("unlock", "dev", "network").code == 0
    assert "/web" in states.locks


def test_a_unit_that_is_none_gets_the_nearest(two_units: Desk) -> None:
    two_units.run("render", "dev")
    done = two_units.run("unlock", "dev", "wbe")
    assert (done.code, 'did you mean "web"?' in done.err) == (64, True)
