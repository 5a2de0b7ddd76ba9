"""`show RUN --html FILE`: a run as one page."""

from __future__ import annotations

import json
import re
import shutil
import stat
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Begin, Desk


def units_on(page: str) -> dict[str, Any]:
    """What a page says of units, by name."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return {unit["name"]: unit for unit in json.loads(found[1])["units"]}


@pytest.fixture
def applied(begin: Begin, request: pytest.FixtureRequest) -> Desk:
    def apply(desk: Desk) -> None:
        request.getfixturevalue("two_units")
        assert desk.run("apply", "dev", "--auto-approve").code == 0

    return begin(apply)


def test_a_run_is_written_as_a_page_of_all_that_changed(applied: Desk) -> None:
    done = applied.run("show", "last", "--html", "report.html")
    assert (done.code, done.out) == (0, "wrote report.html\n"), done.err
    found = units_on((applied.root / "report.html").read_text(encoding="utf-8"))
    web = json.loads(applied.run("show", "last", "web", "--json").out)
    assert [change["address"] for change in found["web"]["resources"]] == [
        change["address"] for change in web["resources"]
    ]
    assert found["network"]["resources"][0]["attributes"][0]["after"] == '"dev"'


def test_the_page_is_for_its_owner_alone(applied: Desk) -> None:
    applied.run("show", "last", "--html", "report.html")
    assert stat.S_IMODE((applied.root / "report.html").stat().st_mode) == 0o600


def test_no_secret_is_on_the_page(applied: Desk) -> None:
    applied.run("show", "last", "--html", "report.html")
    assert "correct-horse" not in (applied.root / "report.html").read_text(encoding="utf-8")


def test_the_record_in_git_makes_a_page_where_the_machine_of_the_run_is_gone(applied: Desk) -> None:
    shutil.rmtree(applied.root / ".infra-orch/runs")
    done = applied.run("show", "last", "--html", "report.html")
    assert done.code == 0, done.err
    found = units_on((applied.root / "report.html").read_text(encoding="utf-8"))
    assert [unit["remark"] for unit in found.values()] == ["3 created", "2 created"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("last", "web", "--html", "report.html"), 64, "a page of a whole run"),
        (("last", "--json", "--html", "report.html"), 64, "two forms of one run"),
        (("20990101T000000000Z-000000", "--html", "report.html"), 64, "there is no run"),
        (("last", "--html", "nowhere/report.html"), 1, "nowhere/report.html cannot be written"),
    ],
)
def test_what_cannot_be_made_is_said(applied: Desk, words: tuple[str, ...], code: int, said: str) -> None:
    done = applied.run("show", *words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


def test_a_run_whose_file_was_tampered_with_is_refused(applied: Desk) -> None:
    (file,) = (applied.root / ".infra-orch/runs").glob("*/run.json")
    file.write_text(file.read_text(encoding="utf-8").replace('"basis": "exact"', '"basis": "hearsay"'))
    done = applied.run("show", "last", "--html", "report.html")
    assert (done.code, "this is not a record" in done.err) == (1, True)
