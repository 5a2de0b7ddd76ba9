"""Whether a plan goes beyond its preview."""

from __future__ import annotations

from typing import Any

import pytest

from infra_orch.run.changes import PlanDocument
from infra_orch.run.compare import beyond_preview


def plan(*changes: dict[str, Any]) -> PlanDocument:
    return PlanDocument({"format_version": "1.2", "resource_changes": list(changes)})


def change(
    actions: list[str], after: Any = None, unknown: Any = None, *, address: str = "x.y", **more: Any
) -> dict[str, Any]:
    """A resource change as `terraform show -json` has it."""
    outer = {key: value for key, value in more.items() if key in ("previous_address", "deposed")}
    inner = {key: value for key, value in more.items() if key not in outer}
    return {
        "address": address,
        "type": "x",
        **outer,
        "change": {"actions": actions, "before": None, "after": after, "after_unknown": unknown or {}, **inner},
    }


CREATE, UPDATE, DELETE, REPLACE = ["create"], ["update"], ["delete"], ["delete", "create"]

WITHIN = {
    "the same": (change(CREATE, {"a": 1}), change(CREATE, {"a": 1})),
    "an unknown value that is known now": (change(CREATE, {}, {"a": True}), change(CREATE, {"a": 7})),
    "an unknown block that is known now": (change(CREATE, {}, {"a": True}), change(CREATE, {"a": {"b": [1]}})),
    "an unknown part of a block": (
        change(CREATE, {"a": {"b": 1}}, {"a": {"c": True}}),
        change(CREATE, {"a": {"b": 1, "c": 2}}),
    ),
    "a block of which all was unknown": (change(CREATE, {}, {"a": {"c": True}}), change(CREATE, {"a": {"c": 2}})),
    "a list with unknown parts": (
        change(CREATE, {"a": ["x", None]}, {"a": [False, True]}),
        change(CREATE, {"a": ["x", "y"]}),
    ),
    "a set whose order comes with its values": (
        change(CREATE, {"a": ["m", None]}, {"a": [False, True]}),
        change(CREATE, {"a": ["b", "m"]}),
    ),
    "a set whose unknown part is one that it has": (
        change(CREATE, {"a": ["m", None]}, {"a": [False, True]}),
        change(CREATE, {"a": ["m"]}),
    ),
    "still unknown": (change(CREATE, {}, {"a": True}), change(CREATE, {}, {"a": True})),
    "less than was shown": (change(CREATE, {"a": 1}), change(["no-op"], {"a": 1})),
    "an update of what was to be replaced": (
        change(REPLACE, {"a": 2}, {"id": True}),
        change(UPDATE, {"a": 2, "id": "i"}),
    ),
    "a read": (change(CREATE, {}), change(["read"], {}, {"a": True}, address="data.x.y")),
    "a move that was shown": (
        change(["no-op"], {}, previous_address="x.z"),
        change(["no-op"], {}, previous_address="x.z"),
    ),
}
BEYOND = {
    "another value": (change(CREATE, {"a": 1}), change(CREATE, {"a": 2})),
    "another value deep inside": (change(CREATE, {"a": {"b": [1, 2]}}), change(CREATE, {"a": {"b": [1, 3]}})),
    "a value that was null": (change(CREATE, {"a": None}), change(CREATE, {"a": 2})),
    "an attribute that was not there": (change(CREATE, {}), change(CREATE, {"a": 2})),
    "a longer list": (change(CREATE, {"a": [1]}), change(CREATE, {"a": [1, 2]})),
    "a longer list with unknown parts": (
        change(CREATE, {"a": [None]}, {"a": [True]}),
        change(CREATE, {"a": ["x", "y"]}),
    ),
    "a known part of a list that is gone": (
        change(CREATE, {"a": ["x", None]}, {"a": [False, True]}),
        change(CREATE, {"a": ["y", "z"]}),
    ),
    "unknown, where a value was shown": (change(CREATE, {"a": 1}), change(CREATE, {}, {"a": True})),
    "an address that was not shown": (change(CREATE), change(CREATE, address="x.other")),
    "another action": (change(UPDATE, {"a": 1}), change(REPLACE, {"a": 1})),
    "a delete of what was to be updated": (change(UPDATE, {"a": 1}), change(DELETE)),
    "a delete of what was to be replaced": (change(REPLACE, {"a": 1}), change(DELETE)),
    "another value in an update of what was to be replaced": (change(REPLACE, {"a": 1}), change(UPDATE, {"a": 2})),
    "a delete of another object at the address": (change(CREATE), change(DELETE, deposed="abcd1234")),
    "a move": (change(UPDATE, {}), change(UPDATE, {}, previous_address="x.z")),
    "a move alone": (change(CREATE), change(["no-op"], {}, address="x.new", previous_address="x.z")),
    "another import": (
        change(["no-op"], {}, importing={"id": "i-1"}),
        change(["no-op"], {}, importing={"id": "i-2"}),
    ),
}


@pytest.mark.parametrize("name", WITHIN)
def test_within_the_preview(name: str) -> None:
    shown, now = WITHIN[name]
    assert beyond_preview(plan(shown), plan(now)) == []


@pytest.mark.parametrize("name", BEYOND)
def test_beyond_the_preview(name: str) -> None:
    shown, now = BEYOND[name]
    (line,) = beyond_preview(plan(shown), plan(now))
    assert line.startswith(now["address"])


def test_the_helper_for_unknown_values_is_never_missed() -> None:
    helper = change(CREATE, {}, address="terraform_data.infra_orch_unknown")
    assert beyond_preview(plan(helper), plan()) == []
