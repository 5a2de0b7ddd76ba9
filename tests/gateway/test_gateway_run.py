"""Runs of stacks whose providers come from the gateway: what the user sees of it, and what becomes of faults."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from child_process import Child, until
from two_ways import ECHO

if TYPE_CHECKING:
    from conftest import Desk

MODULE = """
    terraform {
      required_providers {
        echo = {
          source = "example.com/acme/echo"
        }
      }
    }

    variable "input" {
      type = string
    }

    resource "echo_thing" "it" {
      input = var.input
    }

    output "configured_with" {
      value = echo_thing.it.configured_with
    }
"""
SPEC = """
    from infra_orch import Provider, Stack

    names = ("ada", "bob")
    providers = [
        Provider(
            "echo",
            source="example.com/acme/echo",
            version="1.0.0",
            alias=None if name == "ada" else name,
            configuration={"name": name},
        )
        for name in names
    ]
    stack = Stack("dev", providers=providers)
    for name, provider in zip(names, providers):
        stack.unit(name, module="things", inputs={"input": {INPUT}}, providers={"echo": provider})
"""


@pytest.fixture
def echoes(desk: Desk, echo_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A project of two units, each with a provider configuration of its own. No gateway outlives the test."""
    for name in ("HOME", "TF_CLI_CONFIG_FILE"):
        monkeypatch.setenv(name, echo_environment[name])
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(Path(os.environ["XDG_CACHE_HOME"]).parent / ".gitconfig"))
    with tempfile.TemporaryDirectory(prefix="io-") as temporary:
        monkeypatch.setenv("TMPDIR", temporary)
        monkeypatch.setattr(tempfile, "tempdir", None)
        asks(desk, "name")
        yield desk
        with contextlib.suppress(OSError):
            desk.run("gateway", "stop")
    monkeypatch.setattr(tempfile, "tempdir", None)


def asks(desk: Desk, said: str) -> None:
    """Have the units say *said*, a Python expression of their `name`, to the provider."""
    desk.write({"modules/things/main.tf": MODULE, "stacks/dev/stack.py": SPEC.replace("{INPUT}", said)})
    desk.commit()


def document(printed: str) -> dict[str, Any]:
    return dict(json.loads(printed))


def test_a_run_shares_its_providers_and_each_unit_gets_its_own_configuration(echoes: Desk) -> None:
    applied = echoes.run("apply", "dev", "--auto-approve", "--json")
    assert applied.code == 0, applied.err + applied.out
    used = document(applied.out)["gateway"]
    assert (used["providers_started"] > 0, used["shared"] > 0, used["fallbacks"]) == (True, True, [])
    printed = {unit: echoes.run("output", "dev", unit, "configured_with").out.strip() for unit in ("ada", "bob")}
    assert printed == {"ada": "ada", "bob": "bob"}


def test_without_the_gateway_the_same_is_done(echoes: Desk) -> None:
    served = document(echoes.run("plan", "dev", "--json").out)
    bare = document(echoes.run("plan", "dev", "--json", "--no-gateway").out)
    assert bare["gateway"] is None
    assert {name: unit["resources"] for name, unit in bare["units"].items()} == {
        name: unit["resources"] for name, unit in served["units"].items()
    }


def test_a_provider_that_is_skipped_is_started_by_terraform_and_nothing_is_said(
    echoes: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFRA_ORCH_GATEWAY_SKIP", ECHO)
    planned = echoes.run("plan", "dev", "--json")
    assert document(planned.out)["gateway"] == {"providers_started": 0, "shared": 0, "fallbacks": []}
    assert "started by every" not in planned.err


def test_a_package_that_is_not_the_locked_one_is_left_to_terraform_which_refuses_it(echoes: Desk) -> None:
    assert echoes.run("plan", "dev").code == 0
    program = next(echoes.root.glob(f".infra-orch/work/dev/ada/.terraform/providers/{ECHO}/*/*/*")).resolve()
    before = program.read_bytes()
    try:
        program.write_bytes(before + b"# another\n")
        planned = echoes.run("plan", "dev", "--json")
    finally:
        program.write_bytes(before)
    found = document(planned.out)
    assert planned.code == 1
    (fallback,) = found["gateway"]["fallbacks"]
    assert (fallback["provider"], "lock file" in fallback["reason"]) == (ECHO, True)
    assert planned.err.count("started by every Terraform command") == 1
    assert (
        found["units"]["ada"]["error"]["summary"] == f"the package of {ECHO} is not what the dependency lock file says"
    )


def test_a_provider_that_crashes_fails_its_unit_and_no_other(echoes: Desk) -> None:
    asks(echoes, '"crash" if name == "bob" else name')
    applied = echoes.run("apply", "dev", "--auto-approve", "--json")
    found = document(applied.out)
    assert {name: unit["status"] for name, unit in found["units"].items()} == {"ada": "applied", "bob": "failed"}
    log = (echoes.root / ".infra-orch" / "runs" / found["run_id"] / "bob" / "apply.log").read_text()
    assert f"The provider {ECHO} ended (exit code 3)" in log
    asks(echoes, "name")
    assert echoes.run("apply", "dev", "--auto-approve").code == 0


def test_what_a_provider_made_for_a_terraform_that_was_killed_is_found(
    echoes: Desk, start: Callable[..., Child]
) -> None:
    asks(echoes, '"slow:4" if name == "bob" else name')
    child = start("apply", "dev", "--auto-approve")
    runs = echoes.root / ".infra-orch" / "runs"
    until(lambda: any("apply_start" in path.read_text() for path in runs.glob("*/bob/apply.log")), "bob's apply")
    child.kill_alone()
    journal = next(runs.glob("*/journal.jsonl")).read_text().splitlines()
    started = [entry for entry in map(json.loads, journal) if entry["event"] == "start" and entry["node"] == "bob"]
    os.kill(started[-1]["pid"], signal.SIGKILL)

    recovered = echoes.run("recover", "dev")
    assert recovered.code == 77, recovered.err
    assert "bob: apply, in its provider" in recovered.err
    created = [json.loads(line) for line in next(runs.glob("*/gateway.jsonl")).read_text().splitlines()]
    (made,) = [entry["id"] for entry in created if entry["node"] == "bob"]
    assert f"module.bob.echo_thing.it (id {made})" in recovered.out


def test_a_gateway_that_is_kept_serves_the_next_run_from_what_runs_already(echoes: Desk) -> None:
    assert echoes.run("gateway", "status").code == 1
    assert echoes.run("gateway", "start").code == 0
    assert document(echoes.run("plan", "dev", "--json").out)["gateway"]["providers_started"] > 0
    assert document(echoes.run("plan", "dev", "--json").out)["gateway"]["providers_started"] == 0
    kept = document(echoes.run("gateway", "status", "--json").out)
    assert {provider["provider"] for provider in kept["providers"]} == {ECHO}
    assert echoes.run("gateway", "stop").code == 0
    assert echoes.run("gateway", "status").code == 1
