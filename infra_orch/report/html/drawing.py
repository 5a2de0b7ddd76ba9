"""Where the nodes and edges of a run's graph lie in a drawing: each node right of all that it comes after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from infra_orch.graph.graph import Graph
from infra_orch.run.outcome import Outcome, Status

MOST_NODES = 150
"""With more than these nobody reads a drawing."""
_ROWS = 16
_LONGEST = 26
_CHARACTER, _PADDING = 7.3, 20
_HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 26, 48, 12, 4
_LOOKS = {
    Status.FAILED: "bad",
    Status.REFUSED: "bad",
    Status.PLANNED: "change",
    Status.APPLIED: "change",
    Status.BLOCKED: "waiting",
    Status.DEFERRED: "waiting",
    Status.CANCELLED: "waiting",
}


@dataclass(frozen=True)
class Box:
    """A node: its left upper corner and size in pixels; *looks* is bad, destroy, change, waiting or same."""

    name: str
    label: str
    looks: str
    x: float
    y: float
    width: float
    height: float = _HEIGHT


@dataclass(frozen=True)
class Drawing:
    """Boxes, and lines between them as SVG has paths. *left_out* is how many nodes are not drawn."""

    boxes: Sequence[Box]
    lines: Sequence[str]
    left_out: int
    width: float
    height: float


def drawing(outcomes: Mapping[str, Outcome], edges: Iterable[Sequence[str]]) -> Drawing | None:
    """Lay out the graph of *outcomes* by name and *edges* (before, after); None where there are no edges to draw.

    Of more than MOST_NODES nodes only those that change and their direct neighbours are kept, the worst first.
    """
    graph = Graph.of(outcomes, ((first, second) for first, second in edges if {first, second} <= outcomes.keys()))
    if not graph.edges or graph.cycle():
        return None
    kept = graph.without(_dropped(graph, outcomes))
    boxes = {box.name: box for box in _boxes(kept, outcomes)}
    return Drawing(
        boxes=tuple(boxes.values()),
        lines=tuple(_line(boxes[first], boxes[second]) for first, second in kept.edges),
        left_out=len(graph.upstream) - len(boxes),
        width=max((box.x + box.width for box in boxes.values()), default=0) + _MARGIN,
        height=max((box.y + box.height for box in boxes.values()), default=0) + _MARGIN,
    )


def looks(outcome: Outcome) -> str:
    """Return what a node looks like, as a Box has it."""
    found = _LOOKS.get(outcome.status, "same")
    destroys = outcome.destroys_unit or any(change.destroys for change in outcome.resources)
    return "destroy" if found == "change" and destroys else found


def _dropped(graph: Graph, outcomes: Mapping[str, Outcome]) -> frozenset[str]:
    if len(graph.upstream) <= MOST_NODES:
        return frozenset()
    urgency = {"bad": 0, "destroy": 1, "waiting": 2, "change": 3}
    rank = {name: urgency[found] for name in graph.upstream if (found := looks(outcomes[name])) in urgency}
    beside = {near for name in rank for near in graph.upstream[name] | graph.downstream[name]} - rank.keys()
    first = [*sorted(rank, key=lambda name: rank[name]), *sorted(beside)]
    return frozenset(graph.upstream.keys() - set(first[:MOST_NODES]))


def _boxes(graph: Graph, outcomes: Mapping[str, Outcome]) -> Iterator[Box]:
    x = float(_MARGIN)
    middle: dict[str, float] = {}
    for names in _columns(graph):
        # Beside what it comes after, a node's lines cross fewer others.
        ordered = sorted(names, key=lambda name: (_mean(middle[first] for first in graph.upstream[name]), name))
        for part in _parts(ordered):
            width = max(min(len(name), _LONGEST) for name in part) * _CHARACTER + _PADDING
            for row, name in enumerate(part):
                y = _MARGIN + row * (_HEIGHT + _GAP_Y)
                middle[name] = y
                yield Box(name, _short(name), looks(outcomes[name]), round(x, 1), y, round(width, 1))
            x += width + _GAP_X


def _columns(graph: Graph) -> list[list[str]]:
    """The nodes by the length of the longest path that leads to them."""
    depth: dict[str, int] = {}
    columns: list[list[str]] = []
    for name in graph.order():
        depth[name] = 1 + max((depth[first] for first in graph.upstream[name]), default=-1)
        if depth[name] == len(columns):
            columns.append([])
        columns[depth[name]].append(name)
    return columns


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + _ROWS] for start in range(0, len(names), _ROWS))


def _mean(numbers: Iterable[float]) -> float:
    found = list(numbers)
    return sum(found) / len(found) if found else 0.0


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _line(first: Box, second: Box) -> str:
    x1, y1 = first.x + first.width, first.y + first.height / 2
    x2, y2 = second.x, second.y + second.height / 2
    bend = (x1 + x2) / 2
    return f"M{x1:.1f} {y1:.1f}C{bend:.1f} {y1:.1f} {bend:.1f} {y2:.1f} {x2 - 5:.1f} {y2:.1f}"
