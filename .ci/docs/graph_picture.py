"""Draw docs/graph.svg: the stack of the demo, laid out as a report draws it: python .ci/docs/graph_picture.py

What is drawn is what `infra-orch graph prod --format json` prints there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path
from typing import Any

from infra_orch.report.html.drawing import drawing
from infra_orch.run.outcome import Outcome, Status

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "graph.svg"
_STYLE = """\
text { font: 13px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; text-anchor: middle; fill: #1c1e26 }
rect { fill: #eef1f8; stroke: #5b6b9a }
.task { fill: #f3effa; stroke: #7a5ba8 }
.line { fill: none; stroke: #7d8597; stroke-width: 1.2 }
marker path { fill: #7d8597 }
@media (prefers-color-scheme: dark) {
text { fill: #e6e8ee }
rect { fill: #2b3144; stroke: #8fa0d6 }
.task { fill: #352c47; stroke: #b79be0 }
}"""


def main() -> int:
    """Write the picture."""
    PICTURE.write_text(picture(graph_of_the_demo()), encoding="utf-8")
    return 0


def graph_of_the_demo() -> dict[str, Any]:
    """What `infra-orch graph` prints of the demo's stack. Raises CalledProcessError where it fails."""
    with tempfile.TemporaryDirectory() as name:
        for part in ("modules", "stacks"):
            shutil.copytree(ROOT / ".ci" / "demo" / part, Path(name) / part)
        argv = [sys.executable, "-m", "infra_orch", "graph", "prod", "--format", "json"]
        done = subprocess.run(argv, cwd=name, check=True, capture_output=True, text=True)
    graph: dict[str, Any] = json.loads(done.stdout)
    return graph


def picture(graph: dict[str, Any]) -> str:
    """Return a graph, as `infra-orch graph` prints it, as an SVG that needs nothing from elsewhere."""
    names = {node["id"]: node.get("unit") or node["task"] for node in graph["nodes"]}
    tasks = {name for node in graph["nodes"] if (name := node.get("task"))}
    nodes = {name: Outcome(name, Status.UNCHANGED) for name in names.values()}
    drawn = drawing(nodes, [(names[edge["from"]], names[edge["to"]]) for edge in graph["edges"]])
    if drawn is None:
        raise ValueError("there are no edges to draw")
    size = f'viewBox="0 0 {drawn.width:g} {drawn.height:g}" width="{drawn.width:g}" height="{drawn.height:g}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(', '.join(names.values()))}, each right of what it comes after</title>",
        f"<style>\n{_STYLE}\n</style>",
        '<defs><marker id="arrow" viewBox="0 0 6 6" refX="1" refY="3" markerWidth="6" markerHeight="6" orient="auto">',
        '<path d="M0 0L6 3L0 6z"/></marker></defs>',
        *(f'<path class="line" d="{line}" marker-end="url(#arrow)"/>' for line in drawn.lines),
    ]
    for box in drawn.boxes:
        kind, corner = (' class="task"', 13) if box.name in tasks else ("", 3)
        at = f'x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="{corner}"'
        middle = f'x="{box.x + box.width / 2:g}" y="{box.y + 17:g}"'
        lines.append(f"<rect{kind} {at}/><text {middle}>{escape(box.label)}</text>")
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    sys.exit(main())
