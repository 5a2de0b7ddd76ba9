"""`infra-orch graph`: what depends on what, for people and for programs."""

from __future__ import annotations

import json

import pytest

SPEC = """
    from infra_orch import Stack

    stack = Stack("dev")
    a = stack.unit("a", module="m")
    b = stack.unit("b", module="m", after=[a], tags=["x"])
    c = stack.unit("c", module="m", after=[a])
    stack.unit("d", module="m", after=[b, c])

    @stack.task(after=["d"], on="plan")
    def t(context):
        pass

    stack.unit("alone", module="m")
"""


@pytest.fixture
def diamond(desk):
    return desk.write({"modules/m/main.tf": "locals {\n}\n", "stacks/dev/stack.py": SPEC})


def test_the_tree_draws_what_depends_on_a_node_below_it_and_only_once(diamond) -> None:
    assert diamond.run("graph", "dev").out.splitlines() == [
        "a  (modules/m)",
        "├── b  (modules/m)",
        "│   └── d  (modules/m)",
        "│       └── t  (task, on plan)",
        "└── c  (modules/m)",
        "    └── d  (modules/m) …",
        "alone  (modules/m)",
    ]


def test_mermaid_has_a_box_for_every_unit_and_an_arrow_for_every_edge(diamond) -> None:
    lines = diamond.run("graph", "dev", "--format", "mermaid").out.splitlines()
    assert lines[0] == "flowchart LR"
    assert sorted(lines[1:7]) == [
        '    n0["a"]',
        '    n1["alone"]',
        '    n2["b"]',
        '    n3["c"]',
        '    n4["d"]',
        '    n5(["t"])',
    ]
    assert lines[7:] == ["    n0 --> n2", "    n0 --> n3", "    n2 --> n4", "    n3 --> n4", "    n4 --> n5"]


def test_dot_has_every_node_and_every_edge(diamond) -> None:
    lines = diamond.run("graph", "dev", "--format", "dot").out.splitlines()
    assert (lines[0], lines[-1]) == ('digraph "dev" {', "}")
    assert [line for line in lines if "->" in line] == [
        '  "a" -> "b";',
        '  "a" -> "c";',
        '  "b" -> "d";',
        '  "c" -> "d";',
        '  "d" -> "t";',
    ]


def test_json_has_every_node_by_an_id_of_its_own(diamond) -> None:
    document = json.loads(diamond.run("graph", "dev", "--format", "json").out)
    nodes = {node["id"]: node for node in document["nodes"]}
    assert nodes["dev/b"] == {"id": "dev/b", "stack": "dev", "unit": "b", "module": "modules/m", "tags": ["x"]}
    assert nodes["dev/t"] == {"id": "dev/t", "stack": "dev", "task": "t"}
    assert {(edge["from"], edge["to"]) for edge in document["edges"]} == {
        ("dev/a", "dev/b"),
        ("dev/a", "dev/c"),
        ("dev/b", "dev/d"),
        ("dev/c", "dev/d"),
        ("dev/d", "dev/t"),
    }


def test_an_unknown_format_is_wrong_usage(diamond) -> None:
    done = diamond.run("graph", "dev", "--format", "mermiad")
    assert (done.code, done.err) == (64, 'error: unknown format "mermiad"\n  → did you mean "mermaid"?\n')


def test_a_stack_of_nothing_says_so(desk) -> None:
    desk.write({"stacks/dev/stack.py": 'from infra_orch import Stack\nstack = Stack("dev")\n'})
    done = desk.run("graph", "dev")
    assert (done.code, done.out, done.err) == (0, "", "dev has no units and no tasks\n")
    assert json.loads(desk.run("graph", "dev", "--format", "json").out)["nodes"] == []


def test_a_chain_longer_than_pythons_stack_is_drawn(desk) -> None:
    desk.write(
        {
            "modules/m/main.tf": "locals {\n}\n",
            "stacks/dev/stack.py": """
            from infra_orch import Stack
            stack = Stack("dev")
            for n in range(1100):
                stack.unit(f"u{n:04}", module="m", after=stack.units[-1:])
        """,
        }
    )
    assert len(desk.run("graph", "dev").out.splitlines()) == 1100
