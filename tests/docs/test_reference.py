"""The references of the site leave nothing out: they are made of the program, and this asks the program for what there is."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from command_line import commands, variables

import infra_orch
from infra_orch.cli.app import program
from infra_orch.errors import ExitCode
from infra_orch.settings import Allow, Settings

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".ci" / "docs"))

import build_site  # noqa: E402
import reference_commands  # noqa: E402
import reference_programs  # noqa: E402
import reference_schemas  # noqa: E402
import reference_spec  # noqa: E402

PAGES = build_site.generated_pages()


def rows(text: str) -> list[list[str]]:
    """The rows of the tables of a page, as lists of their cells."""
    found = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)
    return [[cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", row)] for row in found]


def words(text: str) -> str:
    """*text* as it reads, without marks of Markdown."""
    return " ".join(re.sub(r"[\\`]", "", text.replace("&lt;", "<")).split())


@pytest.mark.parametrize(
    ("path", "command"), list(commands()), ids=lambda value: "-".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_is_told_with_all_that_it_takes(path: tuple[str, ...], command: Any) -> None:
    page = words(PAGES[f"reference/commands/{path[0]}.md"])
    assert f"infra-orch {' '.join(path)} [OPTIONS]" in page
    assert words(command.help) in page
    for line in (command.epilog or "").splitlines():
        assert words(line.partition("infra-orch")[2]) in page
    told = [words(" | ".join(row)) for row in rows(PAGES[f"reference/commands/{path[0]}.md"])]
    for parameter in command.params:
        name = (
            parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar or parameter.name.upper()
        )
        about = [row for row in told if row.startswith(name) and words(parameter.help or "") in row]
        assert about, f"{name} of {' '.join(path)}"
        assert not isinstance(parameter.envvar, str) or any(parameter.envvar in row for row in about)


def test_the_list_of_commands_names_each_with_what_it_does() -> None:
    told = {
        words(row[0]).partition("]")[0].lstrip("["): words(row[1]) for row in rows(PAGES["reference/commands/index.md"])
    }
    for path, command in commands():
        assert told[" ".join(path)] == words(command.help.splitlines()[0])
    for option in program().params:
        assert option.opts[0] in PAGES["reference/commands/index.md"]


def test_a_default_is_told_and_one_that_goes_without_saying_is_not() -> None:
    assert ["`--format` `FORMAT`", "`INFRA_ORCH_FORMAT`", "`tree`"] in [
        row[:3] for row in rows(PAGES["reference/commands/graph.md"])
    ]
    assert "False" not in PAGES["reference/commands/plan.md"]
    assert "None" not in PAGES["reference/commands/plan.md"]


def test_every_variable_of_an_option_and_of_a_setting_is_told() -> None:
    told = {words(row[0]) for row in rows(PAGES["reference/variables.md"])}
    of_settings = {f"INFRA_ORCH_{field.name.upper()}" for field in fields(Settings)} - {
        "INFRA_ORCH_NOTIFY",
        "INFRA_ORCH_ALLOW",
    }
    of_allow = {f"INFRA_ORCH_ALLOW_{field.name.upper()}" for field in fields(Allow)}
    assert variables() | of_settings | of_allow <= told


def test_every_variable_that_the_code_reads_is_told() -> None:
    """What is neither a setting nor an option is easily forgotten."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "infra_orch").rglob("*.py"))
    read = set(re.findall(r'environ(?:\.get\(|\[)"([A-Z_]+)"', code))
    assert {name for name in read if name.startswith("INFRA_ORCH_")} <= {
        words(row[0]) for row in rows(PAGES["reference/variables.md"])
    }


def test_every_exit_code_is_told_with_the_errors_that_end_in_it() -> None:
    told = {
        int(row[0]): words(row[2])
        for row in rows(PAGES["reference/exit-codes.md"])
        if row[1].isupper() and row[0].isdigit()
    }
    assert told == {int(code): words(code.meaning) for code in ExitCode}
    assert "| 77 | `RefusedError` |" in PAGES["reference/exit-codes.md"]


@pytest.mark.parametrize("name", sorted(entry.name for entry in (files("infra_orch") / "schemas").iterdir()))
def test_every_schema_has_a_page_with_its_fields_and_is_published_as_it_is(name: str) -> None:
    schema = json.loads((files("infra_orch") / "schemas" / name).read_text(encoding="utf-8"))
    assert json.loads(PAGES[f"schemas/{name}"]) == schema
    page = PAGES[f"reference/schemas/{name.removesuffix('.json')}.md"]
    told = {words(row[0]): row for row in rows(page)}
    assert set(schema["properties"]) <= set(told)
    assert {key for key in schema["properties"] if told[key][2] == "required"} == set(schema.get("required", ()))
    assert f"[`{name}`](../../schemas/{name})" in PAGES["reference/schemas/index.md"]


def test_nested_fields_of_a_schema_are_told_by_their_paths() -> None:
    told = {words(row[0]): words(row[3]) for row in rows(PAGES["reference/schemas/drift-1.md"])}
    assert told["units.*.since"] == "The run that left it so, by the unit's record."
    assert "units.*.since.run" in told


def test_every_name_of_the_package_is_in_the_reference_of_the_spec() -> None:
    told = [name for _, _, names in reference_spec.PAGES.values() for name in names]
    of_tests = set(infra_orch.testing.__all__) - {"UNKNOWN", "SENSITIVE"}
    assert sorted(told) == sorted((set(infra_orch.__all__) - {"__version__"}) | of_tests)


def described() -> Iterator[tuple[str, Any, str]]:
    """All that the reference of the spec has a heading for: its name, itself, its docstring."""
    for _, _, names in reference_spec.PAGES.values():
        for name in names:
            thing = infra_orch.Input if name == "Input" else reference_spec.named(name)
            if name != "Input":
                yield name, thing, inspect.getdoc(thing) or ""
            for method, function in reference_spec._methods(thing) if inspect.isclass(thing) else ():
                own = function.fget if isinstance(function, property) else function
                yield f"{name}.{method}", function, inspect.getdoc(own) or ""


DESCRIBED = list(described())


@pytest.mark.parametrize(
    ("name", "thing"), [(name, thing) for name, thing, _ in DESCRIBED], ids=[name for name, _, _ in DESCRIBED]
)
def test_a_docstring_says_of_every_parameter_what_it_is(name: str, thing: Any) -> None:
    said = next(reference_spec.prose(text).parameters for named, _, text in DESCRIBED if named == name)
    made_elsewhere = name in reference_spec._MADE_ELSEWHERE
    wanted = [] if made_elsewhere or isinstance(thing, property) else [*reference_spec._parameters(thing)]
    assert [one for one in said if one in wanted] == wanted
    assert wanted == [*said] or made_elsewhere


def test_every_field_of_a_change_and_of_a_plan_is_told() -> None:
    for kind in (infra_orch.Plan, infra_orch.Change):
        assert [*reference_spec.prose(kind.__doc__ or "").parameters] == [field.name for field in fields(kind)]


EXAMPLES = {name: reference_spec.prose(text).example for name, _, text in DESCRIBED}


@pytest.mark.parametrize("name", [name for name, example in EXAMPLES.items() if example])
def test_the_example_of_a_docstring_runs(name: str) -> None:
    stack = infra_orch.Stack("prod")
    units = {unit: stack.unit(unit, module=unit) for unit in ("network", "web", "store")}
    known: dict[str, Any] = {one: getattr(infra_orch, one) for one in infra_orch.__all__}
    exec(EXAMPLES[name], known | {"stack": stack, "Iterator": Iterator} | units)


def test_what_is_declared_has_an_example() -> None:
    wanted = {"Stack", "Stack.unit", "Stack.task", "Stack.reference", "Provider", "Backend", "S3Backend", "Credentials"}
    wanted |= {"expression", "env", "block", "policy", "TaskContext", "TaskContext.run", "TaskContext.client"}
    assert {name for name in wanted if not EXAMPLES[name]} == set()


def settings_as_told() -> Mapping[str, tuple[str, str]]:
    """The table of docs/settings.md: the default and what it is, by the setting's name; links are taken for their text."""
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", page, re.MULTILINE)
    return {name: (default, re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", about)) for name, default, about in told}


def test_the_table_of_settings_says_what_the_code_says() -> None:
    said = reference_spec.prose(Settings.__doc__ or "").parameters
    assert {name: about for name, (_, about) in settings_as_told().items()} == said
    assert set(said) == {field.name for field in fields(Settings)}


def test_the_defaults_of_settings_are_those_that_hold() -> None:
    for name, (told, _) in settings_as_told().items():
        default = getattr(Settings(), name)
        if told.startswith("`"):
            empty = {(): "[]", Allow(): "{}"}
            assert told.strip("`") == (empty[default] if default in empty else json.dumps(default)), name
        else:
            assert default is None or name == "gateway_shared", name


def test_every_key_of_allow_is_on_the_page_of_settings() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `allow\.(\w+)` \|", page, re.MULTILINE)) == {field.name for field in fields(Allow)}


def test_every_command_has_a_guide() -> None:
    assert set(build_site.guides()) == set(reference_commands.groups())


def test_what_is_hidden_from_help_is_not_in_the_reference() -> None:
    assert [name for name in PAGES if name.startswith("reference/commands/_")] == []
    assert reference_programs.OTHERS.keys() & variables() == set()
    assert len(reference_schemas.schemas()) >= 15
