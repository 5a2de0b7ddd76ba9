from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra_orch.module.blocks import Expression, native_blocks

# What Terraform accepts and a grammar of HCL easily stumbles over, each as the body of a `locals` block.
ODDITIES = [
    'a = "$${foo"',
    'a = "%%{foo" ',
    'a = "x $${"\n  b = "}"',
    'a = "${replace(var.x, "\\"", "}")}"',
    'a = "${"${"x"}"}"',
    'a = "${\n    f(\n      "}"\n    )\n  }"',
    'a = "${ /* } */ var.x }"',
    'a = "${~ var.x ~}"',
    'a = "%{ if var.x == "y" ~} a %{ else } b %{ endif }"',
    "a = !!var.x",
    "a = - -1",
    "a = 1 - -1",
    "a = /* x */ 1",
    "a /* x */ = 1",
    "a = (var.x\n  .y)",
    "a = (\n    1\n    + 2 # three\n  )",
    "a = [\n    1,\n    # c {\n    2 // (\n    ,\n  ]",
    'a = {\n    "x" : 1, y = 2\n    (var.z) = 3\n    for = 4\n  }',
    'a = f(<<EOT\n  ${"x"} " {\nEOT\n  , 1)',
    "a = <<-É\n    EOT x\n  xÉ\n    É\n  b = 1",
    'a = [for k, v in var.x : "${k}-${v}" if k != "}"]',
    "é = 1\n  π = { ü = 2 }",
    'a = provider::aws::arn_parse("x")',
    'a = "\\\\"\n  b = "100%"\n  c = "$"',
    "a = var.x ? 1 : 2\r",
    "a = var.x[*].y[0].z.*.w",
]


@pytest.mark.parametrize("oddity", ODDITIES)
def test_what_terraform_accepts_is_parsed(terraform: Any, tmp_path: Path, oddity: str) -> None:
    text = f'\ufefflocals {{\n  {oddity}\n}}\nvariable "last" {{}}\n'
    assert terraform(tmp_path, "fmt", "-", stdin=text).returncode == 0
    last = native_blocks(text)[-1]
    assert (last.type, last.labels) == ("variable", ("last",))
    assert text.split("\n")[last.line - 1] == 'variable "last" {}'


def test_an_expression_keeps_its_strings() -> None:
    (block,) = native_blocks('variable "a" {\n  type = object({ x = optional(string, "a \\"b\\" ${c}") })\n}\n')
    assert block.body["type"] == Expression('object({x = optional(string, "a \\"b\\" ${c}")})')


def test_a_name_that_looks_like_a_placeholder_is_left_alone() -> None:
    text = 'u_0_ "s0" {\n  u_1_ = "s1"\n  é = u_0_.s0\n  uu_ = 1\n}\n'
    (block,) = native_blocks(text)
    assert (block.type, block.labels) == ("u_0_", ("s0",))
    assert block.body == {"u_1_": "s1", "é": Expression("u_0_.s0"), "uu_": 1}


def test_windows_line_ends_do_not_change_the_lines() -> None:
    blocks = native_blocks('variable "a" {\r\n  description = <<E\r\nx\r\nE\r\n}\r\n\r\nvariable "b" {}\r\n')
    assert [(block.labels, block.line) for block in blocks] == [(("a",), 1), (("b",), 7)]


@pytest.mark.parametrize("text", ["", "\n", "# only a comment", "\ufeff"])
def test_a_file_may_be_empty(text: str) -> None:
    assert native_blocks(text) == []
