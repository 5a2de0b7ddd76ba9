"""What a unit's configuration holds that a redirected environment and an override file cannot keep inside.

An override file changes the root module alone. A `provider` block of a module within has the last word on its own
endpoints, keys and proxies. And a provisioner is a program, or a connection to the address that an emulated instance
was given, which on the real network is somebody else's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra_orch.errors import Where
from infra_orch.module.blocks import Block
from infra_orch.module.configuration import blocks_of, configuration_files, installed_folders, provisioners
from infra_orch.sandbox.redirect import NULLED_ARGUMENTS, OVERRIDE_NAME, ProviderUse

_OUTWARD = frozenset({*NULLED_ARGUMENTS, "assume_role_with_web_identity", "dynamic", "endpoints"})


@dataclass(frozen=True)
class Escape:
    """One thing that could reach past the emulator: in words, and where it stands (file relative to the folder)."""

    what: str
    where: Where


def provider_uses(folder: Path) -> list[ProviderUse]:
    """The `provider` blocks of the root module in *folder*, as `override_file` takes them, ours skipped.

    Blocks that Terraform merges into others (override files of a user's own) add their arguments to them.
    Raises BadSyntaxError where a file is no HCL.
    """
    found: dict[tuple[str, str | None], frozenset[str]] = {}
    for block in (block for _, block in _blocks(folder) if block.type == "provider" and block.labels):
        alias = block.body.get("alias")
        key = (block.labels[0], alias if isinstance(alias, str) else None)
        found[key] = found.get(key, frozenset()) | frozenset(block.body)
    return [ProviderUse(name, alias, arguments) for (name, alias), arguments in found.items()]


def escapes(folder: Path) -> list[Escape]:
    """What in the unit in *folder*, its modules included, could reach past the emulator. Ask after `terraform init`.

    Found are provisioners anywhere, and `provider "aws"` blocks in modules that set an address, a credential or a
    proxy.
    Raises BadSyntaxError where a file is no HCL.
    """
    found = []
    for module in installed_folders(folder):
        for path, block in _blocks(module):
            where = Where(os.path.relpath(path, folder), block.line)
            if block.type in ("resource", "removed"):
                found += [Escape(f'provisioner "{name}"', where) for name in provisioners(block)]
            elif block.type == "provider" and block.labels[:1] == ("aws",) and module != folder:
                names = ", ".join(f"`{name}`" for name in sorted(_OUTWARD & block.body.keys()))
                found += [Escape(f'provider "aws" of a module sets {names}', where)] if names else []
    return found


def _blocks(folder: Path) -> Iterator[tuple[Path, Block]]:
    """The blocks of the files in *folder*, ours aside."""
    for path in configuration_files(folder):
        if path.name != OVERRIDE_NAME:
            yield from ((path, block) for block in blocks_of(path))
