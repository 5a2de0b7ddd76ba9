"""The timings of a run: as a table, as JSON, and as a trace for a viewer of traces (https://ui.perfetto.dev)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from infra_orch.report.style import Style
from infra_orch.run.timings import Node, Phase, Step, Timings

SCHEMA = 1
SCHEMA_ID = "urn:infra-orch:schema:timings:1"
_COLUMNS = ("queue", "init", "providers", "plan", "show", "apply", "other")
_MOST_ROWS = 30
_ENDS = 4
_MICROSECONDS = 1_000_000
_WIDTH = 10


def timing_lines(timings: Timings, style: Style) -> Iterator[str]:
    """Yield a table of what each node's time went into, the longest first, and what each phase waited for."""
    phases = ", ".join(f"{phase.name} {_seconds(phase.ended - phase.began)}" for phase in timings.phases)
    yield style(f"{timings.command} {timings.stack}: {_seconds(timings.ended - timings.began)}", "bold") + (
        f", of which {phases}" if phases else ""
    )
    rows = sorted(_rows(timings.phases).items(), key=lambda item: -sum(item[1].values()))
    critical = {node.name for phase in timings.phases for node in phase.critical}
    used = [column for column in _COLUMNS if any(row.get(column, 0.0) >= _SHOWN for _, row in rows)]
    width = max((len(name) for name, _ in rows[:_MOST_ROWS]), default=0)
    if rows:
        yield style(f"  {'':<{width}}" + "".join(f"{column:>{_WIDTH}}" for column in (*used, "total")), "dim")
    for name, row in rows[:_MOST_ROWS]:
        cells = "".join(f"{_cell(row.get(column, 0.0)):>{_WIDTH}}" for column in used)
        line = f"{'*' if name in critical else ' '} {name:<{width}}{cells}{_cell(sum(row.values())):>{_WIDTH}}"
        yield style(line, "bold") if name in critical else line
    if len(rows) > _MOST_ROWS:
        yield style(f"  … {len(rows) - _MOST_ROWS} more took less; --json has all", "dim")
    for phase in timings.phases:
        yield f"* {phase.name} waited for: {' → '.join(_path(phase.critical))}"


def _path(nodes: Sequence[Node]) -> list[str]:
    """The nodes of a critical path; of a long one the beginning and the end."""
    named = [f"{node.name} {_seconds(node.seconds)}" for node in nodes]
    if len(named) <= 2 * _ENDS + 1:
        return named
    return [*named[:_ENDS], f"{len(named) - 2 * _ENDS} more", *named[-_ENDS:]]


def timings_json(timings: Timings) -> dict[str, Any]:
    """Return the timings as `--json` has them; seconds, from the beginning of the run on."""
    zero = timings.began
    return {
        "$schema": SCHEMA_ID,
        "schema": SCHEMA,
        "run": timings.run,
        "stack": timings.stack,
        "command": timings.command,
        "seconds": _rounded(timings.ended - zero),
        "phases": [
            {
                "name": phase.name,
                "began": _rounded(phase.began - zero),
                "seconds": _rounded(phase.ended - phase.began),
                "workers": phase.workers,
                "critical": [node.name for node in phase.critical],
                "nodes": {node.name: _node_json(node, zero) for node in phase.nodes},
            }
            for phase in timings.phases
        ],
        "other_steps": [{"node": step.node, **_step_json(step, zero)} for step in timings.others],
    }


def trace_json(timings: Timings) -> dict[str, Any]:
    """Return the timings in the Trace Event Format of Chrome, which Perfetto opens: a row for each worker.

    The format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
    """
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "args": {"name": f"{timings.command} {timings.stack}"}},
        _slice("run", timings.began, timings.ended, timings.began, 0, run=timings.run),
    ]
    rows = 1
    for phase in timings.phases:
        events.append(_slice(phase.name, phase.began, phase.ended, timings.began, 0, workers=phase.workers))
        for node, row in _in_rows(phase.nodes):
            rows = max(rows, row + 1)
            about = {"queue": _rounded(node.queue), "critical": node.critical}
            events.append(_slice(node.name, node.began, node.ended, timings.began, row, **about))
            for step in node.steps:
                events += _step_slices(step, timings.began, row)
    for step, row in _in_rows(timings.others):
        events += _step_slices(step, timings.began, rows + row, node=step.node)
    used = sorted({event["tid"] for event in events} - {0})
    events += [
        {
            "ph": "M",
            "name": "thread_name",
            "pid": 1,
            "tid": row,
            "args": {"name": f"worker {row}" if row < rows else "outside of phases"},
        }
        for row in used
    ]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


_SHOWN = 0.05


def _rows(phases: Iterable[Phase]) -> dict[str, dict[str, float]]:
    """By node, the seconds in each column, over all phases."""
    found: dict[str, dict[str, float]] = {}
    for phase in phases:
        for node in phase.nodes:
            row = found.setdefault(node.name, {})
            parts = _parts(node)
            for column, seconds in parts.items():
                row[column] = row.get(column, 0.0) + seconds
    return found


def _parts(node: Node) -> dict[str, float]:
    """What the time of a node went into, by column; what is none of the others' is `other`."""
    parts = {"queue": node.queue, "providers": sum(step.providers for step in node.steps)}
    for step in node.steps:
        column = step.name if step.name in _COLUMNS else "other"
        parts[column] = parts.get(column, 0.0) + step.own
    rest = node.seconds - sum(step.ended - step.began for step in node.steps)
    return {**parts, "other": parts.get("other", 0.0) + max(rest, 0.0)}


def _cell(seconds: float) -> str:
    return _seconds(seconds) if seconds >= _SHOWN else "–"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s"


def _node_json(node: Node, zero: float) -> dict[str, Any]:
    return {
        "began": _rounded(node.began - zero),
        "queue": _rounded(node.queue),
        "seconds": _rounded(node.seconds),
        "critical": node.critical,
        "steps": [_step_json(step, zero) for step in node.steps],
    }


def _step_json(step: Step, zero: float) -> dict[str, Any]:
    return {
        "step": step.name,
        "began": _rounded(step.began - zero),
        "seconds": _rounded(step.ended - step.began),
        "providers": _rounded(step.providers),
    }


def _in_rows(items: Sequence[Any]) -> Iterator[tuple[Any, int]]:
    """Each of *items*, which have `began` and `ended`, with the first row, from 1 on, in which nothing else is then."""
    free: list[float] = []
    for item in sorted(items, key=lambda item: item.began):
        row = next((number for number, until in enumerate(free) if until <= item.began), len(free))
        free[row : row + 1] = [item.ended]
        yield item, row + 1


def _step_slices(step: Step, zero: float, row: int, **about: Any) -> Iterator[dict[str, Any]]:
    yield _slice(step.name, step.began, step.ended, zero, row, **about)
    if step.providers >= 1 / _MICROSECONDS:
        yield _slice("providers", step.began, step.began + step.providers, zero, row)


def _slice(name: str, began: float, ended: float, zero: float, row: int, **about: Any) -> dict[str, Any]:
    times = {"ts": round((began - zero) * _MICROSECONDS), "dur": round((ended - began) * _MICROSECONDS)}
    return {"ph": "X", "name": name, "cat": "infra-orch", "pid": 1, "tid": row, **times, "args": about}


def _rounded(seconds: float) -> float:
    return round(seconds, 3)


def trace_text(timings: Timings) -> str:
    """Return trace_json() as text."""
    return json.dumps(trace_json(timings), ensure_ascii=False) + "\n"
