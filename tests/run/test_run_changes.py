"""What a plan in JSON says of resources."""

from __future__ import annotations

from typing import Any

import pytest

from infra_orch.redact import Redactor
from infra_orch.run.changes import PlanDocument


def drifted(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str]]:
    change = {"actions": ["update"], "before": before, "after": after}
    document = {"resource_drift": [{"address": "t.it", "type": "t", "change": change}]}
    found = PlanDocument(document).drifted(Redactor())
    return [(one.path, one.before, one.after) for resource in found for one in resource.attributes]


@pytest.mark.parametrize("empty", [{}, []])
def test_what_a_provider_reads_back_as_empty_where_it_was_given_nothing_is_no_drift(empty: Any) -> None:
    assert drifted({"tags": None}, {"tags": empty}) == []
    assert drifted({"rule": [{"port": 1, "tags": None}]}, {"rule": [{"port": 1, "tags": empty}]}) == []
    seen = drifted({"size": 1, "tags": None}, {"size": 2, "tags": empty})
    assert seen == [("size", "1", "2")], "and none beside one"


def test_what_was_taken_away_or_emptied_by_hand_is_drift() -> None:
    assert drifted({"tags": {"Owner": "ada"}}, {"tags": {}}) == [("tags", '{Owner = "ada"}', "{}")]
    assert drifted({"names": ["a"]}, {"names": []}) == [("names", '["a"]', "[]")]
    assert drifted({"text": "null"}, {"text": None}) == [("text", '"null"', "null")]
    assert drifted({"text": "a"}, {"text": ""}) == [("text", '"a"', '""')]
