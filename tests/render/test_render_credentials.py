"""Whose credentials a unit works with is in stack.json, names alone, and is checked again when it is read."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from jsonschema import Draft202012Validator

from infra_orch.errors import UserError
from infra_orch.project import find_project
from infra_orch.render.index import from_json, to_json
from infra_orch.spec.credentials import Identities, ProfileIdentity

ROLE = "arn:aws:iam::123456789012:role/deploy"
SPEC = f"""
    from infra_orch import Credentials, Stack

    deploy = Credentials.role(
        "{ROLE}", session_name="ci", external_id="acme:1", duration=3600, source_identity="ada",
        source=Credentials.web_identity("{ROLE}", token_file="/run/token", duration=900),
    )
    stack = Stack("dev", credentials=Credentials(plan=Credentials.profile("read"), apply=deploy))
    stack.unit("by_default", module="bare")
    stack.unit("own", module="bare", credentials=Credentials.command(["vault", "aws"]))
    stack.unit("none", module="bare", credentials=Credentials.environment())
"""


@pytest.fixture
def index(everything, render):
    """A rendered stack with credentials of every kind."""
    everything.write({"stacks/dev/stack.py": SPEC})
    return render(everything, "dev").stack


def test_a_unit_has_its_own_or_those_of_the_stack(index) -> None:
    units = json.loads(to_json(index))["units"]
    assert units["by_default"]["credentials"] == {
        "plan": {"profile": "read"},
        "apply": {
            "role": ROLE,
            "session_name": "ci",
            "external_id": "acme:1",
            "duration": 3600,
            "source_identity": "ada",
            "source": {"web_identity": ROLE, "token_file": "/run/token", "duration": 900},
        },
    }
    assert units["own"]["credentials"] == {key: {"command": ["vault", "aws"]} for key in ("plan", "apply")}
    assert units["none"]["credentials"] == {"plan": None, "apply": None}
    assert index.credentials.plan == ProfileIdentity("read")


def is_as_published(text: str) -> bool:
    schema = json.loads((files("infra_orch") / "schemas/stack-1.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema).is_valid(json.loads(text))


def test_the_published_schema_knows_them(index) -> None:
    assert is_as_published(to_json(index))


def test_they_are_read_back_as_they_were_written(index) -> None:
    assert from_json(to_json(index), index.folder) == index


def test_a_stack_without_them_is_written_as_before(everything, render) -> None:
    text = to_json(render(everything, "prod").stack)
    assert "credentials" not in text
    assert from_json(text, find_project(everything.root).stack("prod")).credentials is None


@pytest.mark.parametrize(
    "tampered",
    [
        "prod",
        {"plan": None},
        {"plan": None, "apply": {"command": []}},
        {"plan": None, "apply": {"command": "rm -rf /"}},
        {"plan": None, "apply": {"command": [1]}},
        {"plan": None, "apply": {"role": "x"}},
        {"plan": None, "apply": {"role": ROLE, "duration": 60}},
        {"plan": None, "apply": {"role": ROLE, "duration": "3600"}},
        {"plan": None, "apply": {"role": ROLE, "source": {"role": "x"}}},
        {"plan": None, "apply": {"web_identity": ROLE, "token_file": "../token"}},
        {"plan": {"profile": ["x"]}, "apply": None},
        {"plan": {}, "apply": None},
    ],
)
def test_what_was_tampered_with_is_refused(index, tampered: object) -> None:
    document = json.loads(to_json(index))
    document["units"]["own"]["credentials"] = tampered
    with pytest.raises(UserError, match="is not a rendered stack"):
        from_json(json.dumps(document), index.folder)
    assert not is_as_published(json.dumps(document))


def test_environment_is_not_the_same_as_nothing_said(index) -> None:
    assert index.units["none"].credentials == Identities(None, None)
