"""`unlock`: whose a state's lock is, and giving it back where its holder is gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from child_process import Child, until
from local_http import StateServer, over_http

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


@pytest.fixture
def states(two_units: Desk, state_server: tuple[str, StateServer]) -> StateServer:
    """A server that keeps the states of the stack `dev`, which is applied."""
    url, kept = state_server
    spec = two_units.root / "stacks/dev/stack.py"
    text = spec.read_text().replace("import Stack", "import Backend, Stack")
    spec.write_text(text.replace('Stack("dev")', f'Stack("dev", backend={over_http(url)})'))
    two_units.commit()
    assert two_units.run("apply", "dev", "--auto-approve").code == 0
    return kept


def test_nothing_is_locked(two_units: Desk, states: StateServer) -> None:
    done = two_units.run("unlock", "dev")
    assert (done.code, "no state of dev is locked" in done.err) == (0, True)
    assert states.locks == {}


def test_a_lock_of_somebody_else_is_shown_and_stays(two_units: Desk, states: StateServer) -> None:
    states.locks["/dev/web"] = json.dumps(LOCK).encode()
    done = two_units.run("unlock", "dev", "--auto-approve")
    assert done.code == 75
    assert done.out.startswith("web: locked by ")
    assert "--force" in done.err
    assert "/dev/web" in states.locks


def test_a_lock_of_somebody_else_is_given_back_where_that_is_told_twice(two_units: Desk, states: StateServer) -> None:
    states.locks["/dev/web"] = json.dumps(LOCK).encode()
    unasked = two_units.run("unlock", "dev", "web", "--force")
    assert (unasked.code, "/dev/web" in states.locks) == (77, True)
    done = two_units.run("unlock", "dev", "web", "--force", "--auto-approve")
    assert (done.code, states.locks) == (0, {}), done.err
    assert two_units.run("plan", "dev", "--detailed-exitcode").code == 0


def test_only_the_unit_that_is_named_is_looked_at(two_units: Desk, states: StateServer) -> None:
    states.locks["/dev/web"] = json.dumps(LOCK).encode()
    assert two_units.run("unlock", "dev", "network").code == 0
    assert "/dev/web" in states.locks


def test_a_unit_that_is_none_gets_the_nearest(two_units: Desk) -> None:
    two_units.run("render", "dev")
    done = two_units.run("unlock", "dev", "wbe")
    assert (done.code, 'did you mean "web"?' in done.err) == (64, True)


def test_a_lock_that_a_program_here_holds_is_not_taken_from_it(
    desk: Desk, start: Callable[..., Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local state is locked by the system: nothing but the end of its holder gives it back."""
    module = 'resource "terraform_data" "it" {\n  provisioner "local-exec" {\n    command = "exec sleep 30"\n  }\n}\n'
    spec = 'from infra_orch import Stack\n\nstack = Stack("dev")\nstack.unit("it", module="it")\n'
    desk.write({"modules/it/main.tf": module, "stacks/dev/stack.py": spec})
    desk.commit()
    assert desk.run("plan", "dev").code == 0
    holder = start("tf", "dev", "it", "--", "apply", "-auto-approve", "-input=false")
    until(lambda: "Provisioning with" in holder.out.read_text(), "the lock")
    busy = desk.run("unlock", "dev", "--force", "--auto-approve")
    assert busy.code == 75, "infra-orch itself holds the stack"
    for path in (desk.root / ".infra-orch/locks").iterdir():
        path.unlink()
    kept = desk.run("unlock", "dev", "--force", "--auto-approve")
    assert (kept.code, kept.out.startswith("it: locked by ")) == (1, True)
    assert "a program on this machine holds locked" in kept.err
