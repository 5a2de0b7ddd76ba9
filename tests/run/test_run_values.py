"""How values of upstream units are handed on."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from infra_orch.run.changes import PlanDocument
from infra_orch.run.outcome import Basis
from infra_orch.run.values import UNKNOWN, Output, contains_unknown, json_text, same_values, upstream_values

if TYPE_CHECKING:
    from conftest import Desk


def known(value: object, *, sensitive: bool = False, promised: bool = False) -> Output:
    return Output(value, sensitive, None, promised)


def test_a_sensitive_value_is_in_no_file_also_where_a_part_of_it_is_unknown() -> None:
    value = {"user": "hunter22", "list": ["hunter23", UNKNOWN], "id": UNKNOWN}
    given = upstream_values({"db": ("login",)}, {"db": {"login": known(value, sensitive=True)}})
    assert "hunter" not in given.text
    assert "sensitive(" in given.text
    assert json.loads(next(iter(given.variables.values())))["user"] == "hunter22"
    assert (given.basis, given.unknown) == (Basis.UNKNOWN, ("db.login",))


def test_sensitive_values_of_names_that_run_together_are_kept_apart() -> None:
    needs = {"a": ("b_c",), "a_b": ("c",)}
    outputs = {"a": {"b_c": known("one", sensitive=True)}, "a_b": {"c": known("two", sensitive=True)}}
    assert sorted(upstream_values(needs, outputs).variables.values()) == ['"one"', '"two"']


def test_a_value_longer_than_a_variable_can_be_is_handed_on_in_parts() -> None:
    given = upstream_values({"a": ("b",)}, {"a": {"b": known("ü" * 200_000, sensitive=True)}})
    assert all(len(value.encode()) < 128 * 1024 for value in given.variables.values())
    assert json.loads("".join(json.loads(value) for value in given.variables.values())) == "ü" * 200_000


@pytest.mark.parametrize(
    ("output", "basis"),
    [
        (known(1), Basis.EXACT),
        (known(1, promised=True), Basis.PLANNED),
        (known([UNKNOWN], promised=True), Basis.UNKNOWN),
    ],
)
def test_the_basis_of_a_plan(output: Output, basis: Basis) -> None:
    assert upstream_values({"a": ("b",)}, {"a": {"b": output}}).basis is basis


def test_an_output_that_nobody_has_heard_of_is_unknown() -> None:
    assert upstream_values({"a": ("b",)}, {}).unknown == ("a.b",)


def test_a_promise_is_kept_by_the_same_value_and_the_same_secrecy() -> None:
    promise = {"x": known({"n": Decimal("1.0")}), "y": known("s", sensitive=True)}
    assert same_values(promise, {"x": known({"n": 1}), "y": known("s", sensitive=True)}, ("x", "y"))
    assert not same_values(promise, {"x": known({"n": 2})}, ("x",))
    assert not same_values(promise, {"y": known("s")}, ("y",))
    assert not same_values({"z": known(UNKNOWN)}, {"z": known(1)}, ("z",))


def test_json_keeps_all_digits() -> None:
    assert json_text({"n": Decimal("12345678901234567890.123456789"), "u": UNKNOWN, "t": [True, None]}) == (
        '{"n": 12345678901234567890.123456789, "u": null, "t": [true, null]}'
    )


def test_a_number_that_a_plan_has_rounded_is_not_taken_for_known() -> None:
    def change(value: object) -> dict[str, object]:
        return {
            "actions": ["create"],
            "before": None,
            "after": value,
            "after_unknown": False,
            "before_sensitive": False,
            "after_sensitive": False,
        }

    changes = {"big": change(2**60), "third": change([Decimal("0.3333333333333333")]), "half": change(Decimal("0.5"))}
    outputs = PlanDocument({"format_version": "1.2", "output_changes": changes}).outputs(destroy=False)
    assert {name: contains_unknown(output.value) for name, output in outputs.items()} == {
        "big": True,
        "third": True,
        "half": False,
    }


def test_an_output_that_is_null_is_known_once_it_is_applied(desk: Desk) -> None:
    desk.write(
        {
            "modules/up/main.tf": """
            resource "terraform_data" "it" {}

            output "nothing" {
              value = terraform_data.it.id == "" ? "something" : null
            }

            output "id" {
              value = terraform_data.it.id
            }
            """,
            "modules/down/main.tf": """
            variable "text" {
              type = string
            }

            resource "terraform_data" "it" {
              input = var.text == null ? "null" : var.text
            }
            """,
            "stacks/dev/stack.py": """
            from infra_orch import Stack

            stack = Stack("dev")
            up = stack.unit("up", module="up")
            stack.unit("down", module="down", inputs={"text": up.outputs.nothing})
            """,
        }
    )
    result = desk.run("apply", "dev", "--auto-approve")
    assert result.code == 0, result.out
    assert '"null"' in (desk.root / "stacks/dev/state/down.tfstate").read_text()
