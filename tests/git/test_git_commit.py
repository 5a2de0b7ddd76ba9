from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra_orch.errors import UserError
from infra_orch.git import index, repository
from infra_orch.git.commit import Commit, commit_paths
from infra_orch.git.index import mend_index
from infra_orch.git.repository import Repository

Git = Callable[..., str]
Contents = Mapping[str, bytes | None]

MESSAGE = "apply prod: 1 unit\n\nnetwork: created 3\n\nInfra-Orch-Run: run-1\n"
RECORD = "stacks/prod/record/network.json"
RENDERED = "stacks/prod/rendered/network/main.tf"

IMPORTS = """
from pathlib import Path
from infra_orch.git.commit import commit_paths
from infra_orch.git.index import mend_index
from infra_orch.git.repository import Repository
"""


@pytest.fixture
def repo(root: Path, git: Git) -> Repository:
    """A repository with a commit that holds an old record of ours and a file of the user's."""
    write(root, {RECORD: b"old\n", "mine.txt": b"mine\n"})
    git("add", "--all")
    git("commit", "--quiet", "-m", "first")
    return Repository(root)


def write(root: Path, contents: Contents) -> None:
    for path, content in contents.items():
        if content is None:
            (root / path).unlink(missing_ok=True)
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)


def record(repo: Repository, contents: Contents, message: str = MESSAGE) -> Commit:
    """What the tool does: write the files, then commit them."""
    write(repo.root, contents)
    return commit_paths(repo, contents, message)


def changed(git: Git, commit: str = "HEAD") -> list[str]:
    return git("show", "--format=", "--name-status", "--no-renames", commit).split("\n")


def status(git: Git) -> list[str]:
    return [line for line in git("status", "--porcelain", "--untracked-files=all").split("\n") if line]


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program called git before the real one: *script* in sh, `"$GIT" "$@"` is the real one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "git"
    program.write_text(f'#!/bin/sh\nGIT={shutil.which("git")}\n{textwrap.dedent(script)}\nexec "$GIT" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def left_in_git_folder(repo: Repository) -> list[str]:
    return sorted(
        str(path.relative_to(repo.root))
        for path in (repo.root / ".git").rglob("*")
        if "infra-orch" in path.name or path.name.endswith(".lock")
    )


# What is committed


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


def test_staged_and_unstaged_work_and_the_stash_stay(repo: Repository, git: Git) -> None:
    write(repo.root, {"mine.txt": b"stashed\n"})
    git("stash", "push", "--quiet")
    write(repo.root, {"mine.txt": b"staged\n", "new": b"staged\n", "intended": b"later\n"})
    git("add", "mine.txt", "new")
    git("add", "--intent-to-add", "intended")
    write(repo.root, {"mine.txt": b"edited\n"})
    before = (status(git), git("diff"), git("diff", "--cached"), git("stash", "show", "-p"))
    record(repo, {RECORD: b"new\n", RENDERED: b"text\n"})
    assert (status(git), git("diff"), git("diff", "--cached"), git("stash", "show", "-p")) == before


def test_plumbing_that_compares_times_and_sizes_finds_the_files_unchanged(repo: Repository, git: Git) -> None:
    record(repo, {RECORD: b"new\n", RENDERED: b"text\n"})
    assert git("diff-files", "--name-only") == ""


def test_the_users_next_commit_does_not_undo_ours(repo: Repository, git: Git) -> None:
    write(repo.root, {"mine.txt": b"staged\n"})
    git("add", "mine.txt")
    record(repo, {RECORD: b"new\n", RENDERED: b"text\n"})
    git("commit", "--quiet", "-m", "mine")
    assert (changed(git), repo.show("HEAD", RECORD), status(git)) == (["M\tmine.txt"], b"new\n", [])


def test_what_the_user_staged_for_a_path_of_ours_stays_and_is_said(repo: Repository, git: Git) -> None:
    write(repo.root, {RECORD: b"his\n"})
    git("add", RECORD)
    made = record(repo, {RECORD: b"new\n", RENDERED: b"text\n"})
    assert git("show", f":{RECORD}") == "his"
    assert repo.show("HEAD", RECORD) == b"new\n"
    assert [RECORD in note and "staged" in note for note in made.notes] == [True]
    assert status(git) == [f"MM {RECORD}"]


def test_a_staged_deletion_of_a_path_of_ours_stays(repo: Repository, git: Git) -> None:
    git("rm", "--quiet", "--cached", RECORD)
    made = record(repo, {RECORD: b"new\n"})
    assert status(git) == [f"D  {RECORD}", f"?? {RECORD}"]
    assert len(made.notes) == 1


def test_a_path_that_the_user_added_as_it_is_needs_nothing(repo: Repository, git: Git) -> None:
    write(repo.root, {RENDERED: b"text\n"})
    git("add", RENDERED)
    assert record(repo, {RENDERED: b"text\n"}).notes == ()
    assert status(git) == []


def test_no_hook_runs(repo: Repository, git: Git, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    for hook in [
        "pre-commit",
        "commit-msg",
        "prepare-commit-msg",
        "post-commit",
        "post-index-change",
        "reference-transaction",
        "fsmonitor",
    ]:
        program = repo.root / ".git/hooks" / hook
        program.write_text(f"#!/bin/sh\necho {hook} >> '{ran}'\nexit 1\n")
        program.chmod(0o755)
    git("config", "core.fsmonitor", ".git/hooks/fsmonitor")
    record(repo, {RECORD: b"new\n"})
    assert not ran.exists()


def test_a_detached_head_moves_and_no_branch_does(repo: Repository, git: Git) -> None:
    git("checkout", "--quiet", "--detach")
    main = git("rev-parse", "main")
    made = record(repo, {RECORD: b"new\n"})
    assert (made.sha, made.branch, git("rev-parse", "main")) == (git("rev-parse", "HEAD"), None, main)
    assert ["detached" in note and f"git branch NAME {str(made.sha)[:12]}" in note for note in made.notes] == [True]


@pytest.fixture
def conflict(repo: Repository, git: Git) -> str:
    """Two branches that changed the same line of the user's file; `other` also has a file of its own."""
    git("checkout", "--quiet", "-b", "other")
    write(repo.root, {"mine.txt": b"other\n", "brought": b"x\n"})
    git("add", "--all")
    git("commit", "--quiet", "-m", "other")
    git("checkout", "--quiet", "main")
    write(repo.root, {"mine.txt": b"main\n"})
    git("commit", "--quiet", "-am", "main")
    return git("rev-parse", "other")


def test_a_merge_with_conflicts_goes_on(repo: Repository, git: Git, conflict: str) -> None:
    git("merge", "other", check=False)
    before = (git("ls-files", "--unmerged"), git("diff"))
    made = record(repo, {RECORD: b"new\n", RENDERED: b"text\n"})
    assert ((git("ls-files", "--unmerged"), git("diff")), made.notes) == (before, ())
    assert changed(git) == [f"M\t{RECORD}", f"A\t{RENDERED}"]
    write(repo.root, {"mine.txt": b"both\n"})
    git("add", "mine.txt")
    git("commit", "--quiet", "--no-edit")
    assert git("log", "-1", "--format=%P") == f"{made.sha} {conflict}"
    assert git("diff", "--name-only", "HEAD^1", "HEAD").split("\n") == ["brought", "mine.txt"]


def test_an_unmerged_path_of_ours_stays_unmerged(repo: Repository, git: Git) -> None:
    git("checkout", "--quiet", "-b", "other")
    record(repo, {RECORD: b"theirs\n"})
    git("checkout", "--quiet", "main")
    record(repo, {RECORD: b"ours\n"})
    git("merge", "other", check=False)
    before = git("ls-files", "--unmerged")
    record(repo, {RECORD: b"new\n"})
    assert (git("ls-files", "--unmerged"), before.count("\n")) == (before, 2)


def test_a_path_of_ours_that_a_merge_wants_back_stays_unmerged(repo: Repository, git: Git) -> None:
    git("checkout", "--quiet", "-b", "other")
    record(repo, {RECORD: b"theirs\n"})
    git("checkout", "--quiet", "main")
    record(repo, {RECORD: None})
    git("merge", "other", check=False)
    before = git("ls-files", "--unmerged")
    made = record(repo, {RECORD: b"new\n"})
    assert (git("ls-files", "--unmerged"), before.count("\n")) == (before, 1)
    assert (repo.show("HEAD", RECORD), len(made.notes)) == (b"new\n", 1)


def test_a_cherry_pick_with_conflicts_goes_on(repo: Repository, git: Git, conflict: str) -> None:
    git("cherry-pick", "other", check=False)
    made = record(repo, {RECORD: b"new\n"})
    write(repo.root, {"mine.txt": b"both\n"})
    git("add", "mine.txt")
    git("-c", "core.editor=true", "cherry-pick", "--continue")
    assert git("log", "-1", "--format=%P %s") == f"{made.sha} other"
    assert changed(git) == ["A\tbrought", "M\tmine.txt"]


def test_a_rebase_with_conflicts_goes_on_and_takes_our_commit_along(repo: Repository, git: Git, conflict: str) -> None:
    git("rebase", "other", check=False)
    made = record(repo, {RECORD: b"new\n"})
    write(repo.root, {"mine.txt": b"both\n"})
    git("add", "mine.txt")
    git("-c", "core.editor=true", "rebase", "--continue")
    assert git("log", "-3", "--format=%s", "main").split("\n") == ["main", "apply prod: 1 unit", "other"]
    assert (repo.branch(), repo.show("main", RECORD)) == ("main", b"new\n")
    assert ["rebase" in note and str(made.sha)[:12] in note for note in made.notes] == [True]


def test_a_linked_working_tree_has_its_own_head_and_index(repo: Repository, git: Git, tmp_path: Path) -> None:
    linked = Repository(tmp_path / "linked")
    git("worktree", "add", "--quiet", "-b", "other", str(linked.root))
    main = git("rev-parse", "main")
    made = record(linked, {RECORD: b"new\n"})
    assert (made.branch, made.sha, git("rev-parse", "main")) == ("other", git("rev-parse", "other"), main)
    assert (git("status", "--porcelain", cwd=linked.root), status(git)) == ("", [])


def test_a_sparse_checkout_stays_sparse(repo: Repository, git: Git) -> None:
    record(repo, {"far/away": b"x\n", "far/too": b"x\n", "near/file": b"x\n"})
    git("sparse-checkout", "set", "--cone", "--sparse-index", "near")
    record(repo, {"near/record": b"new\n", "distant/record": b"new\n", "far/away": b"y\n"})
    assert changed(git) == ["A\tdistant/record", "M\tfar/away", "A\tnear/record"]
    assert (status(git), (repo.root / "far/too").exists()) == ([], False)


def test_an_index_in_two_parts_works(repo: Repository, git: Git) -> None:
    git("config", "core.splitIndex", "true")
    git("update-index", "--split-index")
    write(repo.root, {"mine.txt": b"staged\n"})
    git("add", "mine.txt")
    record(repo, {RECORD: b"new\n", RENDERED: b"text\n"})
    assert status(git) == ["M  mine.txt"]


def test_a_clone_without_a_checkout_can_still_be_checked_out(repo: Repository, git: Git, tmp_path: Path) -> None:
    clone = Repository(tmp_path / "clone")
    git("clone", "--quiet", "--no-checkout", str(repo.root), str(clone.root))
    commit_paths(clone, {"record": b"new\n"}, MESSAGE)
    git("checkout", "--quiet", "main", cwd=clone.root)
    assert git("status", "--porcelain", cwd=clone.root) == ""
    assert (clone.root / "record").read_bytes() == b"new\n"


def test_executable_files_stay_executable(repo: Repository, git: Git) -> None:
    write(repo.root, {"run.sh": b"1\n"})
    (repo.root / "run.sh").chmod(0o755)
    record(repo, {"run.sh": b"2\n"})
    assert (git("ls-tree", "HEAD", "run.sh").split()[0], status(git)) == ("100755", [])


def test_where_file_modes_mean_nothing_the_committed_one_stays(repo: Repository, git: Git) -> None:
    git("update-index", "--chmod=+x", RECORD)
    git("commit", "--quiet", "-m", "executable")
    git("config", "core.fileMode", "false")
    record(repo, {RECORD: b"new\n", RENDERED: b"text\n"})
    assert [line.split()[0] for line in git("ls-tree", "-r", "HEAD", "stacks").split("\n")] == ["100755", "100644"]


def test_a_file_that_git_ignores_is_committed(repo: Repository, git: Git) -> None:
    (repo.root / ".git/info/exclude").write_text("*.json\n")
    record(repo, {"new.json": b"new\n"})
    assert (changed(git), status(git)) == (["A\tnew.json"], [])


@pytest.mark.parametrize("setting", ["true", "input"])
def test_line_ends_are_not_converted_and_status_is_clean(repo: Repository, git: Git, setting: str) -> None:
    git("config", "core.autocrlf", setting)
    record(repo, {RECORD: b"one\ntwo\n", RENDERED: b"one\r\ntwo\r\n"})
    assert (repo.show("HEAD", RECORD), repo.show("HEAD", RENDERED)) == (b"one\ntwo\n", b"one\r\ntwo\r\n")
    assert status(git) == []


def test_a_filter_does_not_run_and_is_mentioned(repo: Repository, git: Git) -> None:
    ran = repo.root / ".git/ran"
    git("config", "filter.loud.clean", f"touch '{ran}'; tr a-z A-Z")
    (repo.root / ".git/info/attributes").write_text("*.json filter=loud\n*.md -filter\n")
    made = record(repo, {RECORD: b"new\n", "a.md": b"a\n"})
    assert (repo.show("HEAD", RECORD), ran.exists()) == (b"new\n", False)
    assert [f'filter=loud for "{RECORD}"' in note for note in made.notes] == [True]


def test_links_and_submodules_beside_our_paths_stay(repo: Repository, git: Git) -> None:
    (repo.root / "stacks/link").symlink_to("prod")
    git("add", "--all")
    git("update-index", "--add", "--cacheinfo", f"160000,{git('rev-parse', 'HEAD')},stacks/sub")
    (repo.root / "stacks/sub").mkdir()
    git("commit", "--quiet", "-m", "link and submodule")
    record(repo, {RECORD: b"new\n"})
    assert (changed(git), status(git)) == ([f"M\t{RECORD}"], [])


def test_a_path_behind_a_symbolic_link_is_refused(repo: Repository, git: Git) -> None:
    (repo.root / "stacks/link").symlink_to("prod")
    with pytest.raises(UserError, match='"stacks/link" is a symbolic link'):
        record(repo, {"stacks/link/record/a.json": b"new\n"})
    assert git("log", "--format=%s") == "first"


@pytest.mark.parametrize(
    ("kind", "mode"), [("a submodule", "160000"), ("a symbolic link", "120000"), ("a file", "100644")]
)
def test_a_path_below_something_that_is_no_folder_in_the_last_commit_is_refused(
    repo: Repository, git: Git, kind: str, mode: str
) -> None:
    thing = git("rev-parse", "HEAD" if mode == "160000" else "HEAD:mine.txt")
    git("update-index", "--add", "--cacheinfo", f"{mode},{thing},stacks/other")
    git("commit", "--quiet", "-m", "thing")
    with pytest.raises(UserError, match=f'take away "stacks/other", which is {kind}'):
        record(repo, {"stacks/other/record.json": b"new\n"})
    assert git("log", "-1", "--format=%s") == "thing"


# Who commits, and how


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


def run_python(repo: Repository, contents: Contents, message: str = MESSAGE) -> subprocess.Popen[bytes]:
    call = f"commit_paths(Repository(Path({str(repo.root)!r})), {dict(contents)!r}, {message!r})"
    return subprocess.Popen([sys.executable, "-c", f"{IMPORTS}\n{call}"])


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


@pytest.mark.parametrize("seed", range(6))
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
