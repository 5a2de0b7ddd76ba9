"""Raw expressions: references within their strings, and their lines as `terraform fmt` has them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra_orch import expression
from infra_orch.render.hcl import body_lines
from infra_orch.spec.values import Reference

NAME = Reference("net", ("name",))
EXPRESSIONS: dict[str, tuple[Any, object]] = {
    "reference_alone_in_a_string": (f"{NAME}", "web"),
    "expression_alone_in_a_string": (f"{expression('1 + 2')}", 3),
    "reference_in_quotes": (expression(f'upper("{NAME}-x")'), "WEB-X"),
    "reference_in_braces_of_a_template": (expression(f'"${{upper({NAME})}}-{NAME}"'), "WEB-web"),
    "reference_behind_the_sign_of_a_template": (expression(f'"$${NAME}"'), "$$web"),
    "reference_between_escaped_quotes": (expression(f'"\\"{NAME}\\" {{{NAME}}}"'), '"web" {web}'),
    "reference_in_a_heredoc": (expression(f'<<-EOT\n  "{NAME}" $\n   ${{"x-{NAME}"}}\n  EOT\n'), '"web" $\n x-web\n'),
    "reference_in_an_expression_in_an_expression": (expression(f'join("{expression(str(NAME))}", ["a", "b"])'), "awebb"),
    "comment_behind": (expression("1 # one"), 1),
    "comment_in_front": (expression("/* one */ 1"), 1),
    "sign_of_a_comment_in_a_string": (expression('"a#b//c"'), "a#b//c"),
    "several_lines": (
        expression("""
            merge(
        {
          a = [
              1, 2,
            ]
        },

            # more
              { b = "x" }
            )
        """),
        {"a": [1, 2], "b": "x"},
    ),
    "heredoc_in_a_call": (expression('[for x in ["a"] : join("-", [\n<<EOT\n one {\n  ${x}\nEOT\n,\nx\n])]'), [" one {\n  a\n-a"]),
    "several_lines_in_a_string": (f"a{expression('1 +' + chr(10) + '2')}", "a3"),
}  # fmt: skip


def terraform(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}
    text = "jsonencode({for key, value in local.values : key => value})\n"
    return subprocess.run(
        ["terraform", *arguments], cwd=folder, env=env, input=text, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all expressions in one file, in a map, and each again as an item of a list."""
    folder = tmp_path_factory.mktemp("expressions")
    values = {name: value for name, (value, _) in EXPRESSIONS.items()}
    lines = body_lines({"net": {"name": "web"}, "values": values, "listed": list(values.values())}, 2)
    (folder / "main.tf").write_text("\n".join(["locals {", *lines, "}", ""]))
    return folder


def test_every_expression_has_the_value_that_was_meant(written: Path) -> None:
    done = terraform(written, "console")
    assert done.returncode == 0, done.stderr
    assert json.loads(json.loads(done.stdout)) == {name: value for name, (_, value) in EXPRESSIONS.items()}


def test_terraform_fmt_leaves_expressions_of_several_lines_alone(written: Path) -> None:
    done = terraform(written, "fmt", "-check", "-diff")
    assert (done.returncode, done.stdout) == (0, "")
