"""The documentation is true: its commands run, its examples hold, its lists are whole, its links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import commands, parses

from infra_orch.errors import ExitCode
from infra_orch.settings import Settings

if TYPE_CHECKING:
    from conftest import Desk

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS_AWS = "<!-- From here on the AWS provider is needed. -->"


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, and its text."""

    kind: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that it is to be, where its first line says so: `# stacks/dev/stack.py`."""
        found = re.match(r"# ((?:stacks|modules)/\S+)\n", self.text)
        return found[1] if found else None


def blocks(text: str) -> list[Block]:
    return [Block(found["kind"], found["text"]) for found in FENCE.finditer(text)]


def command_lines(page: Path) -> Iterator[list[str]]:
    """Every command of ours that stands in a block of a page, as a list of its words."""
    for block in blocks(page.read_text(encoding="utf-8")):
        for line in block.text.splitlines() if block.kind in ("", "sh") else ():
            words = shlex.split(line, comments=True)
            for number, word in enumerate(words):
                if word == "infra-orch":
                    rest = words[number + 1 :]
                    yield rest[: rest.index("&&")] if "&&" in rest else rest


COMMANDS = list(commands())
OF_THEIR_OWN = ("tutorial.md", "migrate.md")
"""Pages whose stacks have modules of their own."""


def plain(text: str) -> str:
    """*text* without what differs from run to run: times."""
    return re.sub(r"\d+\.\d s\b|\b\d+ s\b", "# s", text.rstrip())


def test_the_tutorial_works_as_it_is_written(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8").partition(NEEDS_AWS)[0]
    here = tmp_path / "tutorial"
    here.mkdir()
    printed = ""
    for block in blocks(text):
        monkeypatch.chdir(here)
        if block.file:
            (here / block.file).write_text(block.text, encoding="utf-8")
        elif block.kind == "text":
            missing = set(map(plain, block.text.splitlines())) - set(map(plain, printed.splitlines())) - {""}
            assert not missing, printed
        elif block.kind == "sh":
            printed = ""
            for line in block.text.splitlines():
                words = shlex.split(line, comments=True)
                if words[0] == "cd":
                    here = here / words[1]
                    monkeypatch.chdir(here)
                elif words[0] == "infra-orch":
                    done = desk.run(*words[1:])
                    assert done.code == 0, f"{line}: {done.err}"
                    printed += done.out + done.err
                else:
                    subprocess.run(words, cwd=here, check=True, capture_output=True)


def test_the_stack_that_the_tutorial_quotes_is_the_one_that_is_made(desk: Desk, tmp_path: Path) -> None:
    desk.run("-C", str(tmp_path), "new", "project", "infra")
    made = (tmp_path / "infra" / "stacks" / "dev" / "stack.py").read_text(encoding="utf-8")
    tutorial = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    quoted = next(block for block in blocks(tutorial) if block.kind == "python" and not block.file)
    assert quoted.text in made


@pytest.fixture
def specs(desk: Desk) -> Desk:
    """A project with the shipped modules, and every stack of the pages that is a whole one."""
    shutil.copytree(ROOT / "modules", desk.root / "modules")
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.file and page.name not in OF_THEIR_OWN:
                assert not (desk.root / block.file).exists(), f"{page.name}: {block.file} is on another page, too"
                desk.write({block.file: block.text})
    return desk


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_on_a_page_is_python(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.kind == "python":
            compile(block.text, f"{page.name}: {block.text.splitlines()[0]}", "exec")


def test_every_whole_stack_of_the_spec_is_valid(specs: Desk) -> None:
    stacks = sorted(path.parent.name for path in specs.root.glob("stacks/*/stack.py"))
    results = {name: specs.run("validate", name) for name in stacks}
    assert "prod" in results
    assert {name: result.err for name, result in results.items() if result.code} == {}


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
    page = (ROOT / "docs" / "spec.md").read_text(encoding="utf-8")
    shown = next(block.text for block in blocks(page) if block.text.startswith("error:"))
    assert specs.run("validate", "prod").err.startswith(shown)


def test_the_shipped_template_that_is_quoted_is_the_shipped_one() -> None:
    page = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
    quoted = next(block.text for block in blocks(page) if block.kind == "jinja")
    assert quoted == (ROOT / "infra_orch" / "render" / "templates" / "outputs.tf.j2").read_text(encoding="utf-8")


def test_every_command_is_listed_and_the_page_that_is_named_there_shows_it() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| \[`([\w-]+)`\]\(([\w-]+\.md)", page, re.MULTILINE))
    assert set(told) == {path[0] for path, _ in commands()}
    shown = {name: list(command_lines(ROOT / "docs" / told[name])) for name in told}
    missing = [path for path, _ in commands() if not any(tuple(words[: len(path)]) == path for words in shown[path[0]])]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_on_a_page_parses(page: Path) -> None:
    for words in command_lines(page):
        if words and words[-1] not in ("--help", "--version"):
            parses(words)


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
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    shown = next(json.loads(block.text) for block in blocks(page) if block.kind == "json")
    real = json.loads(two_units.run("plan", "dev", "--json").out)
    assert set(shown) == set(real) - {"$schema"}
    assert set(shown["units"]["web"]) == set(real["units"]["web"])


def test_every_setting_is_on_the_page_of_settings() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == {field.name for field in fields(Settings)}


def test_the_settings_that_a_page_shows_can_be_read(desk: Desk) -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    shown = next(block.text for block in blocks(page) if block.kind == "toml")
    desk.write(
        {"infra-orch.toml": shown, "stacks/dev/stack.py": 'from infra_orch import Stack\nstack = Stack("dev")\n'}
    )
    assert desk.run("validate", "dev").code == 0


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


def test_the_picture_in_the_readme_shows_nothing_of_the_machine_that_drew_it() -> None:
    text = (ROOT / "docs" / "at-work.svg").read_text(encoding="utf-8")
    assert "infra-orch&#160;plan&#160;prod" in text
    assert not re.search(r"/(?:tmp|home|root|work|Users|var)/|https?://(?!www\.w3\.org)", text)
