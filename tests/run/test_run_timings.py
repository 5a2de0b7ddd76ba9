"""What the journal of a run says of where its time went."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra_orch.errors import UserError
from infra_orch.report.style import Style
from infra_orch.report.timings import timing_lines, trace_json
from infra_orch.run.timings import Timings, read_timings

Span = tuple[float, float]


def timings(
    folder: Path, nodes: Mapping[str, Span], after: Mapping[str, list[str]], *more: Mapping[str, Any]
) -> Timings:
    """Those of a run that planned *nodes*, each from one second to another."""
    begun = [{"event": "run", "at": 0.0, "run": "r", "stack": "dev", "command": "plan"}]
    begun += [{"event": "phase", "at": 0.0, "phase": "plan", "workers": 2}]
    done = [
        {"event": "node", "at": end, "node": name, "phase": "plan", "began": start, "after": after.get(name, [])}
        for name, (start, end) in nodes.items()
    ]
    path = folder / "journal.jsonl"
    path.write_text("".join(json.dumps({"schema": 1, **entry}) + "\n" for entry in (*begun, *more, *done)))
    return read_timings(path)


def critical(found: Timings) -> list[str]:
    return [node.name for node in found.phases[0].critical]


def test_a_run_waited_for_the_longest_way_through_what_needs_each_other(tmp_path: Path) -> None:
    nodes = {"network": (0.0, 3.0), "table": (0.0, 1.0), "web": (3.0, 5.0), "batch": (1.0, 2.0)}
    after = {"web": ["network", "table"], "batch": ["table"]}
    assert critical(timings(tmp_path, nodes, after)) == ["network", "web"]


def test_where_workers_are_short_a_run_waited_for_who_had_them(tmp_path: Path) -> None:
    nodes = {"long": (0.0, 6.0), "a": (0.0, 4.0), "b": (4.0, 7.0), "c": (6.0, 6.5)}
    found = timings(tmp_path, nodes, {})
    assert critical(found) == ["a", "b"]
    assert [node.queue for node in found.phases[0].nodes] == [0.0, 0.0, 4.0, 6.0]


def test_what_a_node_waited_for_is_not_counted_from_before_it_could_begin(tmp_path: Path) -> None:
    found = timings(tmp_path, {"a": (0.0, 4.0), "b": (5.0, 6.0)}, {"b": ["a"]})
    assert {node.name: node.queue for node in found.phases[0].nodes} == {"a": 0.0, "b": 1.0}


def test_a_command_that_waited_for_its_provider_took_the_rest_itself(tmp_path: Path) -> None:
    step = {"event": "step", "node": "a", "step": "plan", "began": 1.0, "providers": 0.5, "at": 3.0}
    found = timings(tmp_path, {"a": (0.0, 4.0)}, {}, step)
    (row,) = (line for line in timing_lines(found, Style()) if line.startswith("* a"))
    assert row.split() == ["*", "a", "0.5", "s", "1.5", "s", "2.0", "s", "4.0", "s"]  # providers, plan, other, total


@given(
    spans=st.lists(st.tuples(st.floats(0, 9), st.floats(0, 2)), min_size=1, max_size=12),
    needs=st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11))),
)
def test_whatever_a_journal_says_slices_of_a_trace_lie_within_each_other_or_apart(
    tmp_path_factory: pytest.TempPathFactory, spans: list[Span], needs: set[tuple[int, int]]
) -> None:
    nodes = {f"n{number}": (start, start + long) for number, (start, long) in enumerate(spans)}
    after = {f"n{number}": sorted(f"n{first}" for first, then in needs if then == number) for number in range(12)}
    found = timings(tmp_path_factory.mktemp("run"), nodes, after)
    assert critical(found)
    rows: dict[int, list[Span]] = {}
    for event in trace_json(found)["traceEvents"]:
        if event["ph"] == "X" and event["tid"]:
            rows.setdefault(event["tid"], []).append((event["ts"], event["ts"] + event["dur"]))
    for slices in rows.values():
        ordered = sorted(slices)
        assert all(before[1] <= then[0] + 1 for before, then in pairwise(ordered))


def test_what_was_done_about_a_run_that_died_is_none_of_its_time(tmp_path: Path) -> None:
    found = timings(tmp_path, {"a": (0.0, 4.0)}, {})
    with (tmp_path / "journal.jsonl").open("a") as journal:
        for entry in ({"event": "recovery", "at": 900.0}, {"event": "done", "at": 901.0}):
            journal.write(json.dumps({"schema": 1, **entry}) + "\n")
    assert read_timings(tmp_path / "journal.jsonl") == found


def test_of_many_that_were_waited_for_the_first_and_the_last_are_named(tmp_path: Path) -> None:
    nodes = {f"n{number:02}": (float(number), number + 1.0) for number in range(40)}
    found = timings(tmp_path, nodes, {})
    assert len(critical(found)) == 40
    *_, path = timing_lines(found, Style())
    assert path.startswith("* plan waited for: n00 1.0 s → n01 1.0 s → ")
    assert " → 32 more → n36 1.0 s → " in path


def test_who_is_done_in_no_time_at_the_same_moment_as_others_had_waited_for_none_of_them(tmp_path: Path) -> None:
    nodes = {f"n{number:02}": (0.001 * number, 0.001 * number + 0.02) for number in range(30)}
    assert len(critical(timings(tmp_path, nodes, {}))) < 5


def test_a_journal_of_an_older_version_has_no_timings_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"schema": 1, "event": "phase", "at": 1.0}\n')
    with pytest.raises(UserError, match="does not say how long anything took"):
        read_timings(path)
