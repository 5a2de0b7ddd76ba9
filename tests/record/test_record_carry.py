"""Records that were committed here while the branch moved on: put on top of it, and nothing of any of them is lost."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from infra_orch.git.remote import commits_between
from infra_orch.git.repository import Repository
from infra_orch.record.carry import carry, foreign

RECORD, RUNS, RENDERED = "stacks/dev/record", "stacks/dev/record/runs", "stacks/dev/rendered"
Commit = Callable[..., str]


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    root = tmp_path / "work"
    root.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    return Repository(root)


@pytest.fixture
def commit(repo: Repository) -> Commit:
    """Commit files on top of a commit; one that has a run's id is of records."""

    def make(base: str | None, files: Mapping[str, str | None], run: str | None = None) -> str:
        if base:
            repo.git("checkout", "--quiet", "--detach", base)
        for path, text in files.items():
            file = repo.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                file.unlink()
            else:
                file.write_text(text)
        repo.git("add", "--all")
        repo.git("commit", "--quiet", "--message", f"apply dev: x\n\nInfra-Orch-Run: {run}\n" if run else "work")
        return repo.head() or ""

    return make


def record(run: str, at: str, serial: int = 0, status: str = "applied") -> str:
    return json.dumps(
        {
            "schema": 1,
            "unit": "web",
            "status": status,
            "run": run,
            "at": f"2026-01-01T{at}+00:00",
            "changes": {},
            "resources": [],
            "addresses": [],
            "providers": {},
            "commit": None,
            "state": {"lineage": "x", "serial": serial} if serial else None,
        }
    )


def carried(repo: Repository, base: str, mine: str, onto: str) -> dict[str, str]:
    """Carry what *mine* has and *base* has not, and return the files of what came of it."""
    tip = carry(repo, commits_between(repo, base, mine), onto, "")
    repo.git("merge-base", "--is-ancestor", onto, tip)
    listed = repo.list_tree(tip, "")
    contents = repo.read_blobs(blob for _, blob in listed)
    return {path: contents[blob].decode() for path, blob in listed}


def test_a_record_goes_on_top_with_its_message_and_its_author(repo: Repository, commit: Commit) -> None:
    base = commit(None, {"a.txt": "a", f"{RECORD}/web.json": record("r0", "01:00:00")})
    mine = commit(base, {f"{RECORD}/web.json": record("r1", "02:00:00"), f"{RUNS}/r1.json": "{}"}, "r1")
    onto = commit(base, {"a.txt": "b", "b.txt": "b"})
    tip = carry(repo, [mine], onto, "")
    form = "--format=%an %aI %B"
    assert repo.git("show", "-s", form, tip) == repo.git("show", "-s", form, mine)
    assert repo.git("rev-parse", f"{tip}~1").decode().strip() == onto
    assert repo.show(tip, "a.txt") == b"b"
    assert repo.show(tip, f"{RUNS}/r1.json") == b"{}"
    assert carry(repo, [mine], tip, "") == tip, "what is there already makes no commit"


@pytest.mark.parametrize(
    ("mine", "theirs", "stays"),
    [
        (record("r1", "02:00:00"), record("r2", "03:00:00"), "r2"),
        (record("r1", "03:00:00"), record("r2", "02:00:00"), "r1"),
        (record("r1", "03:00:00", 4), record("r2", "02:00:00", 5), "r2"),
        (record("r1", "02:00:00", 5), record("r2", "03:00:00", 4), "r1"),
        ("no record", record("r2", "01:00:00"), "r1"),
    ],
    ids=["the clock", "the clock, mine", "the serial before the clock", "the serial, mine", "one that nobody can read"],
)
def test_where_two_have_recorded_a_unit_the_later_apply_stays_and_both_runs(
    repo: Repository, commit: Commit, mine: str, theirs: str, stays: str
) -> None:
    base = commit(None, {"a.txt": "a"})
    ours = commit(base, {f"{RECORD}/web.json": mine, f"{RUNS}/r1.json": "1"}, "r1")
    onto = commit(base, {f"{RECORD}/web.json": theirs, f"{RUNS}/r2.json": "2"}, "r2")
    found = carried(repo, base, ours, onto)
    assert {path for path in found if path.startswith(RUNS)} == {f"{RUNS}/r1.json", f"{RUNS}/r2.json"}
    assert found[f"{RECORD}/web.json"] == {"r1": mine, "r2": theirs}[stays]


def test_a_unit_that_one_destroyed_and_the_other_applied_later_is_there(repo: Repository, commit: Commit) -> None:
    base = commit(None, {f"{RECORD}/web.json": record("r0", "01:00:00")})
    gone = commit(base, {f"{RECORD}/web.json": None, f"{RUNS}/r1.json": "1"}, "r1")
    again = commit(base, {f"{RECORD}/web.json": record("r2", "02:00:00").replace("2026-01", "2999-01")}, "r2")
    assert f"{RECORD}/web.json" in carried(repo, base, gone, again)
    assert f"{RECORD}/web.json" in carried(repo, base, again, gone)
    before = commit(base, {f"{RECORD}/web.json": record("r3", "02:00:00").replace("2026-01", "2001-01")}, "r3")
    assert f"{RECORD}/web.json" not in carried(repo, base, gone, before)
    assert f"{RECORD}/web.json" not in carried(repo, base, before, gone)


def test_rendered_files_that_both_have_written_stay_as_one_side_has_them_whole(
    repo: Repository, commit: Commit
) -> None:
    base = commit(None, {f"{RENDERED}/stack.json": "0", f"{RENDERED}/web/main.tf": "0"})
    files = {f"{RENDERED}/stack.json": "1", f"{RENDERED}/web/main.tf": "1", f"{RENDERED}/new/main.tf": "1"}
    mine = commit(base, {**files, f"{RUNS}/r1.json": "1", "stacks/b/rendered/stack.json": "1"}, "r1")
    onto = commit(base, {f"{RENDERED}/stack.json": "2"})
    found = carried(repo, base, mine, onto)
    assert {path: text for path, text in found.items() if path.startswith(RENDERED)} == {
        f"{RENDERED}/stack.json": "2",
        f"{RENDERED}/web/main.tf": "0",
    }
    assert (found[f"{RUNS}/r1.json"], found["stacks/b/rendered/stack.json"]) == ("1", "1")


def test_only_commits_that_a_run_made_are_records(repo: Repository, commit: Commit) -> None:
    base = commit(None, {"a.txt": "a"})
    one = commit(base, {f"{RUNS}/r1.json": "1", f"{RENDERED}/stack.json": "1"}, "r1")
    two = commit(one, {f"{RUNS}/r2.json": "2"})
    three = commit(two, {f"{RUNS}/r3.json": "3", "stacks/dev/stack.py": "x"}, "r3")
    assert foreign(repo, base, three, "") == [two, three]
    assert foreign(repo, base, one, "infra/") == [one], "the project lies elsewhere"
