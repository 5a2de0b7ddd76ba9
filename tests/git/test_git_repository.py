from __future__ import annotations

import datetime as dt
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from infra_orch.errors import UsageError, UserError
from infra_orch.git.repository import Repository, find_repository

Git = Callable[..., str]

ODD_NAMES = ["-f", "--all", "with space", "ünï/çødé 雪", ":(top)x", "a*b", 'quo"te', "new\nline", "tab\there", "#hash"]


@pytest.fixture
def repository(root: Path) -> Repository:
    found = find_repository(root)
    assert found is not None
    return found


def write(root: Path, path: str, text: str = "text\n") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def commit_all(git: Git, message: str = "work") -> str:
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "-m", message)
    return git("rev-parse", "HEAD")


@pytest.mark.parametrize("folder", [".", "stacks/prod", "not/made/yet"])
def test_a_folder_belongs_to_the_repository_around_it(root: Path, folder: str) -> None:
    (root / "stacks/prod").mkdir(parents=True)
    assert find_repository(root / folder) == Repository(root)


def test_a_folder_outside_any_repository_has_none(tmp_path: Path) -> None:
    assert find_repository(tmp_path / "home") is None


def test_a_bare_repository_has_no_files_to_work_on(tmp_path: Path, git: Git) -> None:
    git("init", "--quiet", "--bare", str(tmp_path / "bare.git"))
    assert find_repository(tmp_path / "bare.git") is None


def test_gits_own_folder_is_no_place_to_work_in(root: Path) -> None:
    assert find_repository(root / ".git" / "objects") is None


def test_a_linked_working_tree_is_a_repository_of_its_own(tmp_path: Path, git: Git) -> None:
    commit_all(git)
    git("worktree", "add", "--quiet", "-b", "other", str(tmp_path / "linked"))
    linked = find_repository(tmp_path / "linked")
    assert linked is not None
    assert (linked.root, linked.branch()) == (tmp_path / "linked", "other")


def test_a_machine_without_git_has_no_repository(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "home"))
    assert find_repository(root) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_repository_of_another_user_is_refused_with_the_command_that_allows_it(root: Path) -> None:
    for path in [root, root / ".git"]:
        os.chown(path, 12345, 12345)
    with pytest.raises(UserError) as caught:
        find_repository(root)
    assert caught.value.hint == f'git config --global --add safe.directory "{root}"'


def test_a_broken_configuration_is_shown_in_gits_words(root: Path) -> None:
    (root / ".git/config").write_text("[core\n")
    with pytest.raises(UserError, match="bad config line 1"):
        find_repository(root)


def test_variables_of_a_hook_do_not_send_us_to_another_repository(
    root: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("init", "--quiet", str(tmp_path / "other"))
    write(root, "new")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other/.git/index"))
    found = find_repository(root)
    assert found is not None
    assert (found.root, found.dirty(["."])) == (root, ("new",))


def test_a_path_is_told_relative_to_the_root(repository: Repository, root: Path, tmp_path: Path) -> None:
    (root / "stacks").mkdir()
    (tmp_path / "way").symlink_to(root)
    assert repository.relative(tmp_path / "way/stacks/new file") == "stacks/new file"


def test_a_path_outside_the_repository_is_refused(repository: Repository, root: Path) -> None:
    with pytest.raises(UsageError, match="outside the git repository"):
        repository.relative(root / "../elsewhere")


def test_a_new_repository_has_a_branch_and_no_commit(repository: Repository) -> None:
    assert (repository.branch(), repository.head()) == ("main", None)


def test_the_head_is_the_commit_that_is_checked_out(repository: Repository, git: Git) -> None:
    commit = commit_all(git)
    assert repository.head() == commit


def test_a_detached_head_is_on_no_branch(repository: Repository, git: Git) -> None:
    commit_all(git)
    git("checkout", "--quiet", "--detach")
    assert repository.branch() is None


def test_the_user_is_who_git_says(repository: Repository, git: Git) -> None:
    git("config", "user.name", "Zoë Ł")
    assert repository.user() == "Zoë Ł <ada@example.com>"


def test_a_user_whom_git_does_not_know_has_a_login_name(
    repository: Repository, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".gitconfig").unlink()
    monkeypatch.setenv("LOGNAME", "gr<ace\n")
    assert re.fullmatch(r"grace <grace@[^<>\n]+>", repository.user())


def test_dirty_names_what_is_not_as_in_the_last_commit(repository: Repository, root: Path, git: Git) -> None:
    for path in ["same", "edited", "staged", "deleted", "moved"]:
        write(root, path)
    commit_all(git)
    write(root, "edited", "other\n")
    write(root, "staged", "other\n")
    git("add", "staged")
    (root / "deleted").unlink()
    git("mv", "moved", "here")
    write(root, "folder/untracked")
    assert repository.dirty(["."]) == ("deleted", "edited", "folder/untracked", "here", "moved", "staged")


def test_dirty_looks_only_at_the_given_paths(repository: Repository, root: Path) -> None:
    for path in ["stacks/prod/a", "stacks/production/b", "stacks/*/c"]:
        write(root, path)
    assert repository.dirty(["stacks/prod", "stacks/*"]) == ("stacks/*/c", "stacks/prod/a")


def test_dirty_takes_more_paths_than_a_command_line_holds(repository: Repository, root: Path) -> None:
    paths = [f"{'long' * 50}/{number}" for number in range(1200)]
    write(root, paths[1100])
    assert repository.dirty(paths) == (paths[1100],)


def test_a_question_does_not_write_the_users_index(repository: Repository, root: Path, git: Git) -> None:
    write(root, "file")
    commit_all(git)
    before = (root / ".git/index").stat().st_ino  # git puts a new file in its place when it writes
    os.utime(root / "file", (1, 1))  # git would note the new time, if it might
    repository.dirty(["."])
    assert (root / ".git/index").stat().st_ino == before


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_of_a_file_can_be_read_listed_found_and_compared(
    repository: Repository, root: Path, git: Git, name: str
) -> None:
    write(root, name, "content")
    commit = commit_all(git)
    (root / name).write_text("edited")
    listed = repository.list_tree("HEAD", name)
    assert repository.show("HEAD", name) == b"content"
    assert repository.read_blobs([blob for _, blob in listed]) == {listed[0][1]: b"content"}
    assert [entry.sha for entry in repository.log([name], 5)] == [commit]
    assert (listed[0][0], repository.dirty([name]), repository.last_commit_with(name)) == (name, (name,), commit)


def test_an_older_commit_shows_its_own_content(repository: Repository, root: Path, git: Git) -> None:
    write(root, "file", "first")
    first = commit_all(git)
    write(root, "file", "second")
    commit_all(git)
    assert (repository.show(first, "file"), repository.show("HEAD", "file")) == (b"first", b"second")


@pytest.mark.parametrize(("ref", "path"), [("HEAD", "gone"), ("HEAD", "folder"), ("nowhere", "folder/file")])
def test_there_is_nothing_to_show_where_no_file_is(
    repository: Repository, root: Path, git: Git, ref: str, path: str
) -> None:
    write(root, "folder/file")
    commit_all(git)
    assert repository.show(ref, path) is None


@pytest.mark.parametrize("ref", ["-x", "--output=/tmp/x", "", "a b", "main..other", "HEAD:file", "main\n"])
def test_what_is_not_the_name_of_a_commit_is_refused(repository: Repository, ref: str) -> None:
    questions: list[Callable[[], object]] = [
        lambda: repository.resolve(ref),
        lambda: repository.show(ref, "x"),
        lambda: repository.list_tree(ref, ""),
    ]
    for ask in questions:
        with pytest.raises(UsageError, match="not the name of"):
            ask()


@pytest.mark.parametrize("ref", ["HEAD~1", "v1", "feature/a-b.c", "main@{0}", "HEAD^{commit}"])
def test_every_usual_way_to_name_a_commit_is_understood(repository: Repository, git: Git, ref: str) -> None:
    commit_all(git)
    git("tag", "-m", "one", "v1")
    commit_all(git)
    git("branch", "feature/a-b.c")
    assert repository.resolve(ref) == git("rev-parse", f"{ref}^{{commit}}")


def test_a_tree_is_listed_without_links_and_submodules(repository: Repository, root: Path, git: Git) -> None:
    for path in ["stacks/prod/b", "stacks/prod/a/x", "stacks/production/c", "top"]:
        write(root, path, path)
    (root / "stacks/prod/link").symlink_to("b")
    commit = commit_all(git)
    git("update-index", "--add", "--cacheinfo", f"160000,{commit},stacks/prod/sub")
    git("commit", "--quiet", "-m", "with a submodule")
    listed = dict(repository.list_tree("HEAD", "stacks/prod"))
    contents = repository.read_blobs(listed.values())
    assert {path: contents[blob] for path, blob in listed.items()} == {
        "stacks/prod/a/x": b"stacks/prod/a/x",
        "stacks/prod/b": b"stacks/prod/b",
    }
    assert [path for path, _ in repository.list_tree("HEAD", "")] == git(
        "ls-files", "stacks/prod/[ab]*", "stacks/production", "top"
    ).split("\n")


def test_a_repository_without_a_commit_has_an_empty_tree(repository: Repository) -> None:
    assert repository.list_tree("HEAD", "") == []


def test_a_tree_of_no_commit_is_an_error_that_names_it(repository: Repository) -> None:
    with pytest.raises(UserError, match='no commit "mian"'):
        repository.list_tree("mian", "")


def test_blobs_of_any_content_come_back_byte_for_byte(repository: Repository, root: Path, git: Git) -> None:
    contents = [b"", b"\n", b"a\0b\nblob 3\n", bytes(range(256)) * 1000, b"no end"]
    for number, content in enumerate(contents):
        (root / f"file{number}").write_bytes(content)
    commit_all(git)
    listed = [blob for _, blob in repository.list_tree("HEAD", "")]
    read = repository.read_blobs(listed)
    assert [read[blob] for blob in listed] == contents


def test_a_missing_blob_is_an_error(repository: Repository) -> None:
    with pytest.raises(UserError, match="no object 0123"):
        repository.read_blobs(["0123" * 10])


def test_what_is_still_there_is_in_the_head(repository: Repository, root: Path, git: Git) -> None:
    write(root, "unit/main.tf")
    commit_all(git)
    write(root, "other")
    newest = commit_all(git)
    assert repository.last_commit_with("unit") == newest


def test_a_deleted_folder_is_found_as_it_last_was(repository: Repository, root: Path, git: Git) -> None:
    write(root, "unit/a")
    write(root, "unit/b")
    commit_all(git)
    (root / "unit/a").unlink()
    last = commit_all(git)
    shutil.rmtree(root / "unit")
    commit_all(git)
    write(root, "later")
    commit_all(git)
    assert repository.last_commit_with("unit") == last


def test_what_lived_and_died_on_a_merged_branch_is_found(repository: Repository, root: Path, git: Git) -> None:
    write(root, "base")
    commit_all(git)
    git("checkout", "--quiet", "-b", "side")
    write(root, "unit/a")
    last = commit_all(git)
    git("rm", "--quiet", "-r", "unit")
    commit_all(git)
    git("checkout", "--quiet", "main")
    write(root, "more")
    commit_all(git)
    git("merge", "--quiet", "--no-edit", "side")
    assert repository.last_commit_with("unit") == last


def test_what_never_was_is_in_no_commit(repository: Repository, git: Git) -> None:
    assert repository.last_commit_with("unit") is None
    commit_all(git)
    assert repository.last_commit_with("unit") is None


def test_the_log_tells_who_when_and_what(repository: Repository, git: Git) -> None:
    started = dt.datetime.now(dt.UTC).replace(microsecond=0)
    commit = commit_all(
        git, "apply prod: 2 units\n\nnetwork: created 3\n\nInfra-Orch-Run: 20260101-abc\nReviewed-by: Bo <b@c>"
    )
    (entry,) = repository.log([], 5)
    assert (entry.sha, entry.author, entry.subject) == (commit, "Ada <ada@example.com>", "apply prod: 2 units")
    assert dict(entry.trailers) == {"Infra-Orch-Run": ("20260101-abc",), "Reviewed-by": ("Bo <b@c>",)}
    assert started <= dt.datetime.fromisoformat(entry.date) <= dt.datetime.now(dt.UTC)


def test_no_message_upsets_the_log(repository: Repository, git: Git) -> None:
    messages = [
        "%x00%H %n",
        "a\n\nb\x1f\x1e\x01c",
        "été\r\nline",
        "x\n\nnot a trailer\nKey: value\nmore",
        "commit 123\nAuthor: nobody",
    ]
    commits = []
    for message in messages:
        git("commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "-F", "-", stdin=message)
        commits.append(git("rev-parse", "HEAD"))
    git("commit", "--quiet", "--allow-empty", "--allow-empty-message", "-m", "")
    commits.append(git("rev-parse", "HEAD"))
    git("config", "log.showSignature", "true")
    assert [entry.sha for entry in repository.log([], 10)] == commits[::-1]
    assert [entry.subject for entry in repository.log([], 10)] == git("log", "--format=%s").split("\n")


def test_the_log_holds_the_newest_that_touch_the_paths(repository: Repository, root: Path, git: Git) -> None:
    commits = []
    for number in range(4):
        write(root, "record/a", str(number))
        commits.append(commit_all(git))
        write(root, "other", str(number))
        commit_all(git)
    assert [entry.sha for entry in repository.log(["record"], 3)] == commits[:0:-1]


def test_a_repository_without_a_commit_has_an_empty_log(repository: Repository) -> None:
    assert repository.log(["."], 3) == []


def test_who_changes_something_in_a_merge_is_an_author_and_who_only_merges_is_not(repo: Repository, git: Git) -> None:
    write(repo.root, "web/a.tf", "a\n")
    write(repo.root, "web/b.tf", "b\n")
    git("add", "--all")
    git("commit", "-q", "-m", "both")
    since = git("rev-parse", "HEAD")
    git("checkout", "-q", "-b", "side")
    write(repo.root, "web/a.tf", "a, by side\n")
    git("-c", "user.email=side@example.com", "commit", "-q", "-a", "-m", "a")
    git("checkout", "-q", "-")
    write(repo.root, "web/b.tf", "b, by main\n")
    git("-c", "user.email=main@example.com", "commit", "-q", "-a", "-m", "b")
    git("-c", "user.email=merger@example.com", "merge", "-q", "--no-ff", "-m", "merge", "side")
    mails = {author.partition("<")[2] for author in repo.authors(["web"], since)}
    assert mails == {"side@example.com>", "main@example.com>"}
    write(repo.root, "web/b.tf", "b, by nobody\n")
    git("-c", "user.email=merger@example.com", "commit", "-q", "-a", "--amend", "--reset-author", "-m", "merge")
    mails = {author.partition("<")[2] for author in repo.authors(["web"], since)}
    assert mails == {"side@example.com>", "main@example.com>", "merger@example.com>"}
