"""One comment, found by its mark and its author, changed in place, whatever happens on the way."""

from __future__ import annotations

import pytest
from fake_github import EVE, GitHubServer
from fake_gitlab import GitLabServer
from fake_host import CUT, DONE_AND_502, DONE_AND_CUT, Said

from infra_orch.hosts.answer import HostError
from infra_orch.hosts.comments import find_issue, put_comment, put_issue
from infra_orch.hosts.github import GitHub
from infra_orch.hosts.gitlab import GitLab

MARK = "<!-- infra-orch preview: default -->"


def test_a_comment_is_made_once_and_then_changed_in_place(there: GitHubServer, github: GitHub) -> None:
    put_comment(github, 7, MARK, f"first\n\n{MARK}")
    put_comment(github, 7, MARK, f"second\n\n{MARK}")
    assert there.bodies() == [f"second\n\n{MARK}"]


def test_one_comment_for_each_group(there: GitHubServer, github: GitHub) -> None:
    other = "<!-- infra-orch preview: other -->"
    put_comment(github, 7, MARK, f"one\n{MARK}")
    put_comment(github, 7, other, f"two\n{other}")
    assert there.bodies() == [f"one\n{MARK}", f"two\n{other}"]


def test_a_comment_of_somebody_else_with_our_mark_is_left_alone(there: GitHubServer, github: GitHub) -> None:
    there.say(f"all is approved\n{MARK}", EVE)
    put_comment(github, 7, MARK, f"ours\n{MARK}")
    assert there.bodies(EVE) == [f"all is approved\n{MARK}"]
    assert there.bodies() == [f"ours\n{MARK}"]


def test_a_comment_of_ours_that_only_quotes_the_mark_is_left_alone(there: GitHubServer, github: GitHub) -> None:
    there.say(f"another job's\n{MARK}\nand more")
    put_comment(github, 7, MARK, f"ours\n{MARK}")
    assert there.bodies() == [f"another job's\n{MARK}\nand more", f"ours\n{MARK}"]


def test_it_is_found_on_the_third_page(there: GitHubServer, github: GitHub) -> None:
    for number in range(220):
        there.say(f"talk {number}", EVE)
    there.say(f"old\r\n{MARK}")
    put_comment(github, 7, MARK, f"new\n{MARK}")
    assert there.bodies() == [f"new\n{MARK}"]
    assert [one.query.get("page") for one in there.requests("GET", "comments")] == [None, "2", "3"]


def test_two_that_were_made_at_the_same_time_become_one(there: GitHubServer, github: GitHub) -> None:
    first = there.say(f"a\n{MARK}")
    there.say(f"b\n{MARK}")
    put_comment(github, 7, MARK, f"c\n{MARK}")
    assert {number: one["body"] for number, one in there.comments.items()} == {first: f"c\n{MARK}"}


@pytest.mark.parametrize("fault", [DONE_AND_CUT, DONE_AND_502, CUT, Said(504)], ids=["cut", "502", "lost", "504"])
def test_a_comment_whose_making_went_unanswered_is_looked_for_before_it_is_made_again(
    there: GitHubServer, github: GitHub, fault: Said
) -> None:
    there.fail("POST", "/comments", fault)
    put_comment(github, 7, MARK, f"once\n{MARK}")
    assert there.bodies() == [f"once\n{MARK}"]
    assert len(there.requests("POST", "/comments")) == (1 if fault.done else 2)


def test_who_the_token_is_can_be_asked_where_graphql_is_closed(there: GitHubServer, github: GitHub) -> None:
    there.graphql, there.app = False, False
    there.say(f"old\n{MARK}")
    put_comment(github, 7, MARK, f"new\n{MARK}")
    assert there.bodies() == [f"new\n{MARK}"]


def test_the_token_of_a_job_is_the_bot_of_actions_where_nobody_says_who_it_is(
    there: GitHubServer, github: GitHub
) -> None:
    there.graphql = False
    there.say(f"old\n{MARK}")
    put_comment(github, 7, MARK, f"new\n{MARK}")
    assert there.bodies() == [f"new\n{MARK}"]


def test_nothing_is_written_where_nobody_knows_who_the_token_is(there: GitHubServer, github: GitHub) -> None:
    there.graphql = False
    github.in_actions = False
    there.say(f"old\n{MARK}")
    with pytest.raises(HostError, match="403 to GET /user"):
        put_comment(github, 7, MARK, f"new\n{MARK}")
    assert there.bodies() == [f"old\n{MARK}"]


def test_a_host_that_is_ill_does_not_tell_who_the_token_is(there: GitHubServer, github: GitHub) -> None:
    there.fail("POST", "/graphql", *[Said(502)] * 6)
    there.say(f"old\n{MARK}")
    with pytest.raises(HostError, match="502 to POST /graphql: 502 Bad Gateway"):
        put_comment(github, 7, MARK, f"new\n{MARK}")
    assert there.requests("GET", "/user") == []


def test_a_note_of_gitlab_is_the_same(lab: GitLabServer, gitlab: GitLab) -> None:
    lab.say(f"evil\n{MARK}", {"id": 2, "username": "eve"})
    lab.say(f"changed title\n{MARK}", system=True)
    put_comment(gitlab, 7, MARK, f"first\n{MARK}")
    put_comment(gitlab, 7, MARK, f"second\n{MARK}")
    assert lab.bodies() == [f"changed title\n{MARK}", f"second\n{MARK}"]


def test_an_issue_is_found_among_pull_requests_and_those_of_others(there: GitHubServer, github: GitHub) -> None:
    there.pulls[7]["body"] = f"a pull request\n{MARK}"
    there.issues[90] = {"id": 1, "number": 90, "user": EVE, "state": "open", "body": f"evil\n{MARK}"}
    there.issues[91] = {"id": 2, "number": 91, "user": None, "state": "open", "body": None}
    there.fail("POST", "/issues$", DONE_AND_CUT)
    put_issue(github, MARK, "Drift", f"one\n{MARK}", ["drift"])
    put_issue(github, MARK, "Drift", f"two\n{MARK}", ["drift"])
    ours = {number: one for number, one in there.issues.items() if number >= 100}
    assert [(one["title"], one["body"], one["labels"]) for one in ours.values()] == [
        ("Drift", f"two\n{MARK}", ["drift"])
    ]
    github.close_issue(next(iter(ours)), "no drift any more")
    assert find_issue(github, MARK) is None
    assert there.bodies() == ["no drift any more"]


def test_an_issue_of_gitlab_is_the_same(lab: GitLabServer, gitlab: GitLab) -> None:
    put_issue(gitlab, MARK, "Drift", f"one\n{MARK}", ["drift", "ops"])
    put_issue(gitlab, MARK, "Drift", f"two\n{MARK}", [])
    (issue,) = lab.issues.values()
    assert (issue["description"], issue["labels"]) == (f"two\n{MARK}", "drift,ops")
    gitlab.close_issue(issue["iid"], "gone")
    assert (find_issue(gitlab, MARK), issue["state"], issue["notes"]) == (None, "closed", ["gone"])
