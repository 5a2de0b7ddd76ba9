"""The examples on the page about testing are tests that pass."""

from __future__ import annotations

from author_of_tests import Author, examples

pytest_plugins = ["pytester"]

SHOP = """
    from infra_orch import Stack

    stack = Stack("shop")
    database = stack.unit("database", module="service", inputs={"name": "database"})
    web = stack.unit("web", module="service", inputs={"name": "web", "uses": [database.outputs.id]})


    @stack.task(after=[web])
    def check(context):
        return {"uses": [context.outputs["database"]["id"]]}
"""


def test_the_examples_pass(author: Author) -> None:
    assert author.desk.run("new", "module", "service").code == 0
    author.write({"stacks/shop/stack.py": SHOP, "pytest.ini": "[pytest]\n"})
    without_aws = {path: text for path, text in examples().items() if "hashicorp/aws" not in text}
    assert len(without_aws) == 4
    assert author.write(without_aws).pytest("--update-renders").ret == 0
    assert author.pytest("-k", "renders").ret == 0


def test_the_tests_of_a_new_project_pass(author: Author) -> None:
    place = author.pytester.path
    assert author.desk.run("-C", str(place), "new", "project", "infra").code == 0
    author.pytest(str(place / "infra")).assert_outcomes(passed=3)
