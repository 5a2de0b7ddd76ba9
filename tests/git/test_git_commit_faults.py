"""Commits that cannot be made as they should: identities, signing, full disks, a git that hangs, locks."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from git_records import (
    IMPORTS,
    RECORD,
    RENDERED,
    Contents,
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
from infra_orch.git import index, repository
from infra_orch.git.index import mend_index
from infra_orch.git.repository import Repository


def test_a_user_whom_git_does_not_know_still_gets_a_commit_and_is_told(
    repo: Repository, git: Git, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".gitconfig").unlink()
    monkeypatch.setenv("LOGNAME", "grace")
    made = record(repo, {RECORD: b"new\n"})
    author = git("log", "-1", "--format=%an <%ae>")
    assert author.startswith("grace <grace@")
    assert [author in note and "git config --global user.name" in note for note in made.notes] == [True]


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen to sign")
def test_a_commit_is_signed_where_the_user_signs(repo: Repository, git: Git, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (tmp_path / "signers").write_text(f"ada@example.com {key.with_suffix('.pub').read_text()}")
    for name, value in [
        ("commit.gpgSign", "yes"),
        ("gpg.format", "ssh"),
        ("user.signingKey", str(key)),
        ("gpg.ssh.allowedSignersFile", str(tmp_path / "signers")),
    ]:
        git("config", name, value)
    record(repo, {RECORD: b"new\n"})
    assert git("log", "-1", "--format=%G?") == "G"


def test_where_signing_fails_nothing_is_committed(repo: Repository, git: Git) -> None:
    git("config", "commit.gpgSign", "true")
    git("config", "gpg.program", "false")
    before = git("rev-parse", "HEAD")
    with pytest.raises(
        UserError, match=r"1 file was written but not committed: git could not sign the commit: .*gpg failed"
    ):
        record(repo, {RECORD: b"new\n"})
    assert (git("rev-parse", "HEAD"), status(git), left_in_git_folder(repo)) == (before, [f" M {RECORD}"], [])


def test_a_setting_that_git_does_not_understand_is_not_guessed(repo: Repository, git: Git) -> None:
    git("config", "commit.gpgSign", "perhaps")
    with pytest.raises(UserError, match=r"not committed: .*bad boolean config value 'perhaps'"):
        record(repo, {RECORD: b"new\n"})
    assert git("log", "--format=%s") == "first"


# What goes wrong


def test_the_command_for_committing_by_hand_does_what_we_could_not(repo: Repository, git: Git) -> None:
    git("config", "commit.gpgSign", "true")
    git("config", "gpg.program", "false")
    write(repo.root, {"mine.txt": b"staged\n"})
    git("add", "mine.txt")
    with pytest.raises(UserError) as caught:
        record(repo, {RECORD: None, "it's new": b"new\n"})
    git("config", "commit.gpgSign", "false")
    subprocess.run(caught.value.hint.partition("by hand: ")[2], shell=True, check=True, capture_output=True)
    assert (changed(git), status(git)) == (["A\tit's new", f"D\t{RECORD}"], ["M  mine.txt"])


@pytest.mark.parametrize(
    "command", ["fast-import", "read-tree", "update-index", "write-tree", "commit-tree", "diff-index", "update-ref"]
)
def test_a_full_disk_at_any_step_leaves_nothing_half_done(
    repo: Repository, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    before = (git("rev-parse", "HEAD"), git("ls-files", "--stage"))
    stand_in(
        tmp_path,
        monkeypatch,
        f'case " $* " in *" {command} "*) echo "fatal: No space left on device" >&2; exit 128;; esac',
    )
    with pytest.raises(UserError, match=r"1 file was written but not committed: .*No space left on device"):
        record(repo, {RECORD: b"new\n"})
    assert ((git("rev-parse", "HEAD"), git("ls-files", "--stage")), left_in_git_folder(repo)) == (before, [])


def test_a_write_that_fails_midway_leaves_nothing_but_what_gits_own_cleaning_takes(
    repo: Repository, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name for path in (repo.root / ".git").iterdir()}
    with monkeypatch.context() as patch:
        stand_in(tmp_path, patch, 'trap "" XFSZ; ulimit -f 1')
        with pytest.raises(UserError, match=r"not committed: .*File too large"):
            record(repo, {RECORD: random.Random(1).randbytes(10_000)})
    assert ({path.name for path in (repo.root / ".git").iterdir()}, git("fsck")) == (before, "")
    git("gc", "--quiet", "--prune=now")
    assert list((repo.root / ".git/objects").rglob("tmp_*")) == []


@pytest.mark.parametrize("command", ["fast-import", "update-index"])
def test_a_git_that_hangs_is_given_up(
    repo: Repository, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    stand_in(tmp_path, monkeypatch, f'case " $* " in *" {command} "*) exec sleep 20;; esac')
    monkeypatch.setattr(repository, "TIMEOUT_SECONDS", 0.5)
    with pytest.raises(UserError, match=r"1 file was written but not committed: .*no answer"):
        record(repo, {RECORD: b"new\n"})
    assert (git("log", "--format=%s"), left_in_git_folder(repo)) == ("first", [])


def test_an_edit_as_old_as_the_index_is_seen_afterwards_too(repo: Repository, git: Git) -> None:
    """Git looks into a file itself where the index is not younger than what it says of that file."""
    git("config", "core.checkStat", "minimal")
    git("config", "core.trustCtime", "false")
    second = 1_700_000_000
    mine, entries = repo.root / "mine.txt", repo.root / ".git/index"
    os.utime(mine, (second, second))
    git("update-index", "--refresh")
    os.utime(entries, (second, second))
    mine.write_bytes(b"MINE\n")
    os.utime(mine, (second, second))
    record(repo, {RECORD: b"new\n"})
    assert status(git) == [" M mine.txt"]


def test_without_the_lock_of_the_index_the_commit_is_made_and_the_next_run_mends_the_index(
    repo: Repository, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "LOCK_PATIENCE_SECONDS", 0.1)
    write(repo.root, {"mine.txt": b"staged\n"})
    git("add", "mine.txt")
    lock = repo.root / ".git/index.lock"
    lock.touch()
    made = [record(repo, {RECORD: content, RENDERED: content}) for content in (b"new\n", b"newer\n")]
    assert [["index.lock" in note for note in commit.notes] for commit in made] == [[True], [True]]
    assert mend_index(repo) == ()
    lock.unlink()
    assert len(mend_index(repo)) == 1
    assert (status(git), repo.show("HEAD", RECORD)) == (["M  mine.txt"], b"newer\n")
    assert (mend_index(repo), left_in_git_folder(repo)) == ((), [])


@pytest.mark.parametrize("again", [{RECORD: b"new\n"}, {RENDERED: b"text\n"}])
def test_any_later_commit_mends_the_index_too(
    repo: Repository, git: Git, monkeypatch: pytest.MonkeyPatch, again: Contents
) -> None:
    monkeypatch.setattr(index, "LOCK_PATIENCE_SECONDS", 0.0)
    lock = repo.root / ".git/index.lock"
    lock.touch()
    record(repo, {RECORD: b"new\n"})
    lock.unlink()
    record(repo, again)
    assert (status(git), left_in_git_folder(repo)) == ([], [])


def test_a_run_that_mends_while_another_moves_head_without_the_lock_forgets_nothing(
    repo: Repository, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "LOCK_PATIENCE_SECONDS", 0.0)
    (repo.root / ".git/index.lock").touch()
    mend = f"mend_index(Repository(Path({str(repo.root)!r})))"
    (tmp_path / "mend.py").write_text(f"{IMPORTS}\n{mend}\n")
    script = f'rm .git/index.lock; {sys.executable} "{tmp_path / "mend.py"}"'
    with monkeypatch.context() as patch:
        stand_in(tmp_path, patch, f'case " $* " in *" update-ref "*) {script};; esac')
        assert len(record(repo, {RECORD: b"new\n"}).notes) == 1
    mend_index(repo)
    assert status(git) == []


def test_what_the_user_staged_meanwhile_is_not_mended_away(
    repo: Repository, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "LOCK_PATIENCE_SECONDS", 0.0)
    lock = repo.root / ".git/index.lock"
    lock.touch()
    record(repo, {RECORD: b"new\n"})
    lock.unlink()
    write(repo.root, {RECORD: b"his\n"})
    git("add", RECORD)
    mend_index(repo)
    assert (git("show", f":{RECORD}"), left_in_git_folder(repo)) == ("his", [])


def test_a_lock_that_is_given_back_soon_is_waited_for(repo: Repository, git: Git) -> None:
    lock = repo.root / ".git/index.lock"
    lock.touch()
    timer = threading.Timer(0.4, lock.unlink)
    timer.start()
    assert record(repo, {RECORD: b"new\n"}).notes == ()
    timer.join()
    assert status(git) == []


def test_a_run_that_is_killed_while_it_holds_the_lock_is_mended_by_the_next(
    repo: Repository, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(repo.root, {RECORD: b"new\n", "mine.txt": b"staged\n"})
    git("add", "mine.txt")
    with monkeypatch.context() as patch:
        stand_in(tmp_path, patch, 'case " $* " in *" update-ref "*) "$GIT" "$@"; kill -9 $PPID; exit;; esac')
        assert run_python(repo, {RECORD: b"new\n"}).wait() == -signal.SIGKILL
    assert git("log", "-1", "--format=%s") == "apply prod: 1 unit"
    assert (repo.root / ".git/index.lock").exists()
    record(repo, {RENDERED: b"text\n"})
    assert (status(git), left_in_git_folder(repo)) == (["M  mine.txt"], [])


def test_what_a_run_had_in_the_index_that_was_killed_before_its_commit_is_not_taken_for_staged(
    repo: Repository, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(repo.root, {RECORD: b"new\n", "mine.txt": b"staged\n"})
    git("add", "mine.txt")
    with monkeypatch.context() as patch:
        stand_in(tmp_path, patch, 'case " $* " in *" update-ref "*) kill -9 $PPID; exit;; esac')
        assert run_python(repo, {RECORD: b"new\n"}).wait() == -signal.SIGKILL
    assert git("log", "-1", "--format=%s") == "first"
    record(repo, {RENDERED: b"text\n"})
    assert (status(git), changed(git)) == (["M  mine.txt", f" M {RECORD}"], [f"A\t{RENDERED}"])


def test_whoever_reads_head_and_then_the_index_never_finds_the_older_index(
    repo: Repository, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    look = f'"$GIT" "$@"; "$GIT" diff --cached --name-only >"{seen}"; exit'
    stand_in(tmp_path, monkeypatch, f'case " $* " in *" update-ref "*) {look};; esac')
    record(repo, {RECORD: b"new\n"})
    assert (seen.read_text(), status(git)) == ("", [])


def test_a_lock_of_a_run_that_lives_is_not_taken_over(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "LOCK_PATIENCE_SECONDS", 0.0)
    lock = repo.root / ".git/index.lock"
    with lock.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(index._MARK)
        file.flush()
        made = record(repo, {RECORD: b"new\n"})
    assert ["index.lock" in note for note in made.notes] == [True]
    assert lock.exists()


# Others at the same time
