"""What is kept in one file is there for the next process, and a file that cannot be used costs nothing but time."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from infra_orch.render import store
from infra_orch.render.store import Store


def reads(folder: Path, *names: str) -> list[bytes | None]:
    with closing(Store(folder)) as kept:
        return [kept.read(name) for name in names]


def keeps(folder: Path, **values: bytes) -> None:
    with closing(Store(folder)) as kept:
        for name, value in values.items():
            kept.keep(name, value)


def test_what_is_kept_is_known_at_once_and_to_others_once_it_is_saved(tmp_path: Path) -> None:
    with closing(Store(tmp_path)) as kept:
        assert (kept.read("a"), kept.has("a")) == (None, False)
        kept.keep("a", b"1")
        assert (kept.read("a"), kept.has("a")) == (b"1", True)
        assert reads(tmp_path, "a") == [None]
        assert kept.save()
        assert reads(tmp_path, "a", "b") == [b"1", None]
        kept.keep("a", b"\0 2")
    assert reads(tmp_path, "a") == [b"\0 2"]


def test_a_question_leaves_no_trace(tmp_path: Path) -> None:
    assert reads(tmp_path / "none", "a") == [None]
    assert not (tmp_path / "none").exists()


def test_much_is_written_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_MOST_WAITING", 100)
    kept = Store(tmp_path)
    kept.keep("small", b"x")
    kept.keep("large", b"x" * 200)
    assert reads(tmp_path, "small", "large") == [b"x", b"x" * 200]
    kept.close()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    keeps(tmp_path / "cache", a=b"1")
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "cache/kept.sqlite").stat().st_mode) == 0o600


def test_the_oldest_go_where_there_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_MOST_ROWS", 3)
    keeps(tmp_path, a=b"1", b=b"1", c=b"1")
    keeps(tmp_path, a=b"2")  # the newest now
    keeps(tmp_path, d=b"1")
    assert reads(tmp_path, "a", "b", "c", "d") == [b"2", None, b"1", b"1"]


def foreign(path: Path) -> None:
    path.write_bytes(b"no database, and longer than the header of one would be: " + b"x" * 100)


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 + 1)


def overwritten(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:] = os.urandom(len(data) - 100)
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [foreign, cut_off, overwritten])
def test_a_damaged_file_is_made_anew(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    keeps(tmp_path, **{f"n{number}": b"x" * 3000 for number in range(20)})
    harm(tmp_path / "kept.sqlite")
    reads(tmp_path, "n0", "n19")
    keeps(tmp_path, **{f"n{number}": b"y" * 3000 for number in range(20)})
    assert reads(tmp_path, *(f"n{number}" for number in range(20))) == [b"y" * 3000] * 20


def test_a_table_of_another_version_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "kept.sqlite")) as database:
        database.execute("CREATE TABLE kept99 (name, value, more)")
        database.execute("INSERT INTO kept99 VALUES ('a', 'b', 'c')")
        database.commit()
    keeps(tmp_path, a=b"1")
    with closing(sqlite3.connect(tmp_path / "kept.sqlite")) as database:
        assert database.execute("SELECT * FROM kept99").fetchall() == [("a", "b", "c")]
    assert reads(tmp_path, "a") == [b"1"]


def test_where_there_is_a_folder_in_its_place_it_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "kept.sqlite").mkdir()
    with closing(Store(tmp_path)) as kept:
        assert not kept.save()
        kept.keep("a", b"1")
    assert reads(tmp_path, "a") == [None]


def test_a_file_that_another_holds_is_waited_for_and_then_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeps(tmp_path, a=b"1")
    monkeypatch.setattr(store, "_PATIENCE", 0.1)
    with closing(sqlite3.connect(tmp_path / "kept.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with closing(Store(tmp_path)) as kept:
            assert kept.read("a") is None
            assert not kept.save()
        other.execute("ROLLBACK")
    assert reads(tmp_path, "a") == [b"1"]


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from infra_orch.render.store import Store\n"
        "kept = Store(Path(sys.argv[1]))\n"
        "for number in range(50):\n    kept.keep(f'{sys.argv[2]}-{number}', b'x' * 5000); kept.save()\n"
        "kept.close()"
    )
    several = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(number)]) for number in range(4)]
    assert [process.wait(60) for process in several] == [0] * 4
    names = [f"{process}-{number}" for process in range(4) for number in range(50)]
    assert reads(tmp_path, *names) == [b"x" * 5000] * 200
