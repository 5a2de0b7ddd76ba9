"""`tf`: any Terraform command for a unit, on the user's terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk


def tf(desk: Desk, *arguments: str) -> tuple[int, str, str]:
    """What a shell gets: Terraform writes to the terminal itself, past this process's own streams."""
    done = subprocess.run(
        [sys.executable, "-m", "infra_orch", "tf", "dev", *arguments],
        cwd=desk.root,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_command_runs_on_the_units_state_with_its_upstream_values(two_units: Desk) -> None:
    assert two_units.run("apply", "dev", "--auto-approve").code == 0
    code, out, err = tf(two_units, "web", "--", "state", "list")
    assert (code, out.split()) == (0, ["module.web.terraform_data.server[0]", "module.web.terraform_data.server[1]"]), (
        err
    )
    code, out, err = tf(two_units, "web", "--", "plan", "-detailed-exitcode", "-no-color")
    assert (code, "No changes" in out) == (0, True), err
    # What it was told of upstream units is not left lying about.
    assert not list((two_units.root / ".infra-orch/work/dev/web").glob("infra_orch_upstream*"))


def test_terraforms_exit_code_is_ours(two_units: Desk) -> None:
    assert tf(two_units, "network", "--", "plan", "-detailed-exitcode", "-no-color")[0] == 2


def test_what_is_changed_by_hand_is_seen_by_the_next_plan(two_units: Desk) -> None:
    two_units.run("apply", "dev", "--auto-approve")
    code, _, err = tf(two_units, "network", "--", "state", "rm", "module.network.terraform_data.network")
    assert code == 0, err
    plan = json.loads(two_units.run("plan", "dev", "--json").out)
    assert plan["units"]["network"]["changes"]["create"] == 1


def test_with_unknown_values_it_reads_and_changes_nothing(two_units: Desk) -> None:
    code, out, err = tf(two_units, "web", "--", "validate", "-no-color")
    assert (code, "Success!" in out) == (0, True), err
    refused = two_units.run("tf", "dev", "web", "--", "apply", "-auto-approve")
    assert refused.code == 77
    assert "web waits for network.id" in refused.err
    assert "--with-upstream" in refused.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "which Terraform command?"),
        (("workspace", "select", "other"), "another workspace is another state"),
        (("-chdir=/tmp", "plan"), "-chdir is refused"),
        (("plan", "-lock=false"), '"-lock=false" is refused'),
    ],
)
def test_what_would_turn_a_unit_to_another_state_is_refused(
    two_units: Desk, arguments: tuple[str, ...], why: str
) -> None:
    result = two_units.run("tf", "dev", "network", "--", *arguments)
    assert (result.code, why in result.err) == (64, True), result.err


def test_a_unit_that_is_not_there_is_said_with_the_nearest(two_units: Desk) -> None:
    result = two_units.run("tf", "dev", "netwrok", "--", "plan")
    assert (result.code, 'did you mean "network"?' in result.err) == (64, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("destroy", "-auto-approve"),
        ("apply", "--destroy", "-auto-approve"),
        ("apply", "-auto-approve", "-replace=module.network.terraform_data.network"),
        ("plan", "-destroy=true", "-out=x"),
    ],
)
def test_a_protected_unit_is_not_destroyed_this_way_either(two_units: Desk, arguments: tuple[str, ...]) -> None:
    spec = two_units.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().replace('module="network",', 'module="network", protect=True,'))
    two_units.run("apply", "dev", "--auto-approve", "--unit", "network")
    assert two_units.run("tf", "dev", "network", "--", *arguments).code == 77


def test_an_init_by_hand_does_not_turn_later_runs_to_another_state(two_units: Desk) -> None:
    two_units.run("apply", "dev", "--auto-approve", "--unit", "network")
    code, _, err = tf(two_units, "network", "--", "init", "-reconfigure", "-backend-config=path=elsewhere.tfstate")
    assert code == 0, err
    plan = json.loads(two_units.run("plan", "dev", "--unit", "network", "--json").out)
    assert plan["units"]["network"]["status"] == "unchanged"
