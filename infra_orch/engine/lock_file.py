"""Dependency lock files (`.terraform.lock.hcl`) as Terraform writes them: which versions they select, by which hashes.

The format is described at developer.hashicorp.com/terraform/language/files/dependency-lock. Terraform writes it in one
canonical form, which is all that is read here: python-hcl2 would cost a third of a second at every start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from infra_orch.module.files import LOCK_FILE

NAME = LOCK_FILE
BLOCK = re.compile(r'^provider "(?P<address>[^"]+)" \{\n(?P<body>.*?)^\}$', re.MULTILINE | re.DOTALL)
VERSION = re.compile(r'^\s*version\s*=\s*"(?P<version>[^"]+)"', re.MULTILINE)
HASHES = re.compile(r"(?P<begin>^  hashes = \[\n)(?P<hashes>.*?)(?P<end>^  \]$)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Locked:
    """What a lock file selects for one provider; hashes are like `h1:…` (unpacked) and `zh:…` (the registry's zip)."""

    version: str
    hashes: frozenset[str]


def locked_providers(text: str) -> dict[str, Locked]:
    """Read a lock file: `{"registry.terraform.io/hashicorp/aws": Locked(…)}`; what is not understood is left out."""
    found = {}
    for block in BLOCK.finditer(text):
        if version := VERSION.search(block["body"]):
            hashes = HASHES.search(block["body"])
            listed = re.findall(r'"([^"]+)"', hashes["hashes"]) if hashes else []
            found[block["address"]] = Locked(version["version"], frozenset(listed))
    return found


def with_hashes(text: str, more: Mapping[str, AbstractSet[str]]) -> str:
    """The lock file with the hashes *more* (by source address) added to those that it has, in Terraform's order."""

    def block(match: re.Match[str]) -> str:
        extra = more.get(match["address"], set())
        return HASHES.sub(lambda found: _merged(found, extra), match.group()) if extra else match.group()

    return BLOCK.sub(block, text)


def _merged(found: re.Match[str], extra: AbstractSet[str]) -> str:
    hashes = sorted({*re.findall(r'"([^"]+)"', found["hashes"]), *extra})
    return found["begin"] + "".join(f'    "{entry}",\n' for entry in hashes) + found["end"]
