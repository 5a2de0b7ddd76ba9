"""The page of a run as somebody opens it from disk, in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from run_documents import many, mixed
from test_html import HOSTILE, hostile

from infra_orch.report.html.page import page as page_text

playwright = pytest.importorskip("playwright.sync_api", reason="the Python package playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


class Opened:
    """A report in a window, and what the browser had to say of it."""

    def __init__(self, window: Any, file: Path) -> None:
        self.window = window
        self.file = file.as_uri()
        self.said: list[str] = []
        self.requests: list[str] = []
        window.on("console", lambda message: self.said.append(message.text))
        window.on("pageerror", lambda error: self.said.append(str(error)))
        window.on("dialog", lambda dialog: (self.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        window.on("request", lambda request: self.requests.append(request.url))
        window.goto(self.file)

    def units(self) -> list[str]:
        """The names of the units that are listed."""
        return list(self.window.locator("#unit-list h3").all_inner_texts())

    def search(self, text: str) -> str:
        """Search as a user does, and return what is then announced."""
        shown = self.window.locator("#shown")
        before = shown.inner_text()
        self.window.fill("#query", text)
        playwright.expect(shown).not_to_have_text(before)
        return str(shown.inner_text())

    def open(self, unit: str) -> Any:
        """Open a unit by a click, and return it when its body is there."""
        found = self.window.locator("#unit-list details", has=self.window.locator("h3", has_text=unit))
        found.locator("summary").click()
        playwright.expect(found.locator(".body")).to_be_visible()
        return found

    def focused(self) -> str:
        return str(self.window.evaluate("document.activeElement.id || document.activeElement.tagName"))


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Open the report of a run's document; options are the window's."""
    windows = []

    def opening(run: dict[str, Any], **options: Any) -> Opened:
        file = tmp_path / "report.html"
        file.write_text(page_text(run), encoding="utf-8")
        windows.append(browser.new_page(**options))
        return Opened(windows[-1], file)

    yield opening
    for window in windows:
        window.close()


def test_a_report_asks_for_nothing_and_the_browser_has_nothing_to_complain_of(opened: Callable[..., Opened]) -> None:
    report = opened(mixed())
    report.window.click("#open-all")
    assert (report.requests, report.said) == ([report.file], [])


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_others_wrote_is_read_and_does_nothing(opened: Callable[..., Opened], text: str) -> None:
    report = opened(hostile(text))
    report.window.click("#open-all")
    assert report.window.locator("#unit-list .address").all_text_contents() == [text, text]
    assert (report.requests, report.said) == ([report.file], [])


def test_destroys_and_replacements_are_seen_first_without_a_click(opened: Callable[..., Opened]) -> None:
    report = opened(mixed())
    rows = report.window.locator("#destroyed-list > li").all_inner_texts()
    assert ["aws_subnet.private" in rows[0], "forces replacement" in rows[0], "aws_s3_bucket" in rows[1]] == [True] * 3
    assert report.window.locator("main h2").first.inner_text().startswith("Destroyed or replaced")


def test_a_failure_stands_open_with_what_terraform_said_and_what_to_do(opened: Callable[..., Opened]) -> None:
    said = opened(mixed()).window.locator("#unit-list .error > *").all_inner_texts()
    assert said == ["no capacity", "Error: RunInstances", "try another zone"]


def test_a_unit_shows_its_changes_when_it_is_opened(opened: Callable[..., Opened]) -> None:
    report = opened(mixed())
    network = report.open("network")
    assert network.locator(".address").all_text_contents() == [
        "module.network.aws_vpc.this",
        "module.network.aws_subnet.private",
    ]
    assert "tags.Owner" in network.inner_text()
    assert "this argument is deprecated" in network.inner_text()


def test_what_is_unchanged_or_skipped_takes_a_line_each(opened: Callable[..., Opened]) -> None:
    report = opened(mixed())
    lines = report.window.locator(".folded summary").all_inner_texts()
    assert [" ".join(line.split()) for line in lines] == ["unchanged 1 unit", "skipped 1 unit"]


def test_a_search_leaves_what_fits_by_name_address_or_type(opened: Callable[..., Opened]) -> None:
    report = opened(mixed())
    assert report.search("WEB") == "1 of 7 units and 2 of 6 resources are shown."
    assert report.units() == ["web"]
    assert report.search("aws_subnet") == "1 of 7 units and 1 of 6 resources are shown."
    assert report.units() == ["network"]


def test_a_search_that_nothing_fits_says_so(opened: Callable[..., Opened]) -> None:
    report = opened(mixed())
    report.search("nowhere")
    assert report.window.locator("#units-none").is_visible()


def test_filters_by_action_and_status_leave_what_is_both(opened: Callable[..., Opened]) -> None:
    report = opened(mixed())
    report.window.check("input[value=update]")
    assert report.units() == ["web", "network"]
    report.window.check("input[value=applied]")
    assert report.units() == ["network"]
    assert report.open("network").locator(".address").all_text_contents() == ["module.network.aws_vpc.this"]


def test_the_keyboard_is_enough(opened: Callable[..., Opened]) -> None:
    report = opened(mixed())
    keys = report.window.keyboard
    keys.press("/")
    assert report.focused() == "query"
    keys.type("network")
    playwright.expect(report.window.locator("#unit-list h3")).to_have_count(1)
    keys.press("Escape")
    assert report.window.input_value("#query") == ""
    assert len(report.units()) == 5
    report.window.focus("#close-all")
    keys.press("Tab")
    keys.press("Enter")
    assert report.focused() == "SUMMARY"
    assert not report.window.locator("#unit-list details").first.evaluate("unit => unit.open")


def test_a_node_of_the_graph_leads_to_its_unit(opened: Callable[..., Opened]) -> None:
    report = opened(mixed())
    report.search("old")
    report.window.locator("svg a", has_text="network").click()
    assert report.window.locator("#unit-list details", has_text="aws_vpc.this").evaluate("unit => unit.open")


def test_a_phone_scrolls_in_one_direction_only(opened: Callable[..., Opened]) -> None:
    report = opened(mixed(), viewport={"width": 360, "height": 740})
    report.window.click("#open-all")
    assert report.window.evaluate("document.documentElement.scrollWidth") == 360


def test_who_wants_it_dark_gets_it_dark(opened: Callable[..., Opened]) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = (opened(mixed(), color_scheme=scheme).window.evaluate(ground) for scheme in ("light", "dark"))
    assert light != dark


def test_ten_thousand_resources_are_there_to_search_and_not_all_drawn(opened: Callable[..., Opened]) -> None:
    report = opened(many(1000, 10))
    assert report.search('node["0777-3') == "1 of 1,000 units and 1 of 10,000 resources are shown."
    assert report.search("service-") == "All 1,000 units and 10,000 resources are shown."
    assert len(report.units()) == 200
    report.window.click("#unit-list > .more button")
    assert len(report.units()) == 400
    assert report.window.evaluate("document.querySelectorAll('*').length") < 10_000


def test_a_huge_value_is_cut_until_it_is_asked_for(opened: Callable[..., Opened]) -> None:
    run = mixed()
    run["units"]["network"]["resources"][0]["attributes"][0]["after"] = "x" * 1_000_000
    report = opened(run)
    network = report.open("network")
    assert len(network.inner_text()) < 1000
    network.get_by_role("button", name="show all 1,000,000 characters").click()
    assert len(network.inner_text()) > 1_000_000
