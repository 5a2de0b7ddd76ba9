"""The tutorial is what happens: a stranger types it, from the built wheel, in an empty folder and with an empty home.

`pytest tests/docs/test_tutorial.py --update-pages` writes what came into the page; then read what has changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pages import TUTORIAL, Block, blocks
from typed import QUESTION, User, agree, programs_of

from infra_orch.engine.mirror import find_mirrors, providers_in

NEEDS_AWS = "<!-- From here on the AWS provider is needed. -->"
AWS = "registry.terraform.io/hashicorp/aws"


@dataclass
class Reader:
    """Somebody who does what the page says, block by block, and compares what comes with what stands there."""

    user: User
    update: bool
    differences: list[str] = field(default_factory=list)
    printed: list[str] | None = None
    updates: dict[Block, str] = field(default_factory=dict)

    def read(self, part: list[Block]) -> None:
        """Do what *part* of the page says. A command that ends with another exit code than it should ends that."""
        for number, block in enumerate(part):
            if block.not_run:
                continue
            if block.file:
                file = self.user.folder / block.file
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text, encoding="utf-8")
                self.printed = None
            elif block.kind == "sh":
                shown = part[number + 1] if number + 1 < len(part) else None
                self.printed = self._type(block, answers(shown))
            else:
                self._compare(block)

    def _type(self, block: Block, answers: list[str]) -> list[str]:
        printed: list[str] = []
        for command in block.commands:
            typed = self.user.type(command, answers)
            printed += typed.lines
            assert typed.code == command.code, "\n".join([f"{block}: {command.line}: {typed.code}", *typed.lines])
        return printed

    def _compare(self, block: Block) -> None:
        assert self.printed is not None, f"{block}: it follows no command, so it is no output, and it names no file"
        came, self.printed = self.printed, None
        if agree(block.text.splitlines(), came):
            return
        if self.update:
            assert not any(line.strip() == "…" for line in block.text.splitlines()), (
                f"{block}: edit it yourself: {came}"
            )
            # What git calls the first branch where nobody says otherwise is `main` with most who read this.
            self.updates[block] = re.sub(r"\bmaster\b", "main", "".join(f"{line}\n" for line in came))
        else:
            self.differences.append("\n".join([f"{block}: this came instead:", *came]))


def answers(shown: Block | None) -> list[str]:
    """What the page says is answered to the questions in an output."""
    lines = shown.text.splitlines() if shown and shown.kind == "text" else []
    return [line.partition(QUESTION)[2].strip() for line in lines if QUESTION in line] or ["yes"] * 9


def parts() -> tuple[list[Block], list[Block]]:
    """The blocks of the page before and after the AWS provider is needed."""
    split = TUTORIAL.read_text(encoding="utf-8").index(NEEDS_AWS)
    found = blocks(TUTORIAL)
    return [block for block in found if block.start < split], [block for block in found if block.start > split]


def write(updates: dict[Block, str]) -> None:
    """Put what came into the page."""
    text = TUTORIAL.read_text(encoding="utf-8")
    for block, came in sorted(updates.items(), key=lambda item: -item[0].start):
        text = text[: block.start] + came + text[block.end :]
    TUTORIAL.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def reader(stranger_venv: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Reader:
    """A stranger who has read the first part, on a machine that holds nothing of theirs."""
    folder = tmp_path_factory.mktemp("stranger")
    for name in ("home", "work/checkout"):
        (folder / name).mkdir(parents=True)
    programs = programs_of(stranger_venv, folder / "programs")
    user = User(folder / "work" / "checkout", folder / "home", programs)
    return Reader(user, request.config.getoption("update_pages"))


@pytest.fixture(scope="module")
def first_part(reader: Reader) -> Reader:
    """The stranger has done what the first part says."""
    reader.read(parts()[0])
    return reader


def test_the_first_part_of_the_tutorial_is_what_happens(first_part: Reader) -> None:
    if first_part.update:
        write(first_part.updates)
        first_part.updates.clear()
    assert first_part.differences == [], "\n\n".join(first_part.differences)


@pytest.mark.aws
def test_the_second_part_of_the_tutorial_is_what_happens(first_part: Reader) -> None:
    if not any(AWS in providers_in(mirror) for mirror in find_mirrors({})):
        pytest.skip(f"no provider mirror with {AWS} on this machine")
    first_part.differences.clear()
    first_part.read(parts()[1])
    if first_part.update:
        write(first_part.updates)
    assert first_part.differences == [], "\n\n".join(first_part.differences)
