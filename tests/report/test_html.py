"""The page of a run: it holds all that the document says, asks for nothing, and obeys nothing of it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from run_documents import attribute, document, error, many, mixed, resource, unit

from infra_orch.report.html.page import page


class Read(HTMLParser):
    """A page as a browser's parser takes it apart: its elements, and the text in each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.shown = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data
        elif self.cdata_elem is None:
            self.shown += data

    @property
    def data(self) -> Any:
        """What the page's own script works from."""
        return json.loads(self.scripts[0])


HOSTILE = {
    "a script that ends ours": "</script><script>alert(1)</script>",
    "a comment that opens": "<!--<script>",
    "an image": "<img src=x onerror=alert(1)>",
    "quotes": "\"'><svg onload=alert(1)>",
    "a template": "{{ 7 * 7 }}{% raw %}${alert(1)}",
    "markdown": "[click](javascript:alert(1)) **bold** `code`",
}


def hostile(text: str) -> dict[str, Any]:
    """A run with *text* wherever others have a say."""
    change = resource("aws_instance.a", "update", attributes=[attribute(text, text, text)], moved_from=text)
    change |= {"address": text, "type": text, "imported_id": text}
    one = unit("failed", change, error=error(text, text, text), warnings=[text], unknown_inputs=[text])
    one |= {"unfinished": [text], "outputs_changed": [text]}
    task = {"status": "failed", "result": {text: text}, "error": error(text, text, text), "duration_s": 1}
    return document(
        {"a": one, text: one},
        tasks={"task": task, f"task {text}": task},
        edges=[["a", text], ["a", "task"]],
        by=text,
        stack=text,
        left_over=[text],
        engine={"name": text, "version": text},
    )


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_others_wrote_adds_no_element_to_the_page(text: str) -> None:
    def shape(of: str) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attributes)) for tag, attributes in Read(page(hostile(of))).elements]

    assert shape(text) == shape("harmless")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_others_wrote_reaches_the_reader_letter_by_letter(text: str) -> None:
    (change,) = Read(page(hostile(text))).data["units"][0]["resources"]
    assert change["address"] == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", "\\u001b[2Jgone"),
        ("safe\u202egnp.exe", "safe\\u202egnp.exe"),
        ("a\u2028b", "a\\u2028b"),
        ("a\x00b", "a\\u0000b"),
        ("a\ud800b", "a\\ud800b"),
    ],
)
def test_control_and_bidi_characters_are_shown_and_not_obeyed(text: str, shown: str) -> None:
    made = page(hostile(text))
    assert text not in made
    assert Read(made).data["units"][0]["name"] == "a"
    assert Read(made).data["units"][0]["warnings"] == [shown]


def test_the_only_script_that_may_run_is_the_one_whose_hash_the_policy_has() -> None:
    read = Read(page(mixed()))
    policy = next(a["content"] for tag, a in read.elements if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(read.scripts[-1].encode()).digest()).decode()
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert re.findall(r"script-src ([^;]+);", policy) == [f"'sha256-{digest}'"]


def test_the_page_refers_to_nothing_outside_of_itself() -> None:
    made = page(mixed())
    links = [value for _, a in Read(made).elements for name, value in a.items() if name in ("src", "href", "action")]
    assert [link for link in links if not (link or "").startswith(("#", "data:,"))] == []
    assert re.findall(r"https?:|@import|url\((?!#)", made) == []


def test_a_value_of_a_megabyte_is_kept_whole() -> None:
    value = "é<" * 500_000
    run = document({"a": unit("applied", resource("t.a", "update", attributes=[attribute("x", "null", value)]))})
    assert Read(page(run)).data["units"][0]["resources"][0]["attributes"][0]["after"] == value


def test_the_head_says_in_words_what_happened_to_resources_and_units() -> None:
    shown = " ".join(Read(page(mixed())).shown.split())
    assert "1 created 2 updated 1 replaced 1 destroyed 1 imported 1 moved" in shown
    assert "7 units: 1 failed, 3 applied, 1 deferred, 1 unchanged, 1 skipped" in shown


def test_what_a_plan_shows_is_said_to_be_still_to_come() -> None:
    planned = document({"a": unit("planned", resource("t.a", "create"))}, command="plan", status="planned")
    assert "1 to create" in Read(page(planned)).shown


def test_a_run_of_the_emulator_and_files_that_differed_are_said() -> None:
    shown = Read(page(mixed())).shown
    assert "nothing of it is real" in shown
    assert "and files differed from it" in shown


def test_what_failed_comes_before_what_went_well() -> None:
    assert [unit["name"] for unit in Read(page(mixed())).data["units"]][:3] == ["web", "network", "old"]


def test_the_record_of_a_run_makes_a_page_without_attributes_and_graph() -> None:
    run = mixed()
    record = {key: value for key, value in run.items() if key not in ("edges", "gateway", "left_over", "run_id")}
    record["run"] = run["run_id"]
    for one in record["units"].values():
        for change in one["resources"]:
            del change["attributes"]
    read = Read(page(record))
    assert run["run_id"] in read.shown
    assert "svg" not in {tag for tag, _ in read.elements}
    assert read.data["units"][1]["resources"][0]["attributes"] == []


def test_a_node_of_the_graph_stands_right_of_all_that_it_comes_after() -> None:
    found = re.findall(r'aria-label="(\w+)[^>]*>.*?<rect x="([\d.]+)"', page(mixed()))
    left = {name: float(x) for name, x in found}
    assert left["network"] < left["web"] < left["alerts"]
    assert left["network"] < left["audit"]


def test_of_a_large_graph_what_changes_is_drawn_with_its_neighbours() -> None:
    units = {f"n{number}": unit("unchanged") for number in range(300)}
    units["n150"] = unit("applied", resource("t.a", "create"))
    edges = [[f"n{number}", f"n{number + 1}"] for number in range(299)]
    made = page(document(units, edges=edges))
    assert re.findall(r"<text [^>]*>(\w+)</text>", made) == ["n149", "n150", "n151"]
    assert "297 nodes are left out" in made


def test_edges_in_a_circle_draw_no_graph() -> None:
    run = document({"a": unit("unchanged"), "b": unit("unchanged")}, edges=[["a", "b"], ["b", "a"]])
    assert "<svg" not in page(run)


def test_the_body_of_a_page_does_not_grow_with_the_run() -> None:
    one, thousand = (len(Read(page(many(units, 10))).elements) for units in (1, 1000))
    assert one == thousand


def test_what_is_no_document_of_a_run_is_refused() -> None:
    with pytest.raises(ValueError, match="exploded"):
        page(document({"a": unit("exploded")}))
