"""The journal of a run: whole lines, whatever is cut short."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra_orch.errors import UserError
from infra_orch.run.journal import Journal, read_journal


def test_what_was_written_is_read_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run/journal.jsonl")
    journal.write("begin", durable=True, node="web", step="apply", log="büro\udcff")
    journal.write("end", node="web", step="apply", returncode=0)
    journal.close()
    entries = read_journal(journal.path)
    assert [(entry["event"], entry["node"]) for entry in entries] == [("begin", "web"), ("end", "web")]
    assert entries[0]["log"] == "büro\udcff"
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_a_journal_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "journal.jsonl") == []


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    first = Journal(path)
    first.write("run")
    first.close()
    path.write_bytes(path.read_bytes() + b'{"schema": 1, "event": "beg')
    second = Journal(path)
    second.write("done")
    second.close()
    assert [entry["event"] for entry in read_journal(path)] == ["run", "done"]


def test_a_run_owes_a_record_from_its_first_change_until_it_is_done(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    owed = []
    for event in ("run", "start", "apply", "begin", "end", "done"):
        journal.write(event)
        owed.append(journal.owes)
    journal.close()
    assert owed == [False, False, True, True, True, False]


def test_a_journal_of_a_newer_version_is_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(json.dumps({"schema": 99, "event": "begin"}) + "\n")
    with pytest.raises(UserError, match="newer infra-orch"):
        read_journal(path)


@settings(max_examples=80, deadline=None)
@given(data=st.one_of(st.binary(max_size=300), st.lists(st.recursive(st.none() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c))).map(lambda v: "\n".join(map(json.dumps, v)).encode())))  # fmt: skip
def test_whatever_lies_there_is_read_or_refused(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    path.write_bytes(data)
    try:
        entries = read_journal(path)
    except UserError:
        return
    assert all(isinstance(entry["event"], str) for entry in entries)
