"""A remote: refs that are asked for, commits that are brought here, pushes that force nothing, and the lease."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from git_records import Git

from infra_orch.errors import RefusedError, UnavailableError, UsageError
from infra_orch.git.checkout import Checkout
from infra_orch.git.lease import Terms, give_back, new_terms, read_lease, ref_of, renewed, take
from infra_orch.git.remote import Answer, Remote, branch_ref, find_remote
from infra_orch.git.repository import Repository

MAIN = "refs/heads/main"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = ref_of("main")


@pytest.fixture
def remote(repo: Repository, git: Git, tmp_path: Path) -> Remote:
    """A bare repository that has what the repository has, as its origin."""
    git("clone", "--quiet", "--bare", str(repo.root), str(tmp_path / "bare.git"))
    git("remote", "add", "origin", str(tmp_path / "bare.git"))
    return find_remote(repo, "origin")


def elsewhere(git: Git, tmp_path: Path, text: str) -> str:
    """Somebody else pushes. Returns the commit."""
    there = tmp_path / "theirs"
    if not there.exists():
        git("clone", "--quiet", str(tmp_path / "bare.git"), str(there))
    (there / "theirs.txt").write_text(text)
    git("add", "--all", cwd=there)
    git("commit", "--quiet", "-m", text, cwd=there)
    git("push", "--quiet", cwd=there)
    return git("rev-parse", "HEAD", cwd=there)


def test_what_others_pushed_is_brought_here_and_no_ref_is_moved(remote: Remote, git: Git, tmp_path: Path) -> None:
    refs = git("for-each-ref")
    theirs = elsewhere(git, tmp_path, "one")
    assert remote.refs(MAIN, LEASE, "refs/heads/m") == {MAIN: theirs}
    assert remote.bring(MAIN, theirs)
    assert git("log", "-1", "--format=%s", theirs) == "one"
    assert git("for-each-ref") == refs
    assert not remote.bring("refs/heads/gone", "1" * 40)


def test_a_push_that_would_undo_somebodys_is_not_made(remote: Remote, git: Git, tmp_path: Path) -> None:
    theirs = elsewhere(git, tmp_path, "one")
    git("commit", "--quiet", "--allow-empty", "-m", "mine")
    assert remote.push(MAIN, git("rev-parse", "HEAD")).answer is Answer.MOVED
    assert remote.refs(MAIN) == {MAIN: theirs}
    git("pull", "--quiet", "--rebase", "origin", "main")
    assert remote.push(MAIN, git("rev-parse", "HEAD")).answer is Answer.TAKEN
    assert remote.refs(MAIN) == {MAIN: git("rev-parse", "HEAD")}


def test_what_a_hook_says_is_told(remote: Remote, git: Git, tmp_path: Path) -> None:
    hook = tmp_path / "bare.git/hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho nobody pushes on Sundays >&2; exit 1\n")
    hook.chmod(0o755)
    git("commit", "--quiet", "--allow-empty", "-m", "mine")
    pushed = remote.push(MAIN, git("rev-parse", "HEAD"))
    assert pushed.answer is Answer.REFUSED
    assert pushed.words == "[remote rejected] (pre-receive hook declined); nobody pushes on Sundays"
    terms = new_terms("Ada", "x", NOW, 60)
    with pytest.raises(RefusedError, match="origin does not take the lease") as found:
        take(remote, LEASE, None, terms)
    assert "--no-lease" in found.value.hint


def test_a_remote_that_is_gone_cannot_be_reached(remote: Remote, git: Git, tmp_path: Path) -> None:
    head = git("rev-parse", "HEAD")
    (tmp_path / "bare.git").rename(tmp_path / "away")
    for ask in (
        lambda: remote.refs(MAIN),
        lambda: remote.bring(MAIN, "1" * 40),
        lambda: remote.push(MAIN, head),
        lambda: remote.swap(LEASE, None, head),
    ):
        with pytest.raises(UnavailableError, match='the remote "origin" cannot be reached'):
            ask()


def test_names_are_names_and_no_options(repo: Repository) -> None:
    with pytest.raises(UsageError, match='no remote "--upload-pack=x"'):
        find_remote(repo, "--upload-pack=x")
    for name in ("-x", "a..b", "", "a b"):
        with pytest.raises(UsageError, match="is not the name of a branch"):
            branch_ref(repo, name)
    assert branch_ref(repo, "team/prod") == "refs/heads/team/prod"


def test_of_many_who_take_the_lease_at_once_one_has_it(remote: Remote) -> None:
    terms = [new_terms(f"reconciler {number}", str(number), NOW, 60) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda one: take(remote, LEASE, None, one), terms))
    (mine,) = [one for one in taken if one]
    found = read_lease(remote, LEASE)
    assert found
    assert (found.id, found.terms) == (mine, terms[taken.index(mine)])


def test_a_lease_is_renewed_taken_over_and_given_back_by_who_saw_it_last(remote: Remote) -> None:
    terms = new_terms("Ada", "x", NOW, 60)
    mine = take(remote, LEASE, None, terms)
    assert mine
    later = renewed(terms, NOW + timedelta(seconds=20), 60)
    assert (later.since, later.until) == (terms.since, "2026-03-01T12:01:20.000+00:00")
    again = take(remote, LEASE, mine, later)
    assert again
    assert take(remote, LEASE, mine, renewed(terms, NOW, 70)) is None, "somebody saw it before it was renewed"
    assert not give_back(remote, LEASE, mine)
    theirs = take(remote, LEASE, again, new_terms("Bob", "y", NOW, 60))
    assert theirs
    assert not give_back(remote, LEASE, again), "it is Bob's"
    assert give_back(remote, LEASE, theirs)
    assert read_lease(remote, LEASE) is None


def test_a_lease_is_over_once_no_clock_can_say_otherwise() -> None:
    terms, margin = new_terms("Ada", "x", NOW, 60), timedelta(seconds=20)
    assert not terms.is_over(NOW + timedelta(seconds=79), margin)
    assert terms.is_over(NOW + timedelta(seconds=81), margin)


@pytest.mark.parametrize(
    "text", ["hello", "[]", '{"holder": "x"}', json.dumps({**Terms("a", "b", "c", "soon").__dict__})]
)
def test_what_is_no_lease_is_taken_for_none(remote: Remote, git: Git, text: str) -> None:
    made = git("commit-tree", "-m", text, git("hash-object", "-w", "-t", "tree", os.devnull))
    git("push", "--quiet", "origin", f"{made}:{LEASE}")
    found = read_lease(remote, LEASE)
    assert found
    assert (found.id, found.terms) == (made, None)


def test_names_of_leases_do_not_get_into_each_others_way(repo: Repository, git: Git) -> None:
    refs = [ref_of(name) for name in ("a", "a/b", "a.lock", "..", "größe", "a b", "~")]
    assert len(set(refs)) == len(refs)
    for ref in refs:
        git("update-ref", ref, "HEAD")


def test_a_checkout_is_moved_whole(repo: Repository, git: Git) -> None:
    old = git("rev-parse", "HEAD")
    (repo.root / "more.txt").write_text("more\n")
    git("add", "--all")
    git("commit", "--quiet", "-m", "second")
    new = git("rev-parse", "HEAD")
    (repo.root / "mine.txt").write_text("half")
    (repo.root / "untracked").write_text("x")
    with (repo.root / ".git/config").open() as lock:
        checkout = Checkout(repo, lock.fileno())
        checkout.move(old)
        assert (git("rev-parse", "main"), (repo.root / "more.txt").exists()) == (old, False)
        assert (repo.root / "mine.txt").read_text() == "mine\n"
        checkout.move(new)
    assert git("status", "--porcelain") == "?? untracked"
