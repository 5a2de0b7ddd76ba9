"""Whoever writes tests for a project, and runs them with pytest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk

PAGE = Path(__file__).resolve().parents[2] / "docs" / "testing.md"
EXAMPLE = re.compile(r"^```python\n# (tests/\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULE = """
    variable "name" {
      type = string

      validation {
        condition     = var.name != "forbidden"
        error_message = "Nobody may be called so."
      }
    }

    variable "uses" {
      type    = list(string)
      default = []
    }

    variable "password" {
      type      = string
      default   = "correct-horse"
      sensitive = true
    }

    resource "terraform_data" "service" {
      input = { name = var.name, uses = var.uses }
    }

    resource "terraform_data" "secret" {
      for_each = toset(["a"])
      input    = var.password
    }

    output "name" {
      value = var.name
    }

    output "id" {
      value = terraform_data.service.id
    }

    output "password" {
      value     = var.password
      sensitive = true
    }
"""
SHOP = """
    from infra_orch import Stack

    stack = Stack("shop")
    database = stack.unit("database", module="service", inputs={"name": "database"}, protect=True)
    web = stack.unit(
        "web",
        module="service",
        inputs={"name": f"web-of-{database.outputs.name}", "uses": [database.outputs.id]},
        tags=["front"],
    )


    @stack.task(after=[web])
    def check(context):
        return {"of": context.outputs["database"]["name"]}
"""

STORE = """
    terraform {
      required_providers {
        aws = { source = "hashicorp/aws" }
      }
    }

    variable "name" {
      type = string
    }

    resource "aws_s3_bucket" "this" {
      bucket = var.name
    }

    resource "aws_s3_bucket_public_access_block" "this" {
      bucket                  = aws_s3_bucket.this.bucket
      block_public_acls       = true
      block_public_policy     = true
      ignore_public_acls      = true
      restrict_public_buckets = true
    }

    output "bucket" {
      value = aws_s3_bucket.this.bucket
    }
"""


@dataclass(frozen=True)
class Author:
    """Whoever writes tests for a project, and runs them."""

    desk: Desk
    pytester: pytest.Pytester

    @property
    def root(self) -> Path:
        """The project."""
        return self.desk.root

    def write(self, files: dict[str, str]) -> Author:
        """Write files, given by their paths."""
        self.desk.write(files)
        return self

    def pytest(self, *arguments: str) -> pytest.RunResult:
        """Run the tests of the project."""
        # Where the package is on the path and not installed, nobody tells pytest of the plugin.
        known = any(one.value == "infra_orch.testing.plugin" for one in entry_points(group="pytest11"))
        plugin = [] if known else ["-p", "infra_orch.testing.plugin"]
        return self.pytester.runpytest_inprocess(*plugin, "-p", "no:cacheprovider", "--strict-markers", *arguments)


def examples() -> dict[str, str]:
    """The examples of the page about testing that are test files, by their paths."""
    return dict(EXAMPLE.findall(PAGE.read_text(encoding="utf-8")))
