"""What a person is shown of two values that differ."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra_orch.redact import Redactor
from infra_orch.run.differences import Side, differences


def shown(old: Any, new: Any, *, sensitive: Any = None, unknown: Any = None) -> list[str]:
    redactor = Redactor()
    return [
        f"{'.'.join(map(str, path))}: {before.text(str(path[-1]), redactor)} → {after.text(str(path[-1]), redactor)}"
        for path, before, after in differences(Side(old, sensitive), Side(new, sensitive, unknown))
    ]


def test_what_is_equal_is_not_shown() -> None:
    assert shown({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}) == []


@pytest.mark.parametrize("unmarked", [{}, {"a": []}, {"a": [False, False]}, {"a": [{}, {"b": False}]}])
def test_what_is_equal_is_not_shown_however_terraform_says_that_all_of_it_is_known(unmarked: Any) -> None:
    assert shown({"a": ["x", "y"]}, {"a": ["x", "y"]}, unknown=unmarked) == []


def test_only_the_part_that_changes_is_shown() -> None:
    assert shown({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}) == ["a.c: 2 → 3"]


def test_a_number_is_shown_as_one() -> None:
    from decimal import Decimal

    assert shown({"a": Decimal("1.50")}, {"a": 2}) == ["a: 1.50 → 2"]


def test_a_list_of_plain_values_is_one_change() -> None:
    assert shown({"a": ["x"]}, {"a": ["x", "y"]}) == ['a: ["x"] → ["x", "y"]']


def test_a_list_shows_which_of_its_values_are_unknown() -> None:
    assert shown({}, {"a": ["x", None]}, unknown={"a": [False, True]}) == ['a: null → ["x", (known after apply)]']


def test_a_long_list_shows_what_changes_in_it() -> None:
    names = [f"subnet-{number:08}" for number in range(20)]
    assert shown({"a": names}, {"a": [*names[1:], "new"]}) == [
        'a: [… 19 as before, "subnet-00000000"] → [… 19 as before, "new"]'
    ]


def test_a_block_put_in_front_of_others_is_the_only_one_shown() -> None:
    rules = [{"port": 80, "text": None}, {"port": 443, "text": None}]
    assert shown({"rule": rules}, {"rule": [{"port": 22, "text": None}, *rules]}) == ["rule.0: null → {port = 22}"]


def test_a_block_that_changes_is_shown_by_what_changes_in_it() -> None:
    before = {"rule": [{"port": 80, "name": "a"}, {"port": 443, "name": "b"}]}
    after = {"rule": [{"port": 80, "name": "a"}, {"port": 444, "name": "b"}]}
    assert shown(before, after) == ["rule.1.port: 443 → 444"]


def test_a_policy_in_json_is_compared_by_its_parts() -> None:
    def policy(action: str) -> str:
        return json.dumps({"Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", action]}]})

    assert shown({"policy": policy("s3:Put")}, {"policy": policy("s3:List")}) == [
        'policy.Statement.0.Action: ["s3:GetObject", "s3:Put"] → ["s3:GetObject", "s3:List"]'
    ]


def test_of_a_text_the_lines_that_change_are_shown() -> None:
    before = {"user_data": "#!/bin/sh\necho one\necho two\n"}
    after = {"user_data": "#!/bin/sh\necho zero\necho one\necho 2\n"}
    assert shown(before, after) == [
        'user_data.line 2: null → "echo zero"',
        'user_data.line 4: "echo two" → "echo 2"',
    ]


def test_what_is_sensitive_is_masked_and_its_change_is_shown() -> None:
    assert shown({"a": "one", "b": "x"}, {"a": "two", "b": "x"}, sensitive={"a": True}) == [
        "a: (sensitive) → (sensitive)"
    ]


def test_what_is_sensitive_within_a_list_is_masked() -> None:
    assert shown({"a": ["p", "q"]}, {"a": ["p", "r"]}, sensitive={"a": [False, True]}) == [
        'a: ["p", (sensitive)] → ["p", (sensitive)]'
    ]


def test_what_is_called_a_secret_is_masked_and_a_switch_is_not() -> None:
    assert shown({}, {"password": "hunter2", "manage_master_password": True}) == [
        "manage_master_password: null → true",
        "password: null → (sensitive)",
    ]


def test_a_secret_within_json_is_masked() -> None:
    assert shown({}, {"config": json.dumps({"db": {"host": "h", "password": "hunter2"}})}) == [
        'config.db.host: null → "h"',
        "config.db.password: null → (sensitive)",
    ]


def test_a_very_long_value_is_cut_and_says_how_long_it_is() -> None:
    (line,) = shown({}, {"a": "x" * 5000})
    assert "… (5002 characters, SHA-256 " in line
    (other,) = shown({}, {"a": "x" * 4999 + "y"})
    assert other != line
    assert len(line) < 500


def test_what_is_taken_away_is_shown_whole() -> None:
    assert shown({"tags": {"a": "1"}, "rule": [{"port": 1}]}, {"tags": None, "rule": []}) == [
        "rule.0: {port = 1} → null",
        'tags: {a = "1"} → null',
    ]
