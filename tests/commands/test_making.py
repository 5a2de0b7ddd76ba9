"""What is made for somebody is made whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra_orch.commands.making import Made
from infra_orch.errors import UsageError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with two files of somebody's."""
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "kept").write_text("mine\n")
    (folder / "taken").write_text("mine, too\n")
    return folder


def make_all(place: Path) -> None:
    """Make files, add lines to one, and come upon one that is there."""
    made = Made()
    with made.or_nothing():
        made.file(place / "new/folder/file", b"new")
        made.add_to(place / "added", b"lines\n")
        for line in (b"one\n", b"two\n"):
            made.add_to(place / "kept", line)
        assert (place / "kept").read_text() == "mine\none\ntwo\n"
        made.file(place / "taken", b"new")


def test_where_something_is_in_the_way_all_is_as_it_was(place: Path) -> None:
    with pytest.raises(UsageError, match="taken is in the way: nothing was made"):
        make_all(place)
    assert {path.name: path.read_text() for path in place.iterdir()} == {"kept": "mine\n", "taken": "mine, too\n"}
