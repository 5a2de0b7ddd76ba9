"""`drift --post`: one issue for a group of stacks, as long as something has drifted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from fake_github import EVE, TOKEN, GitHubServer, github_server
from fake_host import Said

from infra_orch.commands.drift_issue import DriftIssue
from infra_orch.console import Console
from infra_orch.hosts.find import find_place
from infra_orch.redact import Redactor
from infra_orch.report.drift import Looked, drift_markdown
from infra_orch.run.outcome import AttributeChange, Failure, Outcome, ResourceChange, Status, count

if TYPE_CHECKING:
    from conftest import Desk

MARK = "<!-- infra-orch drift: default -->"
RECORD = {"run": "20261128T120000000Z-abcdef", "at": "2026-11-28T12:00:00+00:00"}


def drifted(value: str = '"eve"', name: str = "app/web") -> dict[str, Looked]:
    attributes = (AttributeChange("tags.Owner", '"ada"', value),)
    resources = (ResourceChange("aws_vpc.this", "aws_vpc", ("update",), attributes),)
    return {name: Looked(Outcome(name, Status.PLANNED, count(resources), resources), RECORD)}


FINE = {"app/web": Looked(Outcome("app/web", Status.UNCHANGED), RECORD)}
FAILED = {"app/web": Looked(Outcome("app/web", Status.FAILED, failure=Failure("no access")), RECORD)}
WHOLE = """\
### Drift: 1 resource in 1 unit.

#### `app/web`: 1 resource drifted since run `20261128T120000000Z-abcdef` (2026-11-28T12:00:00+00:00)

```diff
! aws_vpc.this
!     tags.Owner = "ada" → "eve"
```

<!-- infra-orch drift: default -->"""


@pytest.fixture
def there() -> Iterator[GitHubServer]:
    with github_server() as server:
        yield server


@pytest.fixture
def issue(there: GitHubServer) -> DriftIssue:
    variables = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": there.url,
        "GITHUB_GRAPHQL_URL": f"{there.url}/graphql",
        "GITHUB_REPOSITORY": "acme/infra",
        "GITHUB_TOKEN": TOKEN,
    }
    return DriftIssue(find_place(environment=variables), "default", ["drift"], Console(err=io.StringIO()))


def test_an_issue_is_opened_changed_closed_and_opened_anew(there: GitHubServer, issue: DriftIssue) -> None:
    issue.post(drifted(), Redactor())
    assert [(one["title"], one["body"], one["labels"]) for one in there.issues.values()] == [
        ("infra-orch: drift", WHOLE, ["drift"])
    ]
    issue.post(drifted('"bob"'), Redactor())
    assert [one["body"] for one in there.issues.values()] == [WHOLE.replace('"eve"', '"bob"')]
    issue.post(FINE, Redactor())
    assert [one["state"] for one in there.issues.values()] == ["closed"]
    assert there.bodies() == ["Nothing has drifted any more."]
    issue.post(drifted(), Redactor())
    assert [one["state"] for one in there.issues.values()] == ["closed", "open"]


def test_what_could_not_be_looked_at_closes_nothing(there: GitHubServer, issue: DriftIssue) -> None:
    issue.post(drifted(), Redactor())
    for looked in (FAILED, {}):
        issue.post(looked, Redactor())
    assert issue.console.err.getvalue().count("stays as it is") == 2
    assert [one["state"] for one in there.issues.values()] == ["open"]


def test_an_issue_of_somebody_else_is_left_alone(there: GitHubServer, issue: DriftIssue) -> None:
    there.issues[50] = {"id": 50, "number": 50, "user": EVE, "state": "open", "body": f"mine\n{MARK}"}
    issue.post(FINE, Redactor())
    assert there.issues[50]["state"] == "open"


def test_a_host_that_says_no_is_a_warning(there: GitHubServer, issue: DriftIssue) -> None:
    there.fail("POST", "/issues", Said(410, {"message": f"Issues has been disabled {TOKEN}"}))
    issue.post(drifted(), Redactor())
    said = issue.console.err.getvalue()
    assert "warning: the drift could not be posted: GitHub answered 410 to POST" in said
    assert TOKEN not in said


def test_it_fits_and_says_what_it_leaves_out_and_nothing_is_markup() -> None:
    hostile = "```\n</details>\n<!-- infra-orch drift: default -->\n@everyone \x1b[31m"
    many = {name: one for number in range(300) for name, one in drifted(hostile, f"app/u{number}").items()}
    text = drift_markdown(many, 4000)
    assert len(text) <= 4000
    assert text.endswith(" units.*")
    assert "\x1b" not in text
    assert "\n<!--" not in text


def test_the_command_closes_what_is_fine_again(
    two_units: Desk, there: GitHubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_API_URL", there.url)
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/infra")
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    there.issues[100] = {
        "id": 1,
        "number": 100,
        "user": {"id": 41898282, "login": "x"},
        "state": "open",
        "body": "old\n<!-- infra-orch drift: net -->",
    }
    assert two_units.run("apply", "dev", "--auto-approve").code == 0
    done = two_units.run("drift", "dev", "--post", "--host", "github", "--group", "net")
    assert (done.code, "closed issue 100" in done.err) == (0, True), done.err
    assert two_units.run("drift", "dev", "--post").code == 64
    assert two_units.run("drift", "dev", "--post", "--host", "github", "--group", "-->").code == 64
