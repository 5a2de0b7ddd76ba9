"""What a log says was made, held against what a state has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra_orch.recovery.lost import InFlight, Lost, in_flight, lost_resources
from infra_orch.redact import Redactor
from infra_orch.run.changes import PlanDocument
from infra_orch.run.diagnosis import read_messages


def line(kind: str, address: str, action: str, **more: str) -> str:
    resource = {"addr": address, "resource_type": address.rpartition(".")[0].rpartition(".")[2].partition("[")[0]}
    hook = {"resource": resource, "action": action, **more}
    return json.dumps({"@timestamp": "2026-01-02T03:04:05Z", "type": kind, "hook": hook})


def log(folder: Path, *lines: str) -> Path:
    path = folder / "apply.log"
    path.write_text("\n".join(lines) + "\n")
    return path


def state(**ids: str) -> dict[str, object]:
    entries = [
        {"mode": "managed", "type": "aws_vpc", "name": name, "instances": [{"attributes": {"id": value}}]}
        for name, value in ids.items()
    ]
    return {"resources": entries}


def test_what_was_created_and_is_in_no_state_is_lost(tmp_path: Path) -> None:
    path = log(
        tmp_path,
        line("apply_start", "aws_vpc.kept", "create"),
        line("apply_complete", "aws_vpc.kept", "create", id_key="id", id_value="vpc-1"),
        line("apply_complete", "aws_vpc.lost", "create", id_key="id", id_value="vpc-2"),
    )
    assert lost_resources("web", path, state(kept="vpc-1")) == [Lost("web", "aws_vpc.lost", "aws_vpc", "id", "vpc-2")]


def test_a_new_one_in_the_place_of_one_that_was_deleted_is_lost(tmp_path: Path) -> None:
    path = log(
        tmp_path,
        line("apply_start", "aws_vpc.it", "delete", id_key="id", id_value="vpc-old"),
        line("apply_complete", "aws_vpc.it", "delete"),
        line("apply_complete", "aws_vpc.it", "create", id_key="id", id_value="vpc-new"),
    )
    (lost,) = lost_resources("web", path, state(it="vpc-old"))
    assert (lost.id, lost.in_state, lost.gone) == ("vpc-new", "vpc-old", True)


def test_a_new_one_beside_an_old_one_that_still_is_there_is_told_apart(tmp_path: Path) -> None:
    path = log(tmp_path, line("apply_complete", "aws_vpc.it", "create", id_key="id", id_value="vpc-new"))
    (lost,) = lost_resources("web", path, state(it="vpc-old"))
    assert (lost.in_state, lost.gone) == ("vpc-old", False)


def test_what_is_nothing_but_its_state_is_never_lost(tmp_path: Path) -> None:
    path = log(tmp_path, line("apply_complete", "terraform_data.it", "create", id_key="id", id_value="1"))
    assert lost_resources("web", path, {}) == []


def test_a_creation_that_was_not_seen_to_end_is_told_with_what_to_look_for(tmp_path: Path) -> None:
    path = log(
        tmp_path,
        line("apply_start", "aws_vpc.it", "create"),
        line("apply_start", "aws_vpc.there", "create"),
        line("apply_start", "aws_vpc.changed", "update"),
    )
    after = {"name": "blue", "cidr_block": "10.0.0.0/16", "tags": {"Owner": "ada"}, "password": "x"}
    change = {"address": "aws_vpc.it", "change": {"actions": ["create"], "after": after, "after_sensitive": {}}}
    plan = PlanDocument({"resource_changes": [change]})
    found = in_flight("web", path, read_messages(path), state(there="vpc-1"), plan, Redactor())
    signs = {"name": "blue", "cidr_block": "10.0.0.0/16", "tags": "Owner=ada"}
    assert found == [InFlight("web", "aws_vpc.it", "aws_vpc", "2026-01-02T03:04:05Z", signs)]


def test_what_is_sensitive_is_no_sign(tmp_path: Path) -> None:
    path = log(tmp_path, line("apply_start", "aws_vpc.it", "create"))
    after = {"name": "hidden", "tags": {"Token": "ghp_0123456789012345678901234567890123456789"}}
    sensitive = {"name": True}
    change = {"address": "aws_vpc.it", "change": {"actions": ["create"], "after": after, "after_sensitive": sensitive}}
    (found,) = in_flight("web", path, read_messages(path), {}, PlanDocument({"resource_changes": [change]}), Redactor())
    assert found.signs == {"tags": "Token=(sensitive)"}


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00\xff",
        b"{",
        b'{"hook": 3}',
        b'{"hook": {"resource": null}, "type": "apply_start"}',
        b'{"hook": {"resource": true}, "type": "apply_complete"}',
    ],
)
def test_a_log_of_anything_else_says_nothing(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "apply.log"
    path.write_bytes(garbage + b"\n")
    assert lost_resources("web", path, {}) == []
