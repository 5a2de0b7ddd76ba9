"""The stacks that ship, planned and applied in the sandbox with the provider gateway and without it.

Starting the AWS provider for each command takes minutes, so this is part of `make test-differential` alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from two_ways import WHOLE

from infra_orch.engine.mirror import find_mirrors, providers_in
from infra_orch.sandbox import server

if TYPE_CHECKING:
    from conftest import Desk

ROOT = Path(__file__).resolve().parents[2]
STACKS = sorted(path.parent.name for path in (ROOT / "stacks").glob("*/stack.py"))
AWS = "registry.terraform.io/hashicorp/aws"
pytestmark = [pytest.mark.aws, pytest.mark.skipif(not WHOLE, reason="a part of make test-differential")]


@pytest.fixture
def shipped(desk: Desk) -> Iterator[Desk]:
    """A project with the modules and stacks of this repository, and an emulator that it keeps."""
    if not any(AWS in providers_in(mirror) for mirror in find_mirrors({})):
        pytest.skip(f"no provider mirror with {AWS} on this machine")
    for name in ("modules", "stacks"):
        shutil.copytree(ROOT / name, desk.root / name, dirs_exist_ok=True)
    desk.commit()
    assert desk.run("sandbox", "start").code == 0
    yield desk
    server.stop(desk.root / ".infra-orch" / "emulator")


def told(desk: Desk, *words: str) -> Mapping[str, Any]:
    """What a run says of each unit, but for how long it took."""
    done = desk.run(*words, "--sandbox", "--json")
    assert done.code == 0, done.err
    units = json.loads(done.out)["units"]
    return {name: {key: value for key, value in unit.items() if key != "duration_s"} for name, unit in units.items()}


@pytest.mark.parametrize("stack", STACKS)
def test_a_shipped_stack_is_planned_applied_and_destroyed_alike_with_and_without_the_gateway(
    shipped: Desk, stack: str
) -> None:
    planned = [told(shipped, "plan", stack, *flags) for flags in ((), ("--no-gateway",))]
    assert planned[0] == planned[1]
    applied = []
    for flags, others in (((), ("--no-gateway",)), (("--no-gateway",), ())):
        applied.append(told(shipped, "apply", stack, "--auto-approve", *flags))
        again = told(shipped, "plan", stack, *others)
        assert {unit["status"] for unit in again.values()} == {"unchanged"}
        told(shipped, "destroy", stack, "--auto-approve", *others)
        server.reset(shipped.root / ".infra-orch" / "emulator")
    assert applied[0] == applied[1]
