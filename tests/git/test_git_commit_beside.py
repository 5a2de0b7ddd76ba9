"""A commit of ours beside the user's own work: staged, stashed, merging, rebasing, in repositories of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from git_records import (
    MESSAGE,
    RECORD,
    RENDERED,
    Git,
    changed,
    record,
    status,
    write,
)

from infra_orch.errors import UserError
from infra_orch.git.commit import commit_paths
from infra_orch.git.repository import Repository


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
