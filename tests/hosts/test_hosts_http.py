"""A host that is slow, ill, strict or hostile: what is tried again, for how long, and that no token is ever shown."""

from __future__ import annotations

import email.utils
import logging
import traceback

import fake_github
import pytest
from fake_github import GitHubServer, github_server
from fake_gitlab import GitLabServer
from fake_host import CUT, FakeHost, Said, serving
from host_clients import Clock, github_of

from infra_orch.errors import UsageError
from infra_orch.hosts.answer import next_page
from infra_orch.hosts.find import find_place
from infra_orch.hosts.github import GitHub
from infra_orch.hosts.gitlab import GitLab
from infra_orch.hosts.host import Status
from infra_orch.hosts.http import HostError, Http

STATUS = Status("infra-orch/default", "success", "no changes")
HEAD = "a" * 40


@pytest.mark.parametrize("fault", [Said(500), Said(502), Said(503), Said(409), CUT, Said(200, "{not JSON")])
def test_what_may_pass_is_tried_again_after_a_while(
    there: GitHubServer, github: GitHub, clock: Clock, fault: Said
) -> None:
    there.fail("GET", "/pulls/7", fault, fault)
    assert github.pull_request(7).head == HEAD
    first, second = clock.waits
    assert 0.5 <= first <= 2.0 <= second + 1.0 <= 4.5


@pytest.mark.parametrize(
    ("answer", "least", "most"),
    [
        (Said(429, {}, {"Retry-After": "17"}), 17, 17),
        (Said(403, {"message": "You have exceeded a secondary rate limit"}, {"Retry-After": "30"}), 30, 30),
        (Said(403, {"message": "You have exceeded a secondary rate limit. Please wait"}), 60, 60),
        (Said(403, {"message": "API rate limit exceeded"}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "AT+40"}), 41, 41),
        (Said(429, {}, {"RateLimit-Remaining": "0", "RateLimit-Reset": "AT+9"}), 10, 10),
        (Said(429, {}, {"Retry-After": "DATE+25"}), 24, 26),
        (Said(503, {}, {"Retry-After": "12"}), 12, 12),
        (Said(429, {}, {"Retry-After": "soon"}), 60, 60),
        (Said(429, {}, {"RateLimit-Remaining": "0", "RateLimit-Reset": "²"}), 60, 60),
    ],
)  # fmt: skip
def test_a_limit_is_respected_as_the_host_says_it(
    there: GitHubServer, github: GitHub, clock: Clock, answer: Said, least: float, most: float
) -> None:
    def said(value: str) -> str:
        kind, plus, seconds = value.partition("+")
        at = clock.now() + int(seconds or 0)
        return {"AT": str(int(at)), "DATE": email.utils.formatdate(at, usegmt=True)}[kind] if plus else value

    headers = {name: said(value) for name, value in answer.headers.items()}
    there.fail("POST", "/statuses", Said(answer.status, answer.body, headers))
    github.set_status(HEAD, STATUS)
    assert len(there.statuses) == 1
    assert least <= clock.waits[0] <= most


def test_a_limit_that_lasts_longer_than_patience_is_told_with_its_end(
    there: GitHubServer, github: GitHub, clock: Clock
) -> None:
    reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(clock.now()) + 2460)}
    there.fail("GET", "/pulls/7", Said(403, {"message": "API rate limit exceeded"}, reset))
    with pytest.raises(HostError) as caught:
        github.pull_request(7)
    assert caught.value.summary == "GitHub limits how much may be asked, and may be asked again at 12:41 UTC"
    assert clock.waits == []


def test_patience_is_for_all_requests_together(there: GitHubServer, github: GitHub, clock: Clock) -> None:
    there.fail("POST", "/statuses", *[Said(429, {}, {"Retry-After": "50"})] * 3)
    with pytest.raises(HostError, match="limits how much may be asked"):
        github.set_status(HEAD, STATUS)
    assert clock.waits == [50.0, 50.0]
    assert github.pull_request(7).number == 7, "what is well is answered still"


def test_a_host_that_stays_ill_is_given_up_with_words(there: GitHubServer, github: GitHub, clock: Clock) -> None:
    there.fail("GET", "/pulls/7", *[Said(502)] * 9)
    with pytest.raises(HostError) as caught:
        github.pull_request(7)
    assert caught.value.summary == "GitHub answered 502 to GET /repos/acme/infra/pulls/7: 502 Bad Gateway"
    assert len(there.requests("GET", "/pulls/7")) == 6
    assert sum(clock.waits) < 60


def test_a_host_that_is_not_there_is_given_up_with_words(clock: Clock) -> None:
    with pytest.raises(HostError, match=r"GitHub \(127\.0\.0\.1:9\) did not answer GET .*: nobody answers there"):
        github_of("http://127.0.0.1:9", clock).pull_request(7)


def test_an_answer_that_comes_too_slowly_is_not_waited_for(
    there: GitHubServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra_orch.hosts.http._READ_SECONDS", 0.05)
    there.fail("GET", "/pulls/7", Said(200, {}, seconds=0.3))
    assert github_of(there.url, clock).pull_request(7).number == 7
    assert len(there.requests("GET", "/pulls/7")) == 2


def test_what_a_token_may_not_do_is_told_with_what_it_needs(there: GitHubServer, github: GitHub, clock: Clock) -> None:
    needed = {"X-Accepted-GitHub-Permissions": "statuses=write"}
    there.fail("POST", "/statuses", Said(403, {"message": "Resource not accessible by integration"}, needed))
    with pytest.raises(HostError) as caught:
        github.set_status(HEAD, STATUS)
    assert caught.value.summary.endswith(
        "403 to POST /repos/acme/infra/statuses/" + HEAD + ": Resource not accessible by integration"
    )
    assert caught.value.hint == "the token needs statuses=write"
    assert clock.waits == []


def test_what_is_refused_as_wrong_is_not_tried_again(there: GitHubServer, github: GitHub, clock: Clock) -> None:
    errors = {"message": "Validation Failed", "errors": [{"resource": "Status", "code": "custom"}]}
    there.fail("POST", "/statuses", Said(422, errors))
    with pytest.raises(HostError, match=r'422 to POST .*: Validation Failed .*"code": "custom"'):
        github.set_status(HEAD, STATUS)
    assert clock.waits == []


def test_an_answer_of_another_shape_is_no_crash(there: GitHubServer, github: GitHub) -> None:
    there.fail("GET", "/pulls/7", Said(200, {"number": "7"}), Said(200, None))
    for _ in range(2):
        with pytest.raises(HostError, match="something else than its documentation says"):
            github.pull_request(7)
    there.fail("GET", "/comments", Said(200, {"message": "hello"}))
    with pytest.raises(HostError, match="no list"):
        github.comments(7)


def test_the_token_does_not_follow_to_another_server(there: GitHubServer, github: GitHub) -> None:
    other = FakeHost()
    with serving(other) as url:
        there.fail("GET", "/pulls/7", Said(301, None, {"Location": f"{url}/repositories/1/pulls/7"}))
        with pytest.raises(HostError, match="leads to another server"):
            github.pull_request(7)
        there.fail("GET", "/comments", Said(200, [], {"Link": f'<{url}/repos/x?page=2>; rel="next"'}))
        with pytest.raises(HostError, match="leads to another server"):
            github.comments(7)
    assert other.asked == []


def test_a_repository_that_was_renamed_is_followed(there: GitHubServer, github: GitHub) -> None:
    there.fail("GET", "/pulls/7", Said(301, None, {"Location": "/repos/acme/infra/pulls/7"}))
    assert github.pull_request(7).number == 7
    there.fail("POST", "/statuses", Said(307, None, {"Location": f"{there.url}/repos/acme/infra/statuses/{HEAD}"}))
    github.set_status(HEAD, STATUS)
    assert len(there.statuses) == 1
    there.fail("GET", "/pulls/7", *[Said(302, None, {"Location": "/repos/acme/infra/pulls/7"})] * 9)
    with pytest.raises(HostError, match="leads in a circle"):
        github.pull_request(7)


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))


@pytest.mark.parametrize(
    "answer",
    [
        Said(401, {"message": f"Bad credentials: {fake_github.TOKEN}"}),
        Said(422, {"message": "no", "errors": [{"value": f"Bearer {fake_github.TOKEN}"}]}),
        Said(400, f"<html>you sent {fake_github.TOKEN}</html>"),
        Said(403, {"message": "no"}, {"X-Accepted-GitHub-Permissions": fake_github.TOKEN}),
        Said(301, None, {"Location": f"http://{fake_github.TOKEN}.example.com/"}),
        Said(200, f"{{{fake_github.TOKEN}"),
    ],
)
def test_a_token_is_in_no_message_and_no_traceback(
    there: GitHubServer, github: GitHub, answer: Said, caplog: pytest.LogCaptureFixture
) -> None:
    there.fail("GET", "/pulls/7", *[answer] * 6)
    with caplog.at_level(logging.DEBUG), pytest.raises(HostError) as caught:
        github.pull_request(7)
    assert fake_github.TOKEN not in shown(caught.value) + caplog.text
    assert fake_github.TOKEN not in repr(github)


@pytest.mark.parametrize(
    "token", ["two words and more", "line\nbreak-in-a-token", "ünïcode-in-a-token", "nul\0-in-a-token"]
)
def test_a_token_that_cannot_be_one_is_refused_and_not_quoted(token: str) -> None:
    with pytest.raises(UsageError) as caught:
        Http("GitHub", "https://api.github.com", token)
    assert token not in shown(caught.value)
    assert "in-a-token" not in shown(caught.value)


def test_a_token_is_never_posted(there: GitHubServer, github: GitHub) -> None:
    github.add_comment(7, f"what Terraform printed: {fake_github.TOKEN}")
    assert there.bodies() == ["what Terraform printed: (sensitive)"]


def test_a_place_does_not_show_its_token() -> None:
    variables = {"GITHUB_REPOSITORY": "acme/infra", "GITHUB_TOKEN": fake_github.TOKEN}
    place = find_place("github", 7, "", variables)
    assert fake_github.TOKEN not in repr(place) + repr(place.host())


def test_a_proxy_is_gone_through(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    with github_server() as proxy:
        proxy.add_pull()
        # To a proxy the whole address is sent.
        asked = []
        proxy.do = lambda one: (asked.append(one), (200, proxy.pulls[7]))[1]  # type: ignore[method-assign]
        monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "http://ada:secret@"))
        assert github_of("http://github.example.com/api/v3", clock).pull_request(7).number == 7
        assert asked[0].headers["proxy-authorization"].startswith("Basic ")
        assert asked[0].headers["host"] == "github.example.com"
        monkeypatch.setenv("no_proxy", "github.invalid")
        with pytest.raises(HostError, match=r"its name is not known|nobody answers there"):
            github_of("http://github.invalid", clock).pull_request(7)


def test_certificates_of_ones_own_are_taken_from_where_other_tools_take_them(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file.pem")
    with pytest.raises(UsageError, match=r'REQUESTS_CA_BUNDLE="/no/such/file\.pem" holds no certificates'):
        github_of("https://127.0.0.1:9", clock).pull_request(7)


@pytest.mark.parametrize(
    ("link", "following"),
    [
        ("", ""),
        ('<https://h/a?page=1>; rel="prev", <https://h/a?page=3>; rel="next"', "https://h/a?page=3"),
        ("<https://h/a?page=2>; rel=next", "https://h/a?page=2"),
        ('<https://h/a,b?page=2>; title="x, y"; rel="last next"', "https://h/a,b?page=2"),
        ('<https://h/a?page=9>; rel="last", <https://h/a?page=1>; rel="first"', ""),
        ('<https://h/a>; rel="nextish"', ""),
    ],
)
def test_the_next_page_is_where_the_header_says(link: str, following: str) -> None:
    assert next_page(link) == following


def test_gitlab_says_that_a_status_is_so_already_and_that_is_no_error(lab: GitLabServer, gitlab: GitLab) -> None:
    pending = Status("infra-orch/default", "pending", "under way", "https://ci.example.com/" + "x" * 300)
    gitlab.set_status(HEAD, pending)
    gitlab.set_status(HEAD, pending)
    gitlab.set_status(HEAD, Status("infra-orch/default", "failure", "ä" * 300))
    assert [one["state"] for one in lab.statuses] == ["pending", "failed"]
    assert "target_url" not in lab.statuses[0], "GitLab takes 255 characters"
    assert lab.statuses[1]["pipeline_id"] == 12
    lab.fail("POST", "/statuses", Said(400, {"message": {"name": ["is too long"]}}))
    with pytest.raises(HostError, match="is too long"):
        gitlab.set_status(HEAD, pending)
