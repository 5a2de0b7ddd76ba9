"""Values by name, in one file: what can be made again, and need not be.

A file for each value would cost more than many of them take to make. The file is SQLite's, so that several processes
can use it at once, and one that is killed harms nobody. It is never needed: what cannot be read or written is done
without, and a file that is none is made anew.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from infra_orch.files import private_folder

_TABLE = "kept1"
"""To be counted up with every change of the table: what other versions have in theirs is left alone."""
_MOST_ROWS = 20_000
_MOST_WAITING = 8 * 2**20
_PATIENCE = 10.0


class Store:
    """Values of one *folder*. What is kept is written when there is much of it, and by save(); it is of one thread."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "kept.sqlite"
        self._database: sqlite3.Connection | None = None
        self._waiting: dict[str, bytes] = {}
        self._size = 0

    def read(self, name: str) -> bytes | None:
        """Return what was kept under *name*, or None."""
        if name in self._waiting:
            return self._waiting[name]
        found = self._ask(f"SELECT value FROM {_TABLE} WHERE name = ?", name)  # noqa: S608 - no text from outside
        return found if isinstance(found, bytes) else None

    def has(self, name: str) -> bool:
        """Whether something was kept under *name*."""
        return name in self._waiting or bool(self._ask(f"SELECT 1 FROM {_TABLE} WHERE name = ?", name))  # noqa: S608

    def keep(self, name: str, value: bytes) -> None:
        """Keep *value* under *name*, in the place of what was."""
        self._waiting[name] = value
        self._size += len(value)
        if self._size > _MOST_WAITING:
            self.save()

    def save(self) -> bool:
        """Write what was kept since the last time. Returns whether the file can be written."""
        waiting, self._waiting, self._size = self._waiting, {}, 0
        for _ in range(2):
            try:
                self._write(waiting)
            except sqlite3.OperationalError:
                return False
            except sqlite3.DatabaseError:  # it is damaged, or none
                self._discard()
            except OSError:
                return False
            else:
                return True
        return False

    def close(self) -> None:
        """Write what was kept, and let go of the file."""
        if self._waiting:
            self.save()
        self._disconnect()

    def _ask(self, question: str, name: str) -> object:
        if not self._database and not self._path.is_file():
            return None
        with contextlib.suppress(sqlite3.DatabaseError):
            row = self._connected().execute(question, (name,)).fetchone()
            return row[0] if row else None
        return None

    def _write(self, values: dict[str, bytes]) -> None:
        private_folder(self._path.parent)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with self._connected() as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE} (name TEXT PRIMARY KEY, value BLOB)")
            database.executemany(f"INSERT OR REPLACE INTO {_TABLE} VALUES (?, ?)", values.items())  # noqa: S608
            # Rows are numbered as they come, and one that is written anew gets a number of its own: the oldest go.
            newest = f"(SELECT max(rowid) FROM {_TABLE})"  # noqa: S608
            database.execute(f"DELETE FROM {_TABLE} WHERE rowid <= {newest} - ?", (_MOST_ROWS,))  # noqa: S608

    def _connected(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)
            # A loss of power may cost the file, and nothing else: it is made anew.
            self._database.execute("PRAGMA synchronous = OFF")
        return self._database

    def _disconnect(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _discard(self) -> None:
        """Remove a file that is no database, and what SQLite would bring it back with."""
        self._disconnect()
        for path in (self._path, self._path.with_name(f"{self._path.name}-journal")):
            path.unlink(missing_ok=True)
