"""Who has approved what a commit holds: only those whose approval is one, and never a guess."""

from __future__ import annotations

import pytest
from fake_github import ADA, EVE, HEAD, GitHubServer
from fake_gitlab import GitLabServer
from fake_host import Said
from host_clients import Clock

from infra_orch.hosts.answer import HostError
from infra_orch.hosts.github import GitHub
from infra_orch.hosts.gitlab import GitLab
from infra_orch.hosts.host import Reviews
from infra_orch.hosts.reviews import pull_request_of, reviews

BOB = {"id": 3, "login": "bob", "type": "User"}
DAN = {"id": 4, "login": "d/a n", "type": "User"}
OLD = "9" * 40
MERGED = "c" * 40


@pytest.fixture
def reviewed(there: GitHubServer) -> GitHubServer:
    there.permissions = {"ada": "admin", "eve": "write", "bob": "write", "d/a n": "read"}
    return there


def test_the_last_word_of_each_who_may_write_counts(reviewed: GitHubServer, github: GitHub) -> None:
    reviewed.review(EVE, "APPROVED")
    reviewed.review(EVE, "COMMENTED")  # takes nothing back
    reviewed.review(BOB, "APPROVED")
    reviewed.review(BOB, "CHANGES_REQUESTED")
    reviewed.review(DAN, "APPROVED")  # may only read
    reviewed.review(ADA, "APPROVED")  # it is his own
    reviewed.review(None, "APPROVED")  # whose account is gone
    reviewed.review({"id": 5, "login": "mallory"}, "APPROVED")  # is no collaborator
    assert reviews(github, 7) == Reviews(7, "ada", HEAD, ("eve",), None)


def test_an_approval_that_was_dismissed_is_none(reviewed: GitHubServer, github: GitHub) -> None:
    reviewed.review(EVE, "CHANGES_REQUESTED")
    reviewed.review(EVE, "APPROVED")
    reviewed.review(BOB, "DISMISSED")
    assert reviews(github, 7).approvers == ("eve",)


def test_an_approval_of_an_earlier_head_counts_only_where_that_is_wanted(
    reviewed: GitHubServer, github: GitHub
) -> None:
    reviewed.review(EVE, "APPROVED", OLD)
    assert reviews(github, 7).approvers == ()
    assert reviews(github, 7, of_any_commit=True).approvers == ("eve",)


def test_more_than_a_page_of_reviews_is_read(reviewed: GitHubServer, github: GitHub) -> None:
    reviewed.review(EVE, "APPROVED")
    for _ in range(120):
        reviewed.review(BOB, "COMMENTED")
    reviewed.review(EVE, "CHANGES_REQUESTED")
    assert reviews(github, 7).approvers == ()


@pytest.mark.parametrize(
    ("classic", "rules", "decision", "owners"),
    [
        ({"requiresCodeOwnerReviews": True}, [], "APPROVED", True),
        ({"requiresCodeOwnerReviews": True}, [], "REVIEW_REQUIRED", False),
        ({"requiresCodeOwnerReviews": True}, [], None, False),
        ({"requiresCodeOwnerReviews": False}, [], "APPROVED", None),
        (None, [{"type": "pull_request", "parameters": {"require_code_owner_review": True}}], "APPROVED", True),
        (None, [{"type": "pull_request", "parameters": {"require_code_owner_review": True}}], "CHANGES_REQUESTED", False),
        (None, [{"type": "deletion"}], "APPROVED", None),
    ],
)  # fmt: skip
def test_code_owners_are_known_where_the_branch_asks_for_them(
    reviewed: GitHubServer, github: GitHub, classic: object, rules: list, decision: str | None, owners: bool | None
) -> None:
    reviewed.classic_rule, reviewed.rules, reviewed.decision = classic, rules, decision  # type: ignore[assignment]
    assert reviews(github, 7).code_owners is owners


def test_a_commit_leads_to_the_pull_request_that_it_came_by(there: GitHubServer, github: GitHub) -> None:
    assert pull_request_of(github, HEAD).number == 7
    there.add_pull(8, head=OLD, state="closed", merged_at="2026-11-28T12:00:00Z", merge_commit_sha=MERGED)
    # The open one has a merge that GitHub made to try, and came to nothing yet.
    assert pull_request_of(github, MERGED).number == 8
    with pytest.raises(HostError, match="knows no pull request that commit 000000000000"):
        reviews(github, "0" * 40)
    there.add_pull(9)
    with pytest.raises(HostError, match="several pull requests: 7, 9"):
        reviews(github, HEAD)


@pytest.mark.parametrize("path", ["/pulls/7$", "/reviews", "/permission", "/rules/"])
def test_what_cannot_be_asked_is_no_answer(reviewed: GitHubServer, github: GitHub, path: str) -> None:
    reviewed.review(EVE, "APPROVED")
    reviewed.fail("GET", path, Said(403, {"message": "Resource not accessible by integration"}))
    with pytest.raises(HostError, match="403 to GET"):
        reviews(github, 7)


def test_a_question_of_graphql_that_fails_is_no_answer(reviewed: GitHubServer, github: GitHub) -> None:
    reviewed.fail("POST", "/graphql", Said(200, {"data": None, "errors": [{"type": "NOT_FOUND"}]}))
    with pytest.raises(HostError, match="did not answer the question"):
        reviews(github, 7)


EVE_THERE = {"id": 2, "username": "eve"}
BOB_THERE = {"id": 3, "username": "bob"}
DAN_THERE = {"id": 4, "username": "dan"}
ADA_THERE = {"id": 1, "username": "ada"}
EARLIER, PUSHED, LATER = (f"2026-11-28T1{hour}:00:00.000Z" for hour in (0, 1, 2))


@pytest.fixture
def approved(lab: GitLabServer) -> GitLabServer:
    lab.members = {1: 40, 2: 30, 3: 40, 4: 20}
    lab.versions = [
        {"id": 2, "head_commit_sha": HEAD, "created_at": PUSHED},
        {"id": 1, "head_commit_sha": OLD, "created_at": EARLIER},
    ]
    return lab


def test_an_approval_of_gitlab_counts_where_it_was_given_after_the_last_push(
    approved: GitLabServer, gitlab: GitLab
) -> None:
    approved.approved_by = [
        {"user": EVE_THERE, "approved_at": LATER},
        {"user": BOB_THERE, "approved_at": EARLIER},
        {"user": DAN_THERE, "approved_at": LATER},  # a reporter
        {"user": ADA_THERE, "approved_at": LATER},  # it is his own
    ]
    assert reviews(gitlab, 7) == Reviews(7, "ada", HEAD, ("eve",), None)
    assert reviews(gitlab, 7, of_any_commit=True).approvers == ("eve", "bob")


def test_an_older_gitlab_tells_when_in_notes_that_nobody_else_can_write(approved: GitLabServer, gitlab: GitLab) -> None:
    approved.approved_by = [{"user": EVE_THERE}, {"user": BOB_THERE}, {"user": ADA_THERE}]
    approved.say("approved this merge request", EVE_THERE, system=True, created_at=LATER)
    approved.say("approved this merge request", BOB_THERE, created_at=LATER)  # he only says so
    approved.say("approved this merge request", BOB_THERE, system=True, created_at=EARLIER)
    assert reviews(gitlab, 7).approvers == ("eve",)


def test_where_gitlab_does_not_know_the_head_yet_nothing_is_approved(approved: GitLabServer, gitlab: GitLab) -> None:
    approved.approved_by = [{"user": EVE_THERE, "approved_at": LATER}]
    approved.versions = approved.versions[1:]
    assert reviews(gitlab, 7).approvers == ()


def test_code_owners_of_gitlab_are_its_rules(approved: GitLabServer, gitlab: GitLab, clock: Clock) -> None:
    def rule(kind: str, required: int, approved: bool) -> dict[str, object]:
        return {"rule_type": kind, "approvals_required": required, "approved": approved}

    found = []
    for rules in (
        None,
        [rule("regular", 1, False)],
        [rule("code_owner", 0, True)],
        [rule("code_owner", 1, True), rule("code_owner", 1, False)],
        [rule("code_owner", 1, True), rule("regular", 1, False)],
    ):
        approved.rules = rules
        found.append(reviews(gitlab, 7).code_owners)
    assert found == [None, None, None, False, True]


def test_a_merge_of_gitlab_leads_to_its_merge_request(lab: GitLabServer, gitlab: GitLab) -> None:
    lab.add_merge(8, head=OLD, state="merged", squash_commit_sha=MERGED)
    assert pull_request_of(gitlab, MERGED).number == 8
    lab.fail("GET", "/merge_requests/8/approvals", Said(401, {"message": "401 Unauthorized"}))
    with pytest.raises(HostError, match="401 to GET"):
        reviews(gitlab, MERGED)
