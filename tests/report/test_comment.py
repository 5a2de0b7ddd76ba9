"""A comment holds what matters first, never more than fits, and nothing of it is what others made it look like."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from infra_orch.graph.graph import Graph
from infra_orch.record.record import RunFacts
from infra_orch.report.comment import LIMIT, About, comment, length, verdict
from infra_orch.report.document import document
from infra_orch.run.outcome import AttributeChange, Basis, Failure, Outcome, ResourceChange, Status, count

ABOUT = About("main", "0123456789abcdef")
FACTS = RunFacts(
    run_id="20261128T120000000Z-abcdef",
    stack="app",
    command="plan",
    at="2026-11-28T12:00:00+00:00",
    duration=1.0,
    by="Ada",
    commit="0" * 40,
    dirty=False,
    engine="terraform",
    engine_version="1.11.4",
    sandbox=False,
    version="0",
)
HOSTILE = [
    "```\n# Approved by @octocat\n```",
    "`````````` ~~~~",
    "</details><h1>no changes</h1>",
    "<!-- infra-orch preview: other -->",
    "</script><script>alert(1)</script>",
    "[click](https://example.com) ![x](https://example.com/x.png) https://example.com",
    "\x1b[2J\x1b[31mred",
    "\u202eevil\u2066",
    "\u2028# forged",
    "x" * 1_000_000,
    "| a | b |\n|---|---|",
    "    indented",
    "\r\n\r\n# heading",
]
ANY = st.sampled_from(HOSTILE) | st.text(max_size=80) | st.text("`~#<>@[]()!|\n\\&;", max_size=40)


def change(address: str = "aws_vpc.this", *actions: str, values: tuple[str, str] = ('"a"', '"b"')) -> ResourceChange:
    forces = {*actions} == {"delete", "create"}
    return ResourceChange(address, "aws_vpc", actions or ("update",), (AttributeChange("tags.Name", *values, forces),))


def planned(name: str, *changes: ResourceChange, **more: Any) -> Outcome:
    return Outcome(name, Status.PLANNED, count(changes), changes, **more)


def run(*outcomes: Outcome, left_over: tuple[str, ...] = ()) -> dict[str, Any]:
    named = {outcome.name: outcome for outcome in outcomes}
    return document(named, FACTS, Graph.of(named, ()), status="planned", left_over=[*left_over], gateway=None)


def told(*outcomes: Outcome, limit: int = LIMIT) -> str:
    return comment({"app": run(*outcomes)}, ABOUT, limit)


def tokens(text: str) -> list[Token]:
    """What a host's reader of Markdown makes of it."""
    found = []
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text):
        found += [token, *(token.children or ())]
    return found


@settings(deadline=None, max_examples=60)
@given(texts=st.lists(ANY, min_size=9, max_size=9), limit=st.sampled_from([2000, 5000, LIMIT]))
def test_what_others_wrote_is_only_ever_text(texts: list[str], limit: int) -> None:
    address, moved, key, before, after, summary, detail, warning, base = texts
    resource = ResourceChange(
        f'x["{address}"]', "x", ("delete", "create"), (AttributeChange(key, before, after, True),), moved, address
    )
    outcomes = (
        planned("web", resource, warnings=(warning,)),
        Outcome("bad", Status.FAILED, failure=Failure(summary, detail, hint=summary)),
        Outcome("late", Status.BLOCKED, failure=Failure(summary)),
    )
    text = comment({"app": run(*outcomes)}, About(base or "main", "0" * 40, report="https://ci.example.com/1"), limit)
    assert length(text) <= limit
    seen = tokens(text)
    heads = [seen[place + 1].content for place, token in enumerate(seen) if token.type == "heading_open"]
    assert heads[0] == "infra-orch: 1 failed, 1 blocked, 1 to replace, 1 to import, 1 to move · 1 unit in 1 stack"
    ours = ("Destroyed or replaced: ", "`app/bad` failed", "Not planned: 1 unit")
    assert all(head.startswith(ours) for head in heads[1:])
    assert [token.attrGet("href") for token in seen if token.type == "link_open"] == ["https://ci.example.com/1"]
    assert not [token for token in seen if token.type in ("image", "table_open", "hr", "blockquote_open")]
    html = "".join(token.content for token in seen if token.type.startswith("html"))
    assert "script" not in html
    assert html.count("<!--") == html.count("<!-- infra-orch preview: default -->") == 1
    assert html.count("<details>") == html.count("</details>")
    # A host looks for mentions in what is text, and not in code.
    assert "@" not in "".join(token.content for token in seen if token.type == "text")
    assert not [char for char in text if char in "\x1b\u202e\u2066\u2028\r"]


def test_the_verdict_is_the_first_line_and_what_is_destroyed_stands_open() -> None:
    text = told(planned("a", change("x.new", "create")), planned("b", change("x.old", "delete")))
    assert text.splitlines()[0] == "### infra-orch: 1 to destroy, 1 to create · 2 units in 1 stack"
    opened, _, folded = text.partition("<details>")
    assert "app/b: x.old is destroyed" in opened
    assert "x.new" not in opened
    assert folded.index("app/b") < folded.index("app/a")


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([], "no changes"),
        ([Outcome("a", Status.UNCHANGED)], "no changes"),
        ([planned("a", outputs_changed=("id",))], "only outputs change · 1 unit in 1 stack"),
        ([Outcome("t", Status.PLANNED, is_task=True)], "1 task to run"),
        ([Outcome("a", Status.DEFERRED, unknown_inputs=("b.id",))], "1 deferred"),
        (
            [planned("a", change("x", "create")), Outcome("b", Status.REFUSED, failure=Failure("no"))],
            "1 refused, 1 to create · 1 unit in 1 stack",
        ),
    ],
)
def test_the_verdict_says_what_would_happen(outcomes: list[Outcome], said: str) -> None:
    assert told(*outcomes).splitlines()[0] == f"### infra-orch: {said}"


def test_what_a_plan_rests_on_is_said() -> None:
    text = told(
        planned("a", change(), basis=Basis.PLANNED),
        planned("b", change(), basis=Basis.UNKNOWN, unknown_inputs=("net.id",)),
    )
    assert "<code>app/a</code>: 1 to update · rests on values that upstream plans promise" in text
    assert "<code>app/b</code>: 1 to update · not known yet: net.id" in text


def test_what_stays_as_it_is_takes_one_line() -> None:
    outcomes = [Outcome(f"u{number}", Status.UNCHANGED) for number in range(50)]
    text = told(*outcomes)
    assert "<details><summary>50 units unchanged</summary>" in text
    assert len(text.splitlines()) < 15


def test_a_failure_has_what_terraform_said_and_what_mends_it() -> None:
    failure = Failure("it is locked", "Error: lock\n  ID: 1", hint="infra-orch unlock app a")
    text = told(Outcome("a", Status.FAILED, failure=failure))
    assert "#### `app/a` failed\n\n```\nit is locked\n→ infra-orch unlock app a\n\nError: lock\n  ID: 1\n```" in text


def test_what_is_least_important_is_left_out_first_and_that_is_said() -> None:
    gone = [planned(f"gone{number}", change(f"x.gone{number}", "delete")) for number in range(3)]
    new = [
        planned(f"new{number}", *(change(f"x.n{number}_{place}", "create") for place in range(40)))
        for number in range(60)
    ]
    texts = {limit: told(*new, *gone, limit=limit) for limit in (200_000, 20_000, 5_000, 2_000)}
    assert "Shortened" not in texts[200_000]
    for limit, text in texts.items():
        assert length(text) <= limit
        assert all(f"app/gone{number}: x.gone{number} is destroyed" in text for number in range(3))
        assert text.splitlines()[0] == texts[200_000].splitlines()[0]
        assert text.endswith("<!-- infra-orch preview: default -->\n")
    assert "`app/new59`: 40 to create" in texts[5_000]
    assert "*Shortened to fit. Not shown here: resources of units, attributes.*" in texts[5_000]
    assert "units, resources of units" in texts[2_000]


def test_of_very_many_that_are_destroyed_the_first_are_shown_and_the_others_counted() -> None:
    text = told(*(planned(f"u{number}", change("x.y", "delete")) for number in range(3000)), limit=20_000)
    assert length(text) <= 20_000
    assert "#### Destroyed or replaced: 3000 resources" in text
    assert "… and 2900 more" in text


def test_of_very_many_failures_those_that_fit_are_shown_and_that_is_said() -> None:
    text = told(*(Outcome(f"u{number}", Status.FAILED, failure=Failure("no " * 20)) for number in range(5000)))
    assert length(text) <= LIMIT
    assert text.startswith("### infra-orch: 5000 failed\n")
    assert "*Shortened to fit. Not shown here: failures, details of errors.*" in text


def test_characters_outside_of_the_first_plane_count_twice() -> None:
    assert length("a\U0001f600") == 3
    text = told(*(planned(f"u{n}", change(values=("", "\U0001f600" * 400))) for n in range(100)), limit=10_000)
    assert len(text.encode("utf-16-le")) // 2 <= 10_000


def test_the_counts_of_a_run_are_added_up_over_stacks() -> None:
    nodes = {f"{stack}/x": planned("x", change()) for stack in ("a", "b")}
    assert verdict(nodes) == "infra-orch: 2 to update · 2 units in 2 stacks"


def test_what_left_the_spec_and_stays_is_named() -> None:
    text = comment({"app": run(left_over=("old", "older"))}, ABOUT)
    assert "2 units left the spec and still exist; <code>--prune</code> destroys what does" in text
    assert "app/old, app/older" in text
