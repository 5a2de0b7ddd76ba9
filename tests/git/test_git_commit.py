"""A commit that holds the given paths and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from git_records import (
    MESSAGE,
    RECORD,
    RENDERED,
    Git,
    changed,
    record,
    stand_in,
    status,
    write,
)

from infra_orch.errors import UserError
from infra_orch.git.commit import Commit, commit_paths
from infra_orch.git.repository import Repository


def test_a_commit_holds_the_given_paths_and_nothing_else(repo: Repository, git: Git) -> None:
    write(repo.root, {"mine.txt": b"edited\n", "untracked": b""})
    made = record(repo, {RECORD: b"new\n", RENDERED: b"text\n"})
    assert made == Commit(git("rev-parse", "HEAD"), "main", ())
    assert changed(git) == [f"M\t{RECORD}", f"A\t{RENDERED}"]
    assert (repo.show("HEAD", RECORD), repo.show("HEAD", RENDERED)) == (b"new\n", b"text\n")


def test_the_message_is_kept_with_its_trailer(repo: Repository, git: Git) -> None:
    record(repo, {RECORD: b"new\n"})
    assert git("log", "-1", "--format=%B").strip() == MESSAGE.strip()
    assert git("log", "-1", "--format=%(trailers:key=Infra-Orch-Run,valueonly)").strip() == "run-1"


def test_the_commit_follows_the_one_before_and_is_the_users(repo: Repository, git: Git) -> None:
    before = git("rev-parse", "HEAD")
    record(repo, {RECORD: b"new\n"})
    assert git("log", "-1", "--format=%P %an %ae %cn %ce") == f"{before} Ada ada@example.com Ada ada@example.com"


def test_a_path_with_no_content_is_deleted(repo: Repository, git: Git) -> None:
    record(repo, {RECORD: None, "never/was": None})
    assert (changed(git), status(git)) == ([f"D\t{RECORD}"], [])


def test_where_nothing_changed_there_is_no_commit(repo: Repository, git: Git) -> None:
    before = git("rev-parse", "HEAD")
    assert record(repo, {RECORD: b"old\n", "gone": None}) == Commit(None, "main")
    assert git("rev-parse", "HEAD") == before


def test_a_repository_without_a_commit_gets_its_first(root: Path, git: Git) -> None:
    write(root, {"staged": b"s", "untracked": b"u"})
    git("add", "staged")
    assert record(Repository(root), {RECORD: b"new\n", "gone": None}).branch == "main"
    assert (changed(git), status(git)) == ([f"A\t{RECORD}"], ["A  staged", "?? untracked"])


def test_nothing_to_commit_in_a_repository_without_a_commit(root: Path) -> None:
    assert record(Repository(root), {"gone": None}) == Commit(None, "main")


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_both_kinds_of_repository_work(tmp_path: Path, git: Git, algorithm: str) -> None:
    folder = tmp_path / "other"
    git("init", "--quiet", f"--object-format={algorithm}", str(folder))
    other = Repository(folder)
    record(other, {"a": b"1", "b": b"2"})
    record(other, {"a": None, "b": b"3"})
    assert (git("ls-tree", "-r", "--name-only", "HEAD", cwd=folder), other.show("HEAD", "b")) == ("b", b"3")
    assert git("status", "--porcelain", cwd=folder) == ""


def test_paths_and_bytes_of_any_kind(repo: Repository, git: Git) -> None:
    names = [
        "-f",
        "with space",
        "ünï/çødé 雪",
        ":(top)x",
        "a*b",
        'quo"te',
        "new\nline",
        "tab\there",
        os.fsdecode(b"\xff"),
    ]
    contents = {f"odd/{name}": f"\0\r\n{name}".encode(errors="replace") for name in names} | {
        "-top": b"",
        "raw": bytes(range(256)),
    }
    record(repo, contents)
    listed = dict(repo.list_tree("HEAD", ""))
    blobs = repo.read_blobs(listed.values())
    assert {path: blobs[listed[path]] for path in contents} == contents
    assert status(git) == []


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "a//b", "", ".git/hooks/x", "a/.GIT/x", "a\0b"])
def test_a_path_that_leads_out_of_the_working_tree_is_refused(repo: Repository, git: Git, path: str) -> None:
    before = git("rev-parse", "HEAD")
    with pytest.raises(UserError, match="not a path inside the repository"):
        commit_paths(repo, {path: b"x"}, MESSAGE)
    assert git("rev-parse", "HEAD") == before


def test_ten_thousand_paths_take_no_more_processes_than_two(
    repo: Repository, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {f"stacks/{number % 100}/record/unit {number}.json": b"%d\n" % number for number in range(10_000)}
    write(repo.root, many)
    log = tmp_path / "calls"
    stand_in(tmp_path, monkeypatch, f'echo call >> "{log}"')
    record(repo, {RECORD: b"new\n", RENDERED: b"text\n"})
    few_calls = len(log.read_text().splitlines())
    log.unlink()
    commit_paths(repo, many, MESSAGE)
    assert len(log.read_text().splitlines()) <= few_calls
    assert len(repo.list_tree("HEAD", "stacks")) == 10_002


# What the user has under way
