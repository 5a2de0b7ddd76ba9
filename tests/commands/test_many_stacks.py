"""`validate`, `render` and `graph` of many stacks: by name, by pattern, or all."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk

SPEC = """
    from infra_orch import Stack
    from names import OWN

    stack = Stack(OWN)
    a = stack.unit("a", module="m")
    stack.unit("b", module="m", after=[a])
"""


@pytest.fixture
def several(desk: Desk) -> Desk:
    """Three stacks, each with a module called names of its own."""
    desk.write({"modules/m/main.tf": "locals {\n}\n"})
    for path in ("prod", "team/one", "team/two"):
        own = path.replace("/", "-")
        desk.write({f"stacks/{path}/stack.py": SPEC, f"stacks/{path}/names.py": f'OWN = "{own}"\n'})
    return desk


@pytest.mark.parametrize(
    ("words", "valid"),
    [
        (("--all",), ["prod", "team-one", "team-two"]),
        (("team/*",), ["team-one", "team-two"]),
        (("*/one", "prod"), ["team-one", "prod"]),
        (("prod", "prod", "stacks/prod"), ["prod"]),
    ],
)
def test_stacks_are_chosen_by_name_and_pattern_each_once(
    several: Desk, words: tuple[str, ...], valid: list[str]
) -> None:
    done = several.run("validate", *words)
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines()] == valid


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "which stack?"),
        (("--all", "prod"), "--all means every stack, and prod some of them"),
        (("taem/*",), 'no stack fits "taem/*"'),
        (("prd",), 'did you mean "prod"?'),
    ],
)
def test_what_names_no_stack_is_refused(several: Desk, words: tuple[str, ...], said: str) -> None:
    done = several.run("validate", *words)
    assert (done.code, done.out) == (64, "")
    assert said in done.err


def test_what_is_wrong_with_one_stack_keeps_nobody_from_the_others(several: Desk) -> None:
    several.write({"stacks/prod/stack.py": "import nowhere\n"})
    done = several.run("render", "--all")
    assert done.code == 65
    assert "stacks/prod/stack.py:1: ModuleNotFoundError: No module named 'nowhere'" in done.err
    assert (several.root / "stacks/team/two/rendered/stack.json").is_file()
    assert several.run("render", "--all", "--check").code == 65
    assert several.run("render", "team/*", "--check").code == 0
    (several.root / "stacks/team/one/rendered/a/main.tf").write_text("")
    assert several.run("render", "team/*", "--check").code == 1


def test_one_graph_has_the_nodes_of_all(several: Desk) -> None:
    document = json.loads(several.run("graph", "--all", "--format", "json").out)
    assert [node["id"] for node in document["nodes"]] == [
        f"{stack}/{unit}" for stack in ("prod", "team/one", "team/two") for unit in "ab"
    ]
    assert {"from": "team/one/a", "to": "team/one/b"} in document["edges"]


def test_trees_stand_below_the_names_of_their_stacks(several: Desk) -> None:
    assert several.run("graph", "team/*").out.splitlines() == [
        "team/one",
        "  a  (modules/m)",
        "  └── b  (modules/m)",
        "",
        "team/two",
        "  a  (modules/m)",
        "  └── b  (modules/m)",
    ]


def test_mermaid_puts_each_stack_into_a_box(several: Desk) -> None:
    lines = several.run("graph", "team/*", "--format", "mermaid").out.splitlines()
    assert lines[:4] == ["flowchart LR", '    subgraph s0["team/one"]', '        n0["a"]', '        n1["b"]']
    assert "        n2 --> n3" in lines
    assert lines.count("    end") == 2


def test_dot_puts_each_stack_into_a_box_that_graphviz_reads(several: Desk) -> None:
    text = several.run("graph", "--all", "--format", "dot").out
    assert text.count("subgraph cluster_") == 3
    assert '"team/one/a" -> "team/one/b";' in text
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg"], input=text, text=True, check=True, capture_output=True)
