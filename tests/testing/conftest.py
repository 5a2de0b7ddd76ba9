"""A project whose tests are run by pytest, as its author would."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from author_of_tests import MODULE, SHOP, Author

if TYPE_CHECKING:
    from conftest import Desk


@pytest.fixture
def author(desk: Desk, home: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Author:
    """A project without stacks, and somebody who stands in it."""
    monkeypatch.chdir(desk.root)
    monkeypatch.setenv("HOME", str(home))  # pytester has one of its own, where git knows nobody
    return Author(desk, pytester)


@pytest.fixture
def shop(author: Author) -> Author:
    """A committed project with one stack: a database, a web server that uses it, and a task."""
    author.write({"modules/service/main.tf": MODULE, "stacks/shop/stack.py": SHOP, "pytest.ini": "[pytest]\n"})
    author.desk.commit()
    return author
