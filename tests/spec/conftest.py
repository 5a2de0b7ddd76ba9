"""A project with modules of every kind, and what is wrong with a stack in it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from infra_orch.errors import Problem, SpecError
from infra_orch.project import find_project
from infra_orch.spec.check import CheckedStack, check_stack
from infra_orch.spec.load import load_stack

if TYPE_CHECKING:
    from tests.conftest import Desk

NETWORK = """
    variable "name" {
      type = string
    }

    variable "zones" {
      type    = list(string)
      default = ["a"]
    }

    output "vpc_id" {
      value = var.name
    }

    output "subnet_ids" {
      value = var.zones
    }

    output "session" {
      value     = "x"
      ephemeral = true
    }
"""
WEB = """
    variable "vpc_id" {
      type = string
    }

    variable "size" {
      type = object({
        cpu = number
        ram = number
      })
      default = null
    }

    variable "password" {
      type      = string
      sensitive = true
      default   = null
    }

    variable "anything" {
      default = null
    }

    output "url" {
      value = var.vpc_id
    }
"""
CLUSTER = """
    terraform {
      required_providers {
        aws = {
          source                = "hashicorp/aws"
          configuration_aliases = [aws.replica]
        }
      }
    }

    output "endpoint" {
      value = "x"
    }
"""


@dataclass(frozen=True)
class Bench:
    """A project in which one stack file after the other can be tried."""

    desk: Desk

    def check(self, spec: str) -> CheckedStack:
        """Load and check a stack whose file is *spec*; its first line is line 2, below an import of all that there is."""
        self.desk.write({"stacks/dev/stack.py": f"from infra_orch import *\n{textwrap.dedent(spec).strip()}\n"})
        folder = find_project(self.desk.root).stack("dev")
        return check_stack(load_stack(folder), folder)

    def problems(self, spec: str) -> list[Problem]:
        """Everything that is wrong with such a stack."""
        with pytest.raises(SpecError) as caught:
            self.check(spec)
        return list(caught.value.problems)

    def problem(self, spec: str) -> Problem:
        """The one thing that is wrong with such a stack."""
        (found,) = self.problems(spec)
        return found


@pytest.fixture
def bench(desk: Desk) -> Bench:
    """A project with three modules."""
    return Bench(
        desk.write(
            {
                "modules/network/main.tf": NETWORK,
                "modules/web/main.tf": WEB,
                "modules/cluster/main.tf": CLUSTER,
            }
        )
    )
