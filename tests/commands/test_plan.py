"""`plan`: what is known across units is real, what is not is unknown, and everything is said."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Desk, Result

KINDS = {
    "string": '"plain ${"$"}{no} %%{no} \\"q\\" \\\\ é ☃ 𝄞 end"',
    "number": "12345678901234567890.123456789",
    "third": "1/3",
    "truth": "true",
    "nothing": "null",
    "set": 'toset(["b", "a"])',
    "map": 'tomap({ "a b" = 1, c = 2 })',
    "object": '{ name = "n", ports = toset([80, 443]), none = null }',
    "tuple": '[1, "two", [true], toset(["x"])]',
    "nested": 'tolist([{ tags = tomap({ a = "b" }) }])',
    "empty_list": "tolist([])",
    "empty_map": "{}",
    "huge": 'join("", [for n in range(200) : format("%0200d", n)])',
    "lines": '"a\\nb\\tc\\r\\nEOT\\n"',
}
"""Expressions of Terraform, whose values go from one unit to the next."""


def module_up(kinds: dict[str, str], *, sensitive: bool) -> str:
    """A module whose outputs are *kinds*, each known while it is planned."""
    mark = "  sensitive = true\n" if sensitive else ""
    return "\n".join(f'output "{name}" {{\n  value = {text}\n{mark}}}\n' for name, text in kinds.items())


def module_down(kinds: dict[str, str], *, sensitive: bool) -> str:
    """A module that passes its inputs on, whatever their types, by way of a resource and as they are."""
    mark = "  sensitive = true\n" if sensitive else ""
    return "\n".join(
        f'variable "{name}" {{\n  type = any\n}}\n'
        f'resource "terraform_data" "{name}" {{\n  input = var.{name}\n}}\n'
        f'output "{name}" {{\n  value = var.{name}\n{mark}}}\n'
        for name in kinds
    )


def oracle(folder: Path, modules: Path, kinds: dict[str, str], *, sensitive: bool) -> dict[str, Any]:
    """The outputs of the lower module, in the state of one big root module that calls both."""
    folder.mkdir()
    inputs = "\n".join(f"  {name} = module.up.{name}" for name in kinds)
    mark = "  sensitive = true\n" if sensitive else ""
    outputs = "\n".join(f'output "{name}" {{\n  value = module.down.{name}\n{mark}}}' for name in kinds)
    (folder / "main.tf").write_text(
        f'module "up" {{\n  source = "{os.path.relpath(modules / "up", folder)}"\n}}\n'
        f'module "down" {{\n  source = "{os.path.relpath(modules / "down", folder)}"\n{inputs}\n}}\n{outputs}\n'
    )
    for argv in (["init"], ["apply", "-auto-approve"]):
        subprocess.run(["terraform", *argv, "-no-color"], cwd=folder, check=True, capture_output=True)
    return outputs_in(folder / "terraform.tfstate")


def outputs_in(state: Path) -> dict[str, Any]:
    return dict(json.loads(state.read_text())["outputs"])


@pytest.fixture(params=[False, True], ids=["plain", "sensitive"])
def wired(desk: Desk, request: pytest.FixtureRequest) -> bool:
    """Every kind of value on its way from one unit to another."""
    sensitive = bool(request.param)
    inputs = ", ".join(f'"{name}": up.outputs.{name}' for name in KINDS)
    desk.write(
        {
            "modules/up/main.tf": module_up(KINDS, sensitive=sensitive),
            "modules/down/main.tf": module_down(KINDS, sensitive=sensitive),
            "stacks/dev/stack.py": f"""
            from infra_orch import Stack

            stack = Stack("dev")
            up = stack.unit("up", module="up")
            stack.unit("down", module="down", inputs={{{inputs}}})
            """,
        }
    )
    return sensitive


def test_values_and_their_types_are_those_of_one_big_root_module(desk: Desk, wired: bool) -> None:
    expected = oracle(desk.root / "oracle", desk.root / "modules", KINDS, sensitive=wired)
    applied = desk.run("apply", "dev", "--auto-approve")
    assert applied.code == 0, applied.out + applied.err
    assert outputs_in(desk.root / "stacks/dev/state/down.tfstate") == expected
    again = desk.run("plan", "dev", "--detailed-exitcode")
    assert (again.code, "No changes" in again.out) == (0, True), again.out


SECRET = "correct-horse-battery"
HALF_SECRET = "staple-42-staple"
NET = f"""
    resource "terraform_data" "net" {{
      count = 2
      input = count.index
    }}

    output "id" {{
      value = terraform_data.net[0].id
    }}

    output "name" {{
      value = "core"
    }}

    output "ids" {{
      value = [terraform_data.net[0].id, "fixed", terraform_data.net[1].id]
    }}

    output "mixed" {{
      value = {{ name = "core", id = terraform_data.net[0].id, deep = {{ list = ["x", terraform_data.net[1].id] }} }}
    }}

    output "password" {{
      value     = "{SECRET}"
      sensitive = true
    }}

    output "login" {{
      value     = {{ user = "{HALF_SECRET}", id = terraform_data.net[0].id }}
      sensitive = true
    }}
    """
PASS_ON = """
    variable "value" {
      type = any
    }

    resource "terraform_data" "it" {
      input = var.value
    }

    output "value" {
      value = var.value
    }
    """
PASS_ON_SENSITIVE = PASS_ON.replace(
    "value = var.value\n    }\n    ", "value     = var.value\n      sensitive = true\n    }\n    "
)
FOR_EACH = """
    variable "keys" {
      type = list(string)
    }

    resource "terraform_data" "it" {
      for_each = toset(var.keys)
    }

    output "count" {
      value = length(terraform_data.it)
    }
    """
COUNT = """
    variable "keys" {
      type = list(string)
    }

    resource "terraform_data" "it" {
      count = length(var.keys)
      input = var.keys[count.index]
    }
    """
BROKEN = """
    resource "terraform_data" "it" {
      lifecycle {
        precondition {
          condition     = 1 > 2
          error_message = "one is not more than two"
        }
      }
    }

    output "value" {
      value = "v"
    }
    """
MANY = """
    from infra_orch import Stack

    stack = Stack("dev")
    net = stack.unit("net", module="net")
    stack.unit("web", module="pass_on", inputs={"value": {
        "id": net.outputs.id, "name": f"{net.outputs.name}-web", "ids": net.outputs.ids, "mixed": net.outputs.mixed,
    }})
    stack.unit("vault", module="pass_on_sensitive", inputs={"value": {
        "password": net.outputs.password, "login": net.outputs.login,
    }})
    named = stack.unit("named", module="pass_on", inputs={"value": net.outputs.name})
    keyed = stack.unit("keyed", module="for_each", inputs={"keys": net.outputs.ids})
    below = stack.unit("below", module="pass_on", inputs={"value": [keyed.outputs.count, named.outputs.value]})
    stack.unit("counted", module="count", inputs={"keys": net.outputs.ids})
    broken = stack.unit("broken", module="broken")
    second = stack.unit("second", module="pass_on", inputs={"value": broken.outputs.value})
    third = stack.unit("third", module="pass_on", inputs={"value": [second.outputs.value, net.outputs.name]})
    """


@pytest.fixture(scope="module")
def many(lasting_desk: Desk) -> Desk:
    """A stack of which nothing exists yet, with every kind of unit in it."""
    return lasting_desk.write(
        {
            "modules/net/main.tf": NET,
            "modules/pass_on/main.tf": PASS_ON,
            "modules/pass_on_sensitive/main.tf": PASS_ON_SENSITIVE,
            "modules/for_each/main.tf": FOR_EACH,
            "modules/count/main.tf": COUNT,
            "modules/broken/main.tf": BROKEN,
            "stacks/dev/stack.py": MANY,
        }
    )


@pytest.fixture(scope="module")
def planned(many: Desk) -> Result:
    """Its plan, as a person sees it."""
    return many.run("plan", "dev")


@pytest.fixture(scope="module")
def document(many: Desk, planned: Result) -> dict[str, Any]:
    """Its plan, as a program sees it."""
    return dict(json.loads(many.run("plan", "dev", "--json").out))


def shown(text: str, unit: str) -> list[str]:
    """The lines that a plan has for a unit."""
    lines = text.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(f"{unit}:"))
    return lines[begin : lines.index("", begin)]


def test_every_unit_is_accounted_for(document: dict[str, Any]) -> None:
    assert {name: unit["status"] for name, unit in document["units"].items()} == {
        "net": "planned",
        "web": "planned",
        "vault": "planned",
        "named": "planned",
        "keyed": "deferred",
        "below": "planned",
        "counted": "planned",
        "broken": "failed",
        "second": "blocked",
        "third": "blocked",
    }


def test_a_failed_unit_fails_the_plan_and_not_the_others(planned: Result) -> None:
    assert planned.code == 1


def test_what_is_blocked_names_the_root_of_it(document: dict[str, Any]) -> None:
    assert {document["units"][name]["error"]["summary"] for name in ("second", "third")} == {"broken failed"}


def test_a_deferred_unit_names_the_output_that_it_waits_for(document: dict[str, Any]) -> None:
    keyed = document["units"]["keyed"]
    assert (keyed["error"]["summary"], keyed["unknown_inputs"]) == ("waits for net.ids", ["net.ids"])


def test_the_basis_says_what_a_plan_rests_on(document: dict[str, Any]) -> None:
    basis = {name: unit["basis"] for name, unit in document["units"].items() if unit["status"] == "planned"}
    assert basis == {
        "net": "exact",
        "named": "planned",
        "web": "unknown",
        "vault": "unknown",
        "below": "unknown",
        "counted": "unknown",
    }


def test_what_is_unknown_is_named(document: dict[str, Any]) -> None:
    unknown = {name: unit["unknown_inputs"] for name, unit in document["units"].items()}
    assert unknown["web"] == ["net.id", "net.ids", "net.mixed"]
    assert unknown["below"] == ["keyed.count"]
    assert unknown["named"] == []


def test_known_parts_of_a_value_are_shown_beside_unknown_ones(planned: Result) -> None:
    web = "\n".join(shown(planned.out, "web"))
    for known in ('"core-web"', '"fixed"', '"core"', '"x"'):
        assert known in web
    assert "(known after apply)" in web


def test_a_list_with_unknown_parts_has_its_length(document: dict[str, Any]) -> None:
    assert document["units"]["counted"]["changes"]["create"] == 3


def test_the_helper_behind_unknown_values_is_never_seen(planned: Result, document: dict[str, Any]) -> None:
    assert "infra_orch_unknown" not in planned.out + planned.err + json.dumps(document)
    assert document["units"]["web"]["changes"]["create"] == 1


def test_sensitive_values_stay_sensitive_on_their_way(planned: Result, document: dict[str, Any]) -> None:
    assert "(sensitive)" in "\n".join(shown(planned.out, "vault"))
    for secret in (SECRET, HALF_SECRET):
        assert secret not in planned.out + planned.err + json.dumps(document)


def test_no_sensitive_value_is_left_on_disk(many: Desk, document: dict[str, Any]) -> None:
    assert document["run_id"]
    for path in files_below(many.root):
        text = path.read_bytes()
        if path.is_relative_to(many.root / "modules"):
            continue
        assert SECRET.encode() not in text, path
        assert HALF_SECRET.encode() not in text, path


def files_below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def test_the_full_text_is_terraforms_own(many: Desk, planned: Result) -> None:
    assert planned.code == 1
    full = many.run("plan", "dev", "--full", "--unit", "web", "--with-upstream")
    assert "# module.web.terraform_data.it will be created" in full.out
    assert "infra_orch_unknown" not in full.out
    assert "Plan: 1 to add, 0 to change, 0 to destroy." in "\n".join(shown_full(full.out, "web"))


def shown_full(text: str, unit: str) -> list[str]:
    lines = text.splitlines()
    return lines[next(number for number, line in enumerate(lines) if line.startswith(f"{unit}:")) :]


def test_variables_that_are_not_set_are_named_all_at_once_before_anything_runs(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEPLOY_TOKEN", raising=False)
    monkeypatch.delenv("OTHER_TOKEN", raising=False)
    module = 'variable "token" {\n  type = string\n}\n'
    spec = """
        from infra_orch import Stack, env

        stack = Stack("dev")
        stack.unit("a", module="takes", inputs={"token": env("DEPLOY_TOKEN")})
        stack.unit("b", module="takes", inputs={"token": env("OTHER_TOKEN")})
        stack.unit("c", module="takes", inputs={"token": env("DEPLOY_TOKEN")})
        """
    desk.write({"stacks/dev/stack.py": spec, "modules/takes/main.tf": module})
    result = desk.run("plan", "dev")
    assert (result.code, result.out) == (64, "")
    assert "DEPLOY_TOKEN (by a, c); OTHER_TOKEN (by b)" in result.err
    assert "export DEPLOY_TOKEN=" in result.err
    only = desk.run("plan", "dev", "--unit", "b")
    assert "DEPLOY_TOKEN" not in only.err
