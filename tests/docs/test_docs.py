"""The reference is true: its examples hold, its lists are whole, its links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
from command_line import commands, parses
from pages import OF_THEIR_OWN, PAGES, ROOT, blocks

from infra_orch.cli.sections import SECTIONS
from infra_orch.errors import ExitCode
from infra_orch.settings import Settings

if TYPE_CHECKING:
    from conftest import Desk


COMMANDS = list(commands())


@pytest.fixture
def specs(desk: Desk) -> Desk:
    """A project with the shipped modules, and every stack of the pages that is a whole one."""
    shutil.copytree(ROOT / "modules", desk.root / "modules")
    for page in PAGES:
        for block in blocks(page):
            if block.file and block.file.startswith(("stacks/", "modules/")) and page not in OF_THEIR_OWN:
                assert not (desk.root / block.file).exists(), f"{page.name}: {block.file} is on another page, too"
                desk.write({block.file: block.text})
    return desk


def test_the_stacks_of_the_spec_pass_strict_type_checks(specs: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYPYPATH", "stacks")
    flags = ["--strict", "--explicit-package-bases", "--cache-dir", str(specs.root / ".mypy_cache")]
    argv = [sys.executable, "-m", "mypy", *flags, "stacks"]
    done = subprocess.run(argv, cwd=specs.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_mistakes_that_the_spec_shows_are_reported_as_it_says(specs: Desk) -> None:
    file = specs.root / "stacks" / "prod" / "stack.py"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"zone_count": 2', '"zone_count": "two"').replace('"name": f"', '"nam": f"'))
    shown = next(block.text for block in blocks(ROOT / "docs" / "spec.md") if block.text.startswith("error:"))
    assert specs.run("validate", "prod").err.startswith(shown)


def test_the_shipped_template_that_is_quoted_is_the_shipped_one() -> None:
    quoted = next(block.text for block in blocks(ROOT / "docs" / "templates.md") if block.kind == "jinja")
    assert quoted == (ROOT / "infra_orch" / "render" / "templates" / "outputs.tf.j2").read_text(encoding="utf-8")


def test_every_command_is_listed_and_the_page_that_is_named_there_shows_it() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| \[`([\w-]+)`\]\(([\w-]+\.md)", page, re.MULTILINE))
    assert set(told) == {path[0] for path, _ in commands()}
    sections = re.findall(r"^## (\w+)\n\n((?:\|.*\n)+)", page, re.MULTILINE)
    assert {title: tuple(re.findall(r"^\| \[`([\w-]+)`", rows, re.MULTILINE)) for title, rows in sections} == SECTIONS
    shown = {
        name: [words for block in blocks(ROOT / "docs" / told[name]) for line in block.commands for words in line.ours]
        for name in told
    }
    missing = [path for path, _ in commands() if not any(tuple(words[: len(path)]) == path for words in shown[path[0]])]
    assert missing == []


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=["-".join(path) for path, _ in COMMANDS])
def test_the_help_of_every_command_has_an_example_that_parses(path: tuple[str, ...], command: Any) -> None:
    example = shlex.split((command.epilog or "").removeprefix("Example: "))
    assert example[: len(path) + 1] == ["infra-orch", *path]
    parses(example[1:])


def test_every_exit_code_is_told_as_the_program_has_it() -> None:
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    told = {int(code): meaning for code, meaning in re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE)}
    assert told == {int(code): code.meaning for code in ExitCode}


def test_the_document_that_the_reference_shows_has_the_keys_of_a_real_one(two_units: Desk) -> None:
    shown = next(json.loads(block.text) for block in blocks(ROOT / "docs" / "json.md") if block.kind == "json")
    real = json.loads(two_units.run("plan", "dev", "--json").out)
    assert set(shown) == set(real) - {"$schema"}
    assert set(shown["units"]["web"]) == set(real["units"]["web"])


def test_every_setting_is_on_the_page_of_settings() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == {field.name for field in fields(Settings)}


def test_links_between_the_pages_lead_somewhere() -> None:
    argv = [sys.executable, str(ROOT / ".ci" / "check_links.py")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_decision_is_in_the_index_and_says_what_it_costs_and_what_would_change_it() -> None:
    index = ROOT / "docs" / "decisions" / "README.md"
    pages = sorted(set(index.parent.glob("*.md")) - {index})
    rows = re.findall(r"^\| (\d+) \| \[(.+)\]\((\S+)\) \|$", index.read_text(encoding="utf-8"), re.MULTILINE)
    titles = [page.read_text(encoding="utf-8").partition("\n")[0] for page in pages]
    assert [(f"# {number}. {title}", name) for number, title, name in rows] == [
        (title, page.name) for title, page in zip(titles, pages, strict=True)
    ]
    parts = ["Decided", "Why", "What was tried or measured", "What it costs", "What would make us think again"]
    found = {page.name: re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE) for page in pages}
    assert {name: said for name, said in found.items() if said != parts} == {}


def test_numbers_that_a_decision_quotes_of_the_benchmarks_are_still_there() -> None:
    measured = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    rows = {tuple(row) for row in re.findall(r"^\| (.+?) \| ([\d.]+ s) \| ([\d.]+ s) \|", measured, re.MULTILINE)}
    gateway = (ROOT / "docs" / "decisions" / "4-provider-gateway.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| (.+?) \| ([\d.]+ s) \| ([\d.]+ s) \|$", gateway, re.MULTILINE)
    assert quoted
    assert [row for row in quoted if not any(one[0].startswith(row[0]) and one[1:] == row[1:] for one in rows)] == []
