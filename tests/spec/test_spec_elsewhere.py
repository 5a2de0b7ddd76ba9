"""References from a stack into another one: what is right with them, and what is said where they lead nowhere."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk

MODULE = """
    variable "text" {
      type    = string
      default = ""
    }

    output "id" {
      value = var.text
    }

"""
PASSING = """
    output "token" {
      value     = "t"
      ephemeral = true
    }
"""
NETWORK = """
    from infra_orch import Stack

    stack = Stack("network")
    vpc = stack.unit("vpc", module="m")
    passing = stack.unit("passing", module="passing")
    far = stack.unit("far", module="git::https://example.com/m.git", outputs=["id"])
"""


@pytest.fixture
def two(desk: Desk) -> Desk:
    """A stack called network, whose units others may refer to."""
    return desk.write(
        {"modules/m/main.tf": MODULE, "modules/passing/main.tf": PASSING, "stacks/network/stack.py": NETWORK}
    )


def app(desk: Desk, text: str, folder: str = "app") -> Desk:
    spec = "from infra_orch import Stack, expression\n\nstack = Stack('app')\n" + textwrap.dedent(text)
    return desk.write({f"stacks/{folder}/stack.py": spec})


def test_a_reference_is_rendered_as_what_other_stacks_have(two: Desk) -> None:
    app(
        two,
        """
        vpc = Stack.reference("network").unit("vpc")
        stack.unit("plain", module="m", inputs={"text": vpc.outputs.id})
        stack.unit("within", module="m", inputs={"text": f"{vpc.outputs.id}-web"})
        stack.unit("whole", module="m", inputs={"text": expression(f"jsonencode({vpc.outputs})")})
        stack.unit("far", module="m", inputs={"text": Stack.reference("network").unit("far").outputs["id"]})
        stack.unit("after", module="m", after=[vpc, "network/far"])

        @stack.task(after=[vpc])
        def told(context): ...
        """,
        "team/app",
    )
    assert two.run("render", "team/app").code == 0
    rendered = two.root / "stacks/team/app/rendered"
    for unit, text in {
        "plain": 'local.stacks["network"].vpc.id',
        "within": '"${local.stacks["network"].vpc.id}-web"',
        "whole": 'jsonencode(local.stacks["network"].vpc)',
        "far": 'local.stacks["network"].far.id',
    }.items():
        assert f"text = {text}\n" in (rendered / unit / "main.tf").read_text()
    index = json.loads((rendered / "stack.json").read_text())
    assert index["across"] == {
        "after": ["network/far", "network/vpc"],
        "far": ["network/far"],
        "plain": ["network/vpc"],
        "told": ["network/vpc"],
        "whole": ["network/vpc"],
        "within": ["network/vpc"],
    }
    assert index["units"]["whole"]["needs"] == {"network/vpc": ["id"]}
    assert index["edges"] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'stack.unit("a", module="m", inputs={"text": Stack.reference("netwrok").unit("vpc").outputs.id})',
            [
                'stacks/app/stack.py:4: "a" refers to the outputs of "netwrok/vpc", and there is no stack "netwrok"',
                'did you mean "network"?',
            ],
        ),
        (
            'stack.unit("a", module="m", inputs={"text": Stack.reference("network").unit("vcp").outputs.id})',
            [
                'stacks/app/stack.py:4: "a" refers to the outputs of "network/vcp", which is no unit of the stack "network"'
            ],
        ),
        (
            'stack.unit("a", module="m", inputs={"text": Stack.reference("network").unit("vpc").outputs.di})',
            ['"a" reads network/vpc.outputs.di, but module "m" has no such output', "its outputs: id"],
        ),
        (
            'stack.unit("a", module="m", inputs={"text": Stack.reference("network").unit("passing").outputs.token})',
            ['"a" reads network/passing.outputs.token, which is ephemeral'],
        ),
        (
            'stack.unit("a", module="m", inputs={"text": Stack.reference("network").unit("far").outputs.arn})',
            ['"far" does not pass on', 'stack.unit("far", outputs=["arn"])'],
        ),
        (
            'stack.unit("a", module="m", after=["network/vcp"])',
            ['after="network/vcp" of "a" names "network/vcp", which is no unit of the stack "network"'],
        ),
        (
            'stack.task(before=["network/vpc"], name="t")(print)',
            ['before="network/vpc" of "t" is a unit of another stack, and a task has its place in its own'],
        ),
        (
            'stack.unit("a", module="m", inputs={"text": Stack.reference("network").unit("a/b").outputs.id})',
            ["stacks/app/stack.py:4: ValueError: 'a/b' is not the name of a unit"],
        ),
        ("Stack.reference('../x')", ["ValueError: '../x' is not the name of a stack"]),
        ("Stack.reference(3)", ["TypeError: the stack's name takes a string, not 3"]),
        (
            """
            own, vpc = stack.unit("stacks", module="m"), Stack.reference("network").unit("vpc")
            stack.unit("a", module="m", inputs={"text": f"{own.outputs.id}{vpc.outputs.id}"})
            """,
            ['"a" reads other stacks, which are `local.stacks`, and a unit called "stacks"'],
        ),
    ],
)
def test_a_reference_that_leads_nowhere_is_told_with_its_line_and_the_nearest(
    two: Desk, text: str, said: list[str]
) -> None:
    done = app(two, text).run("validate", "app")
    assert (done.code, done.out) == (65, "")
    for words in said:
        assert words in done.err


def test_a_stack_that_cannot_be_evaluated_is_named_where_it_is_referred_to(two: Desk) -> None:
    two.write({"stacks/network/stack.py": "import nowhere\n"})
    text = 'stack.unit("a", module="m", inputs={"text": Stack.reference("network").unit("vpc").outputs.id})'
    done = app(two, text).run("validate", "app")
    assert done.code == 65
    assert 'and the stack "network" cannot be evaluated: ModuleNotFoundError' in done.err
    assert "(stacks/network/stack.py:1)" in done.err
    assert "infra-orch validate network" in done.err


def test_what_is_referred_to_is_declared_by_its_spec_and_not_by_a_stale_render(two: Desk) -> None:
    assert two.run("render", "network").code == 0
    two.write({"stacks/network/stack.py": NETWORK + '    stack.unit("new", module="m")\n'})
    text = 'stack.unit("a", module="m", inputs={"text": Stack.reference("network").unit("new").outputs.id})'
    assert app(two, text).run("validate", "app").code == 0


@pytest.mark.parametrize("first", ["app", "network"])
def test_a_circle_through_other_stacks_is_shown_as_a_path(two: Desk, first: str) -> None:
    app(two, 'stack.unit("a", module="m", inputs={"text": Stack.reference("network").unit("vpc").outputs.id})')
    two.write(
        {
            "stacks/network/stack.py": """
            from infra_orch import Stack

            stack = Stack("network")
            dns = stack.unit("dns", module="m", after=[Stack.reference("app").unit("a")])
            vpc = stack.unit("vpc", module="m", inputs={"text": dns.outputs.id})
            """
        }
    )
    done = two.run("validate", first)
    assert done.code == 65
    assert "app/a -> network/dns -> network/vpc -> app/a: each would have to come before the next" in done.err


def test_stacks_that_refer_to_each_other_without_a_circle_of_units_are_right(two: Desk) -> None:
    app(two, 'stack.unit("a", module="m", inputs={"text": Stack.reference("network").unit("vpc").outputs.id})')
    two.write(
        {
            "stacks/network/stack.py": """
            from infra_orch import Stack

            stack = Stack("network")
            stack.unit("vpc", module="m")
            stack.unit("peer", module="m", after=[Stack.reference("app").unit("a")])
            """
        }
    )
    assert two.run("validate", "--all").code == 0


def test_a_stack_that_is_referred_to_keeps_its_helpers_to_itself(two: Desk) -> None:
    """Both have a names.py; a task that imports its own only when it runs still finds that."""
    two.write(
        {
            "stacks/network/names.py": 'NAME = "network"\n',
            "stacks/app/names.py": 'NAME = "app"\n',
            "stacks/network/stack.py": NETWORK + "    import names\n    assert names.NAME == 'network'\n",
        }
    )
    app(
        two,
        """
        import names

        assert names.NAME == "app"
        stack.unit("a", module="m", after=[Stack.reference("network").unit("vpc")])

        @stack.task(on="plan")
        def which(context):
            import names

            assert names.NAME == "app", names.NAME
        """,
    )
    done = two.run("plan", "app", "--unit", "a", "--json")
    assert done.code == 0, done.err
    done = two.run("plan", "app", "--json")
    assert json.loads(done.out)["tasks"]["which"]["status"] == "applied", done.err
