"""A bundle may hold secrets, and it is the only thing beside the states that does."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

OUTPUT = "correct-horse-dev"
VARIABLE = "battery-staple-9731"
SPEC = """
    from infra_orch import Stack, env

    stack = Stack("dev")
    network = stack.unit("network", module="network", inputs={"name": "dev"})
    note = stack.unit("note", module="note", inputs={"text": network.outputs.password, "token": env("NOTE_TOKEN")})
"""
NOTE = """
    variable "text" {
      type      = string
      sensitive = true
    }

    variable "token" {
      type      = string
      sensitive = true
    }

    resource "terraform_data" "note" {
      input = [var.text, var.token]
    }
"""


@pytest.fixture
def secretive(two_units, monkeypatch):
    """A committed project with a secret output that another unit reads, and a secret of the environment."""
    monkeypatch.setenv("NOTE_TOKEN", VARIABLE)
    two_units.write({"modules/note/main.tf": NOTE, "stacks/dev/stack.py": SPEC})
    two_units.commit()
    return two_units


def where_it_stands(desk, secret: str) -> list[str]:
    """Every file of a project in which *secret* stands, states aside, and git's history as one more."""
    found = [
        path.relative_to(desk.root).as_posix()
        for path in desk.root.rglob("*")
        if path.is_file()
        and ".git" not in path.relative_to(desk.root).parts
        and "state" not in path.relative_to(desk.root).parts
        and secret.encode() in path.read_bytes()
    ]
    history = desk.git("log", "--all", "--patch", "--text", "--format=%B")
    return found + (["git"] if secret in history else [])


@pytest.mark.parametrize("secret", [OUTPUT, VARIABLE])
def test_the_bundle_holds_the_secrets_that_this_test_looks_for(secretive, file, secret):
    secretive.run("plan", "dev", "--out", file)
    with zipfile.ZipFile(file) as bundle:
        assert any(secret.encode() in bundle.read(name) for name in bundle.namelist())


def test_nothing_but_the_bundle_holds_them_after_a_plan(secretive, file):
    planned = secretive.run("plan", "dev", "--out", file)
    for secret in (OUTPUT, VARIABLE):
        assert where_it_stands(secretive, secret) == []
        assert secret not in planned.out + planned.err


def test_nothing_holds_them_after_it_was_applied(secretive, clone, file):
    secretive.run("plan", "dev", "--out", file)
    there = clone("there")
    applied = there.run("apply", "dev", "--plan", file, "--auto-approve", "--full")
    assert applied.code == 0, applied.err
    for secret in (OUTPUT, VARIABLE):
        assert where_it_stands(there, secret) == []
        assert secret not in applied.out + applied.err


def test_nothing_holds_them_where_nobody_said_yes(secretive, file, monkeypatch):
    secretive.run("plan", "dev", "--out", file)
    monkeypatch.setattr("infra_orch.console.Console.interactive", True)
    monkeypatch.setattr("infra_orch.console.Console.ask", lambda *_: False)
    assert secretive.run("apply", "dev", "--plan", file).code == 77
    for secret in (OUTPUT, VARIABLE):
        assert where_it_stands(secretive, secret) == []


def test_nothing_holds_them_where_it_was_refused_at_the_last_moment(secretive, file, monkeypatch):
    secretive.run("plan", "dev", "--out", file)
    monkeypatch.setattr("infra_orch.console.Console.interactive", True)
    monkeypatch.setattr("infra_orch.console.Console.ask", lambda *_: meanwhile(secretive))
    refused = secretive.run("apply", "dev", "--plan", file)
    assert refused.code == 77
    assert "the state of network has moved on" in refused.err
    for secret in (OUTPUT, VARIABLE):
        assert where_it_stands(secretive, secret) == []


def meanwhile(desk) -> bool:
    """Somebody else changes a state while the user reads the plan; then the user says yes."""
    folder = desk.root / "stacks/dev/state"
    text = '{"version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": "b", "resources": []}'
    (folder / "network.tfstate").write_text(text)
    return True


def test_a_bundle_that_others_may_read_is_warned_of(one_unit, file):
    one_unit.run("plan", "dev", "--out", file)
    Path(file).chmod(0o644)
    applied = one_unit.run("apply", "dev", "--plan", file, "--auto-approve")
    assert f"chmod 600 {file}" in applied.err
