"""A recording: what was written to a terminal becomes a picture that shows the same, row for row."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from infra_orch.report.film import MOST_BYTES, picture
from infra_orch.report.rows import Rows
from infra_orch.report.tape import Tape

SVG = "{http://www.w3.org/2000/svg}"


def taped(*pieces: tuple[float, str], width: int | None = 60, height: int | None = None) -> Tape:
    tape = Tape(width, height)
    tape.pieces.extend(pieces)
    return tape


def drawn(tape: Tape) -> ET.Element:
    return ET.fromstring(picture(tape, "A terminal"))


def at_the_end(root: ET.Element) -> list[str]:
    """The rows that are seen without any motion, from the top."""
    gone = {
        id(text) for group in root.iter(f"{SVG}g") if "gone" in group.get("class", "").split() for text in group.iter()
    }
    rows: dict[int, list[tuple[float, str]]] = {}
    for text in root.iter(f"{SVG}text"):
        if id(text) not in gone:
            rows.setdefault(int(text.get("y", "")), []).append((float(text.get("x", "")), text.text or ""))
    return [" ".join(text for _, text in sorted(rows[y])) for y in sorted(rows)]


def shown(text: str, width: int = 40) -> list[str]:
    rows = Rows(width)
    rows.feed(text)
    return ["".join(cell.char for cell in rows[number]) for number in range(len(rows))]


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("one\ntwo", ["one", "two"]),
        ("planning\rapplied!", ["applied!"]),
        ("one\ntwo\n\x1b[2A\x1b[2Kthree", ["three", "two", ""]),
        ("one\ntwo\x1b[1F\x1b[Jthree", ["three", ""]),
        ("\x1b[1;32mgreen\x1b[0m and \x1b[38;5;200mmore\x1b[0m", ["green and more"]),
        ("\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\", ["link"]),
        ("\x1b[?25lhidden cursor", ["hidden cursor"]),
        ("a\tb", ["a       b"]),
        ("日本", ["日本"]),
        ("x" * 45, ["x" * 40, "x" * 5]),
    ],
)
def test_rows_are_what_a_terminal_shows(written: str, seen: list[str]) -> None:
    assert shown(written) == seen


def test_a_sequence_that_nobody_knows_is_passed_over() -> None:
    assert shown("a\x1b[5;7xb\x1b7c") == ["abc"]


def test_a_sequence_that_leads_far_away_makes_no_picture_of_that_size() -> None:
    assert len(shown(f"a\x1b[999999999B{'b' * 3}\x1b[{'9' * 5000}Bc")) <= 2001


def test_whoever_wants_no_motion_sees_how_it_ended() -> None:
    tape = taped(
        (0, "Planning 1 of 2\n"), (1, "\x1b[1A\x1b[2KPlanning 2 of 2\n"), (2, "\x1b[1A\x1b[2KPlan: 3 to add\nDone.\n")
    )
    assert at_the_end(drawn(tape)) == ["Plan: 3 to add", "Done."]


def test_what_was_seen_in_between_comes_and_goes() -> None:
    text = picture(taped((0, "one\n"), (1, "\x1b[1A\x1b[2Ktwo\n"), (2, "three\n")), "A terminal")
    assert "prefers-reduced-motion:no-preference" in text
    assert re.findall(r">(one|two|three)</text>", text) == ["one", "two", "three"]
    assert re.search(r'<g class="k\d+ gone"><text[^>]*>one</text>', text)


def test_a_window_that_is_full_scrolls() -> None:
    root = drawn(taped(*((number, f"line {number}\n") for number in range(20)), height=5))
    (rows,) = (group for group in root.iter(f"{SVG}g") if group.get("class") == "rows")
    assert rows.get("transform") == f"translate(0 {-(20 - 5) * 18})"


def test_text_of_others_stays_text() -> None:
    hostile = '</text><script>alert(1)</script>&<a href="x">\x00\ud800'
    root = drawn(taped((0, hostile), width=100))
    assert {element.tag for element in root.iter()} <= {
        f"{SVG}{name}" for name in ("svg", "title", "desc", "style", "clipPath", "rect", "g", "circle", "text")
    }
    assert at_the_end(root) == ['</text><script>alert(1)</script>&<a href="x">']


def test_nothing_is_taken_from_elsewhere() -> None:
    text = picture(taped((0, "https://example.com/x url(https://example.com)")), "A terminal")
    outside = re.sub(r">[^<]*</text>|<desc>[^<]*</desc>", "", text)
    assert re.findall(r"https?://[^\s\"')]+", outside) == ["http://www.w3.org/2000/svg"]
    assert "url(" not in outside.replace("url(#window)", "")


def test_a_long_run_is_drawn_from_fewer_moments_and_waits_are_cut() -> None:
    pieces = [
        (number * 0.1, f"\x1b[1A\x1b[2K{number} of 3000 units, {'·' * 40} {number % 7}\n") for number in range(3000)
    ]
    text = picture(taped((0.0, "\n"), *pieces, (9000.0, "Done.\n")), "A terminal")
    assert len(text.encode()) <= MOST_BYTES
    assert max(map(float, re.findall(r"animation:\w+ ([\d.]+)s", text))) < 60
    assert at_the_end(ET.fromstring(text))[-1] == "Done."


def test_an_empty_recording_is_a_picture_too() -> None:
    assert at_the_end(drawn(taped())) == []


def test_the_picture_of_the_readme_is_one_of_ours_and_small() -> None:
    file = Path(__file__).resolve().parents[2] / "docs" / "at-work.svg"
    root = ET.fromstring(file.read_text(encoding="utf-8"))
    assert file.stat().st_size < 150_000
    assert root.get("role") == "img"
    assert [root.findtext(f"{SVG}title", ""), root.findtext(f"{SVG}desc", "")] != ["", ""]
    assert [row for row in at_the_end(root) if row.startswith("$ ")]


@pytest.mark.skipif(
    not (shutil.which("chromium") or shutil.which("chromium-browser")), reason="no chromium on this machine"
)
def test_a_browser_draws_it_as_an_image_and_asks_for_nothing(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="the Python package playwright is not installed")
    (tmp_path / "run.svg").write_text(picture(taped((0, "one\n"), (1, "two\n")), "A terminal"), encoding="utf-8")
    (tmp_path / "page.html").write_text('<img src="run.svg" alt="">', encoding="utf-8")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        window, asked = browser.new_page(), []
        window.on("request", lambda request: asked.append(Path(request.url).name))
        window.goto((tmp_path / "page.html").as_uri())
        wide = window.evaluate("document.images[0].naturalWidth")
        browser.close()
    assert (asked, wide) == (["page.html", "run.svg"], round(60 * 7.8 + 28))
