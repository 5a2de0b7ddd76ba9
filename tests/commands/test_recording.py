"""`infra-orch --record FILE.svg`: what a command showed, as a picture that others may see."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk


def texts(file: Path) -> str:
    """All that is drawn, a piece a line."""
    return "\n".join(re.findall(r">([^<]+)</text>", file.read_text(encoding="utf-8")))


def test_what_a_command_showed_is_drawn_with_the_command(two_units: Desk, tmp_path: Path) -> None:
    picture = tmp_path / "run.svg"
    done = two_units.run("--record", str(picture), "graph", "dev")
    assert done.code == 0
    assert f"recorded in {picture}" in done.err
    drawn = texts(picture)
    assert "infra-orch graph dev" in drawn
    assert str(picture) not in drawn
    assert [line for line in done.out.split() if line not in drawn] == []


def test_others_may_not_read_it_until_it_is_given_to_them(two_units: Desk, tmp_path: Path) -> None:
    picture = tmp_path / "run.svg"
    two_units.run("--record", str(picture), "graph", "dev")
    assert stat.S_IMODE(picture.stat().st_mode) == 0o600


def test_the_error_that_a_command_ends_with_is_in_it(two_units: Desk, tmp_path: Path) -> None:
    picture = tmp_path / "run.svg"
    done = two_units.run("--record", str(picture), "graph", "dve")
    assert done.code == 64
    assert '"dve"' in texts(picture)


def test_secrets_are_not_in_it(two_units: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    picture = tmp_path / "run.svg"
    two_units.run("--record", str(picture), "graph", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    assert "wJalrXUtnFEMI" not in picture.read_text(encoding="utf-8")


def test_what_shows_secrets_is_not_recorded(two_units: Desk, tmp_path: Path) -> None:
    done = two_units.run("--record", str(tmp_path / "run.svg"), "output", "dev", "--sensitive")
    assert done.code == 64
    assert "--record would keep them" in done.err


@pytest.mark.parametrize(
    ("name", "said"), [("run.gif", 'run.gif": it is to be an SVG picture'), ("none/run.svg", "mkdir -p")]
)
def test_a_file_that_cannot_become_one_is_refused_before_anything_runs(
    two_units: Desk, tmp_path: Path, name: str, said: str
) -> None:
    done = two_units.run("--record", str(tmp_path / name), "graph", "dev")
    assert (done.code, done.out) == (64, "")
    assert said in done.err
    assert list(tmp_path.rglob("run.*")) == []
