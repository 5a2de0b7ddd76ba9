"""What stands on any page is true as far as it can be told without running it: commands parse, examples can be read."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from command_line import parses
from pages import OF_THEIR_OWN, PAGES, README, ROOT, Block, Command, blocks

from infra_orch.errors import UserError
from infra_orch.settings import FILE, load_settings

if TYPE_CHECKING:
    from conftest import Desk

SHELL = ("", "sh", "bash", "console", "shell")
INLINE = re.compile(r"`(infra-orch [^`\n]+)`")


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def calls(page: Path) -> Iterator[tuple[str, list[str], bool]]:
    """Every call of ours on a page: where, its words, and whether the text only speaks of it."""
    for block in blocks(page):
        lines = block.commands if block.kind in SHELL else list(steps(block)) if block.kind == "yaml" else []
        for command in lines:
            yield from ((f"{block}: {command.line}", words, False) for words in command.ours)
    for found in INLINE.finditer(page.read_text(encoding="utf-8")):
        yield from ((f"{page_name(page)}: {found[1]}", words, True) for words in Command(found[1]).ours)


def steps(block: Block) -> Iterator[Command]:
    """The lines of a pipeline that call us."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if found := re.search(r"\binfra-orch .*", line):
            yield Command(found[0])


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_command_on_a_page_is_one(page: Path) -> None:
    for where, words, told in calls(page):
        if not words or {"--help", "-h", "--version"} & {*words} or any("…" in word for word in words):
            continue
        try:
            parses(words)
        except Exception as error:
            # A text may name a command without what it is given.
            if not (told and type(error).__name__ in ("MissingParameter", "NoArgsIsHelpError")):
                raise AssertionError(f"{where}: {error}") from error


def test_documents_on_pages_can_be_read() -> None:
    readers = {"json": json.loads, "toml": tomllib.loads, "yaml": lambda text: list(yaml.safe_load_all(text))}
    read = [block for page in PAGES for block in blocks(page) if block.kind in readers]
    assert {block.kind for block in read} == set(readers)
    for block in read:
        try:
            readers[block.kind](block.text)
        except (ValueError, yaml.YAMLError) as error:
            raise AssertionError(f"{block}: {error}") from error


def test_settings_on_pages_can_be_read(tmp_path: Path) -> None:
    for block in (block for page in PAGES for block in blocks(page) if block.kind == "toml"):
        own = "tool" in tomllib.loads(block.text)
        folder = tmp_path / f"{block.page.stem}-{block.line}"
        folder.mkdir()
        (folder / ("pyproject.toml" if own else FILE)).write_text(block.text, encoding="utf-8")
        try:
            load_settings(folder, {})
        except UserError as error:
            raise AssertionError(f"{block}: {error}") from error


def test_python_on_pages_is_python() -> None:
    for block in (block for page in PAGES for block in blocks(page) if block.kind == "python"):
        compile(block.text, str(block), "exec")


# Whole stacks


def whole_files() -> dict[Path, dict[str, str]]:
    """The files that pages hold whole, by page."""
    found: dict[Path, dict[str, str]] = {}
    for page in (page for page in PAGES if page not in OF_THEIR_OWN):
        for block in blocks(page):
            if block.file and block.kind in ("python", "hcl", "jinja"):
                found.setdefault(page, {})[block.file] = block.text
    return found


WHOLE = whole_files()


def project_of(page: Path, root: Path) -> list[str]:
    """Make a project of the shipped modules, of the files of all pages and, first of all, of those of *page*.

    Returns the names of the stacks of *page*.
    """
    shutil.copytree(ROOT / "modules", root / "modules", dirs_exist_ok=True)
    for other in [*(other for other in WHOLE if other != page), page]:
        for name, text in WHOLE[other].items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    own = [Path(name) for name in WHOLE[page]]
    return [path.parent.relative_to("stacks").as_posix() for path in own if path.name == "stack.py"]


@pytest.mark.parametrize("page", WHOLE, ids=page_name)
def test_every_whole_stack_of_a_page_is_valid(page: Path, desk: Desk) -> None:
    for stack in project_of(page, desk.root):
        result = desk.run("validate", stack)
        assert result.code == 0, f"{page_name(page)}: {stack}: {result.err}"


def readme_in_python() -> list[str]:
    return [block.text for block in blocks(README) if block.kind == "python"]


def test_the_readme_begins_with_the_stack_that_a_new_project_has(desk: Desk) -> None:
    assert desk.run("new", "project", "../made").code == 0
    made = (desk.root.parent / "made/stacks/dev/stack.py").read_text(encoding="utf-8")
    assert made.endswith(readme_in_python()[0])


def test_the_stacks_of_the_readme_are_valid(desk: Desk) -> None:
    assert desk.run("new", "project", "../made").code == 0
    first, task, *others = readme_in_python()
    with_task = first.replace("import Stack", "import Stack, TaskContext") + task
    shutil.copytree(ROOT / "modules", desk.root.parent / "made/modules", dirs_exist_ok=True)
    for name, text in {"dev": with_task, "prod": next(text for text in others if "stack = Stack(" in text)}.items():
        desk.write({f"../made/stacks/{name}/stack.py": text})
        result = desk.run("-C", "../made", "validate", name)
        assert result.code == 0, result.err
