"""A stack that uses everything that can be rendered, and the steps from its spec to its files."""

from __future__ import annotations

import pytest

from infra_orch.project import find_project
from infra_orch.render.neighbours import Neighbours
from infra_orch.render.write import Rendering, render_stack
from infra_orch.spec.check import check_stack
from infra_orch.spec.load import load_stack

EVERYTHING = """
    from infra_orch import S3Backend, Provider, Stack, block, env, expression

    stack = Stack(
        "prod",
        backend=S3Backend(bucket="states", region="eu-west-1", assume_role=block(role_arn="arn:x", session_name="s")),
        providers=[
            Provider(
                "aws", source="hashicorp/aws", version="~> 5.0", region="eu-west-1",
                default_tags={"tags": {"team": "a", "cost-centre": "b", "a b": "c"}},
                assume_role=[{"role_arn": "one"}, {"role_arn": "two", "tags": {"x": 1}}],
            ),
            Provider("aws", alias="us", region="us-east-1"),
            Provider("kubernetes", token=env("KUBE_TOKEN")),
        ],
    )
    net = stack.unit("network", module="anything", inputs={"value": "x"})
    stack.unit(
        "web", module="anything", formerly="www", after=[net], tags=["b", "a"], protect=True,
        inputs={
            "value": {
                "plain": "text",
                "a_much_longer_name": net.outputs.value,
                "ключ": f"{net.outputs.value}-${{x}}",
                "list": [1, 2.5, True, None, "x"],
                "maps": [{"a": 1, "bcd": [2]}, {}, {"nested": {"deep": [[], [{"er": "x"}]]}}],
                "long": ["0123456789" * 3] * 9,
                "raw": expression(f"length({net.outputs.value})"),
                "secret": f"a:{env('WEB_SECRET')}",
                "lines": "a\\nb\\n",
                "sign": f"${net.outputs.value}",
            },
        },
    )
    stack.unit("remote", module="acme/vpc/aws", version="~> 1.0", providers={"aws": "aws.us"}, inputs={"a": 1, "bcd": "x"},
               outputs=["id"], sensitive_outputs=["key"])
    stack.unit("git", module="git::https://example.com/a.git//sub?ref=v1.2.3")
    stack.unit("bare", module="bare")

    @stack.task(after=[net])
    def check(context):
        pass
"""
ANYTHING = """
    terraform {
      required_providers {
        aws = {
          source = "hashicorp/aws"
        }
      }
    }

    variable "value" {
    }

    output "value" {
      value = var.value
    }

    output "password" {
      value     = var.value
      sensitive = true
    }
"""


def rendered(desk, stack: str) -> Rendering:
    """A stack of the project, rendered in memory, as long as it takes nothing from the others."""
    project = find_project(desk.root)
    folder = project.stack(stack)
    checked = check_stack(load_stack(folder), folder)
    rendering = render_stack(checked)
    Neighbours(project).refuse_shared(rendering.claim(checked), folder.path)
    return rendering


@pytest.fixture
def everything(desk):
    """A project whose stack `prod` uses everything, rendered by `render`."""
    return desk.write(
        {
            "modules/anything/main.tf": ANYTHING,
            "modules/bare/main.tf": "locals {\n}\n",
            "stacks/prod/stack.py": EVERYTHING,
        }
    )


@pytest.fixture
def render():
    """The function that renders a stack in memory: `render(desk, "prod")`."""
    return rendered
