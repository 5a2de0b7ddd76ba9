"""Variables that are named like ours and that nothing reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer

from infra_orch.cli.app import app
from infra_orch.cli.variables import unread

if TYPE_CHECKING:
    from conftest import Desk

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("INFRA_ORCH_PARALELISM", '; did you mean "INFRA_ORCH_PARALLELISM"?'),
        ("INFRA_ORCH_AUTO_APROVE", '; did you mean "INFRA_ORCH_AUTO_APPROVE"?'),
        ("INFRA_ORCH_NOTIFY", '; did you mean "INFRA_ORCH_NOTE"?'),
        ("INFRA_ORCH_XYZZY", ""),
    ],
)
def test_a_variable_that_nothing_reads_is_told_once_with_what_may_be_meant(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, more: str
) -> None:
    monkeypatch.setenv(name, "3")
    done = desk.run("list", "--json")
    assert done.code == 0
    assert done.err.splitlines() == [f"warning: {name} is read by nothing{more}"]


def test_an_empty_variable_counts_as_not_set(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFRA_ORCH_PARALELISM", "")
    assert desk.run("list", "--json").err == ""


def test_every_variable_that_a_page_or_a_pipeline_names_is_known() -> None:
    files = [ROOT / "README.md", ROOT / ".ci/docs/reference_programs.py", *(ROOT / "docs").glob("*.md")]
    files += (ROOT / ".github").rglob("*.yml")
    names = {name for file in files for name in re.findall(r"\bINFRA_ORCH_[A-Z_]+\b", file.read_text())}
    assert len(names) > 20
    assert list(unread(dict.fromkeys(names, "1"), typer.main.get_command(app))) == []
