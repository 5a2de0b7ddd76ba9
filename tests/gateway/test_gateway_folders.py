"""What a unit can name, and which calls are about its own folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
import pytest

from infra_orch.gateway.keep import names_of
from infra_orch.gateway.nearby import Surroundings


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    folder = tmp_path / "work" / "web"
    folder.mkdir(parents=True)
    (folder / "main.tf").touch()
    (folder / "key.pem").touch()
    return Surroundings(folder)


@pytest.mark.parametrize(
    "value", [".", "./other.zip", "key.pem", "file(./a)", "../web/secret", {"deep": [{"source": "modules/../key.pem"}]}]
)
def test_a_call_that_may_be_about_a_file_of_the_units_own_is_noticed(surroundings: Surroundings, value: object) -> None:
    assert surroundings.mentioned(msgpack.packb({"source": value}))


@pytest.mark.parametrize(
    "value", ["../shared/key", "/etc/ssl/cert", "eu-west-1", "10.0.0.0/16", "a sentence. It ends."]
)
def test_a_call_about_anything_else_is_not_taken_for_one(surroundings: Surroundings, value: str) -> None:
    assert not surroundings.mentioned(msgpack.packb({"source": value}))


def test_a_file_that_is_made_later_is_noticed_too(surroundings: Surroundings, tmp_path: Path) -> None:
    request = msgpack.packb({"source": "lambda.zip"})
    before = surroundings.mentioned(request)
    (tmp_path / "work/web/lambda.zip").touch()
    assert (before, surroundings.mentioned(request)) == (False, True)


def write(folder: Path, **files: str | dict[str, Any]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))


STATE = {"version": 4, "resources": [{"mode": "managed", "type": "rough_orphan", "name": "x"}]}


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"main.tf": 'resource "rough_bed" "it" {}'}, "rough_bed"),
        ({"main.tf.json": '{"data": {"rough_road": {}}}'}, "rough_road"),
        ({"main.tofu": "locals { a = provider::rough::measure(1) }"}, "measure"),
        ({"terraform.tfstate": json.dumps(STATE)}, "rough_orphan"),
        (
            {
                ".terraform/modules/modules.json": json.dumps(
                    {"Modules": [{"Key": "", "Source": "", "Dir": "."}, {"Key": "m", "Source": "../m", "Dir": "../m"}]}
                ),
                "../m/main.tf": 'resource "rough_inner" "it" {}',
            },
            "rough_inner",
        ),
        (
            {
                ".terraform/terraform.tfstate": json.dumps({"backend": {"type": "local", "config": {"path": "../s"}}}),
                "../s": json.dumps(STATE),
            },
            "rough_orphan",
        ),
        ({"tfplan.json": json.dumps({"resource_changes": [{"type": "rough_gone"}]}, indent=1)}, "rough_gone"),
    ],
    ids=["tf", "tf.json", "tofu", "local state", "modules", "state elsewhere", "plan"],
)
def test_whatever_a_unit_can_name_is_found(tmp_path: Path, files: dict[str, str], named: str) -> None:
    (tmp_path / "unit").mkdir()
    write(tmp_path / "unit", **files)
    assert named.encode() in names_of(tmp_path / "unit", "tfplan")


def test_a_change_of_the_configuration_is_seen(tmp_path: Path) -> None:
    found = []
    for name in ("rough_bed", "rough_hedge"):
        write(tmp_path, **{"main.tf": f'resource "{name}" "it" {{}}'})
        found.append({b"rough_bed", b"rough_hedge"} & names_of(tmp_path, None))
    assert found == [{b"rough_bed"}, {b"rough_hedge"}]


def test_what_lies_beside_the_unit_is_not_looked_at(tmp_path: Path) -> None:
    write(tmp_path, **{"other/main.tf": 'resource "rough_bed" "it" {}', "unit/notes.md": "rough_road"})
    assert names_of(tmp_path / "unit", None) == frozenset()


@pytest.mark.parametrize("listing", ["{", "[]", '{"Modules": [{}]}'])
def test_where_it_cannot_be_told_what_a_unit_names_that_is_said(tmp_path: Path, listing: str) -> None:
    write(tmp_path, **{".terraform/modules/modules.json": listing})
    with pytest.raises((OSError, ValueError)):
        names_of(tmp_path, None)
