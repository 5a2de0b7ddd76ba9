"""The page itself: one file that asks for nothing, and does not obey what stands in a run's document."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from infra_orch.record.read import read_outcomes
from infra_orch.record.store import counted
from infra_orch.report.html.drawing import Drawing, drawing
from infra_orch.report.html.units import duration_text, entry, error, remark
from infra_orch.report.style import safe
from infra_orch.report.terminal import SKIPPED_WHY
from infra_orch.run.outcome import Counts, Outcome, Status

_ACTIONS = ("create", "update", "replace", "delete", "import", "move", "read", "forget")
_FIRST = (Status.FAILED, Status.REFUSED)
_DONE = (Status.APPLIED, Status.FAILED)


def page(run: Mapping[str, Any]) -> str:
    """Return the page of a run, given its document, or its record, which has neither attributes nor edges.

    Raises ValueError, KeyError or TypeError for what is neither.
    """
    outcomes = read_outcomes(run)
    units = sorted((o for o in outcomes.values() if not o.is_task), key=lambda o: o.status not in _FIRST)
    tasks = [outcome for outcome in outcomes.values() if outcome.is_task]
    data = {"units": list(map(entry, units)), "timings": list(_timings(outcomes.values()))}
    anchors = {
        o.name: f"{kind}-{number}" for kind, some in (("unit", units), ("task", tasks)) for number, o in enumerate(some)
    }
    values = {
        "run": {key: run.get(key) for key in ("command", "stack", "status", "sandbox")},
        "facts": dict(_facts(run)),
        "totals": _totals(units),
        "statuses": Counter(str(outcome.status) for outcome in units),
        "actions": _actions(data["units"]),
        "destroys": sum(change.destroys for outcome in units for change in outcome.resources),
        "resources": sum(len(outcome.resources) for outcome in units),
        "tasks": [_task(outcome) for outcome in tasks],
        "left_over": list(run.get("left_over") or ()),
        "skipped_why": SKIPPED_WHY,
        "data": data,
    }
    script = _text("report.js")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            _readable(values),
            graph=_graph(drawing(outcomes, run.get("edges") or ()), outcomes, anchors),
            style=Markup(_text("report.css")),  # noqa: S704  ours
            script=Markup(script),  # noqa: S704  ours
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _environment() -> Environment:
    loader = PackageLoader("infra_orch.report", "html")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # The filter `tojson` would sort the keys, whose order is that of the run.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment


def _text(name: str) -> str:
    return files("infra_orch.report.html").joinpath(name).read_text(encoding="utf-8")


def _readable(value: Any) -> Any:
    """A value of JSON with every text in it made safe to be read."""
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, Mapping):
        return {safe(str(key)): _readable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_readable(item) for item in value]
    return value


def _facts(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Run", str(run.get("run_id") or run.get("run"))
    if run.get("at"):
        yield "When", str(run["at"])
    yield "Took", duration_text(run["duration_s"])
    if run.get("by"):
        yield "Who", str(run["by"])
    differed = ", and files differed from it" if run.get("dirty") else ""
    yield "Commit", f"{run['commit']}{differed}" if run.get("commit") else "none"
    if engine := run.get("engine"):
        yield "Engine", f"{engine['name']} {engine['version']}"
    if run.get("bundle"):
        yield "Bundle", str(run["bundle"])


def _totals(units: Iterable[Outcome]) -> list[dict[str, str]]:
    """What happened to resources, and what is to, as a word each with the name of its action."""
    found = []
    for done in (True, False):
        counts = sum((outcome.counts for outcome in units if (outcome.status in _DONE) is done), Counts())
        found += [{"action": action, "words": words} for action, words in counted(counts, done=done).items()]
    return found


def _actions(units: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    found = Counter(action for unit in units for resource in unit["resources"] for action in resource["actions"])
    return {action: found[action] for action in (*_ACTIONS, *sorted(found.keys() - set(_ACTIONS))) if found[action]}


def _task(outcome: Outcome) -> dict[str, Any]:
    result = outcome.result
    return {
        "name": outcome.name,
        "status": str(outcome.status),
        "remark": remark(outcome),
        "took": duration_text(outcome.duration),
        "error": error(outcome),
        "result": None if result is None else json.dumps(result, indent=2, ensure_ascii=False),
    }


def _timings(outcomes: Collection[Outcome]) -> Iterator[dict[str, Any]]:
    """How long each node took, the longest first, and what part that is of the longest."""
    longest = max((outcome.duration for outcome in outcomes), default=0.0)
    for outcome in sorted(outcomes, key=lambda outcome: -outcome.duration):
        if outcome.duration > 0:
            share = round(outcome.duration / longest, 3)
            yield {"name": outcome.name, "took": duration_text(outcome.duration), "share": share}


def _graph(
    drawn: Drawing | None, outcomes: Mapping[str, Outcome], anchors: Mapping[str, str]
) -> Mapping[str, Any] | None:
    if drawn is None:
        return None
    boxes = [
        {
            "box": box,
            "anchor": anchors[box.name],
            "label": safe(box.label),
            "about": safe(f"{box.name}: {outcomes[box.name].status}, {remark(outcomes[box.name])}".removesuffix(", ")),
            "is_task": outcomes[box.name].is_task,
        }
        for box in drawn.boxes
    ]
    return {
        "boxes": boxes,
        "lines": drawn.lines,
        "left_out": drawn.left_out,
        "width": drawn.width,
        "height": drawn.height,
    }
