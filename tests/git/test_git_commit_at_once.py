"""Commits while somebody else, or another run, commits too."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from git_records import (
    RECORD,
    RENDERED,
    Git,
    changed,
    left_in_git_folder,
    record,
    run_python,
    stand_in,
    status,
    write,
)

from infra_orch.errors import UserError
from infra_orch.git.commit import commit_paths
from infra_orch.git.repository import Repository


def test_a_commit_that_somebody_else_makes_meanwhile_survives(
    repo: Repository, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = tmp_path / "once"
    stand_in(
        tmp_path,
        monkeypatch,
        f"""
        case " $* " in *" update-ref "*) if mkdir "{once}" 2>/dev/null; then
            "$GIT" update-ref HEAD $("$GIT" commit-tree -p HEAD -m theirs $(printf '100644 blob %s\\ttheirs\\n' \\
                $("$GIT" hash-object -w --stdin </dev/null) | "$GIT" mktree))
        fi;; esac""",
    )
    record(repo, {RECORD: b"new\n"})
    assert git("log", "--format=%s").split("\n") == ["apply prod: 1 unit", "theirs", "first"]
    assert changed(git) == [f"A\t{RECORD}"]


def test_where_others_move_head_at_every_try_it_is_given_up(
    repo: Repository, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = '"$GIT" update-ref HEAD $("$GIT" commit-tree -p HEAD -m theirs HEAD^{tree})'
    stand_in(tmp_path, monkeypatch, f'case " $* " in *" update-ref "*) {move};; esac')
    monkeypatch.setattr("infra_orch.git.commit._TRIES", 3)
    with pytest.raises(UserError, match="moved HEAD at each of 3 tries"):
        record(repo, {RECORD: b"new\n"})
    assert git("log", "--format=%s").split("\n") == ["theirs"] * 3 + ["first"]
    assert (left_in_git_folder(repo), status(git)) == ([], [f" M {RECORD}"])


def test_runs_of_several_stacks_commit_at_once(repo: Repository, git: Git) -> None:
    stacks = [{f"stacks/{name}/record/{unit}.json": b"new\n" for unit in "xyz"} for name in "abcd"]
    for contents in stacks:
        write(repo.root, contents)
    children = [run_python(repo, contents, f"process {number}") for number, contents in enumerate(stacks[:2])]
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda contents: commit_paths(repo, contents, "thread"), stacks[2:]))
    assert [child.wait() for child in children] == [0, 0]
    assert sorted(git("log", "--format=%s").split("\n")) == ["first", "process 0", "process 1", "thread", "thread"]
    assert [note for commit in made for note in commit.notes] == []
    assert (status(git), left_in_git_folder(repo)) == ([], [])
    assert dict(repo.list_tree("HEAD", "")).keys() >= {path for contents in stacks for path in contents}


class User:
    """Somebody who edits, stages and commits files of his own at random, and knows what he should find."""

    def __init__(self, repo: Repository, git: Git, seed: int) -> None:
        self.root, self.git, self.random = repo.root, git, random.Random(seed)
        self.names = ["mine.txt", "dir/a", "stacks/prod/stack.py", "stacks/prod/record.md"]
        self.on_disk: dict[str, str] = {"mine.txt": "mine"}
        self.staged: dict[str, str] = dict(self.on_disk)
        self.commits: list[str] = []
        self.count = 0

    def act(self) -> None:
        self.count += 1
        name = self.random.choice(self.names)
        match self.random.randrange(6):
            case 0 | 1:
                text = f"{self.count} by hand"
                write(self.root, {name: f"{text}\n".encode()})
                self.on_disk[name] = text
            case 2 if name in self.on_disk:
                self.insist("add", name)
                self.staged[name] = self.on_disk[name]
            case 3:
                text = f"{self.count} staged only"
                blob = self.git("hash-object", "-w", "--stdin", stdin=f"{text}\n")
                self.insist("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
                self.staged[name] = text
            case 4 if name in self.staged:
                self.insist("rm", "--quiet", "--cached", "--force", name)
                del self.staged[name]
            case _:
                message = f"user {self.count}"
                self.insist("commit", "--quiet", "--allow-empty", "-m", message)
                self.commits.append(message)

    def insist(self, *arguments: str) -> None:
        """Run git until neither the lock of the index nor a commit of ours is in its way: a person tries again."""
        for _ in range(200):
            done = subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return
            assert "File exists" in done.stderr or "cannot lock ref" in done.stderr, done.stderr
            time.sleep(0.01)
        raise AssertionError(f"git {arguments} never got through")


@contextlib.contextmanager
def at_work(user: User) -> Iterator[None]:
    """Let the user act at random moments, in a thread, until the block ends; what went wrong there fails the test."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            user.act()
            time.sleep(user.random.choice([0, 0.01, 0.05]))

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            yield
        finally:
            stop.set()
        future.result()


@pytest.mark.parametrize("seed", range(int(os.environ.get("FAULTS_ROUNDS", "3"))))
def test_a_user_at_work_loses_nothing_and_neither_do_we(repo: Repository, git: Git, seed: int) -> None:
    user, ours = User(repo, git, seed), random.Random(seed)
    commits: dict[str, dict[str, bytes | None]] = {}
    files: dict[str, bytes | None] = {RECORD: b"old\n"}
    with at_work(user):
        for number in range(8):
            new = b"%d\n" % number
            paths = ours.sample([RECORD, RENDERED, "stacks/prod/rendered/stack.json", "dir/ours"], 2)
            contents = {path: ours.choice([None, new, new]) for path in paths}
            made = record(repo, contents, f"ours {number}")
            differs = {path: content for path, content in contents.items() if files.get(path) != content}
            assert (made.sha is None, made.notes) == (not differs, ())
            if made.sha:
                commits[made.sha] = differs
            files.update(contents)
    history = dict(line.split(" ", 1) for line in git("log", "--format=%H %s").split("\n"))
    others = [sha for sha in history if sha not in commits]
    assert (sorted(history[sha] for sha in others), history.keys() >= commits.keys()) == (
        ["first", *sorted(user.commits)],
        True,
    )
    for sha, contents in commits.items():
        assert {line.split("\t")[1]: repo.show(sha, line.split("\t")[1]) for line in changed(git, sha)} == contents
    git("commit", "--quiet", "--allow-empty", "-m", "what is staged")
    for sha in ["HEAD", *others[:-1]]:
        assert {line.partition("\t")[2] for line in changed(git, sha)} <= {"", *user.names}
    assert {path: git("show", f":{path}") for path in git("ls-files", *user.names).split("\n") if path} == user.staged
    assert {path: (repo.root / path).read_text().strip() for path in user.on_disk} == user.on_disk
    assert {path: repo.show("HEAD", path) for path in files} == files
    assert (left_in_git_folder(repo), git("fsck", "--no-dangling")) == ([], "")


def test_what_the_user_stages_for_a_path_of_ours_at_the_same_moment_stays(repo: Repository, git: Git) -> None:
    user = User(repo, git, 0)
    for number in range(12):
        his = git("hash-object", "-w", "--stdin", stdin=f"his {number}")
        with ThreadPoolExecutor(1) as pool:
            made = pool.submit(record, repo, {RECORD: b"%d\n" % number})
            time.sleep(number * 0.006)
            user.insist("update-index", "--cacheinfo", f"100644,{his},{RECORD}")
            made.result()
        assert git("rev-parse", f":{RECORD}") == his
        git("reset", "--quiet")
