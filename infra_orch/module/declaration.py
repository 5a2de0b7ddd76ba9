"""What a Terraform module declares: its variables, its outputs and the providers that it uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infra_orch.errors import Where


@dataclass(frozen=True)
class Variable:
    """A `variable` block.

    *constraint* is the text of the type expression on one line (`list(object({a = string}))`), None where there is
    none: any value will do. *required*: there is no default. An argument that is not a literal is taken as the careful
    answer: sensitive, ephemeral, nullable.
    """

    name: str
    constraint: str | None
    required: bool
    nullable: bool
    sensitive: bool
    ephemeral: bool
    description: str
    where: Where


@dataclass(frozen=True)
class Output:
    """An `output` block; what is not a literal is taken as sensitive and ephemeral."""

    name: str
    sensitive: bool
    ephemeral: bool
    description: str
    where: Where


@dataclass(frozen=True)
class Module:
    """A module as its own files, and for *providers* those of its local nested modules, declare it.

    *required_providers* maps the module's local names to source addresses (`""` where none is given). *providers* are
    the local names, as this module calls them, of every provider that it or a nested module uses; Terraform's builtin
    one is left out. *configuration_aliases* are those that a caller must hand in (`aws.replica`). *files* are the
    names of its own `*.tf` and `*.tf.json`. *complete* is False where a nested module is not a local folder, so that
    providers may be missing.
    """

    variables: Mapping[str, Variable]
    outputs: Mapping[str, Output]
    required_providers: Mapping[str, str]
    providers: frozenset[str]
    configuration_aliases: frozenset[str]
    required_version: tuple[str, ...]
    files: tuple[str, ...]
    complete: bool
