"""What a unit's configuration holds that a redirected environment and an override file cannot keep inside.

An override file changes the root module alone. A `provider` block of a module within has the last word on its own
endpoints, keys and proxies. And a provisioner is a program, or a connection to the address that an emulated instance
was given, which on the real network is somebody else's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra_orch.errors import Where
from infra_orch.module.blocks import Block, json_blocks, native_blocks
from infra_orch.module.masking import BadSyntaxError
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
    for _, block in _blocks(folder, "provider"):
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
    for module in _module_folders(folder):
        for path, block in _blocks(module, "provider", "provisioner"):
            where = Where(os.path.relpath(path, folder), block.line)
            if block.type == "resource":
                found += [Escape(f'provisioner "{name}"', where) for name in _provisioners(block.body)]
            elif block.type == "provider" and block.labels[:1] == ("aws",) and module != folder:
                names = ", ".join(f"`{name}`" for name in sorted(_OUTWARD & block.body.keys()))
                found += [Escape(f'provider "aws" of a module sets {names}', where)] if names else []
    return found


def _module_folders(folder: Path) -> list[Path]:
    """The root module and, from the list that `init` writes, every module that it calls; each folder once."""
    try:
        listed = json.loads((folder / ".terraform" / "modules" / "modules.json").read_bytes())["Modules"]
    except FileNotFoundError:
        listed = []
    folders = {folder.resolve(): folder} | {
        (folder / entry["Dir"]).resolve(): folder / entry["Dir"] for entry in listed
    }
    folders[folder.resolve()] = folder
    return list(folders.values())


def _blocks(folder: Path, *words: str) -> Iterator[tuple[Path, Block]]:
    """The blocks of the files in *folder* that hold one of *words*: parsing is slow and most files hold none."""
    for path in sorted(folder.iterdir()):
        if path.name == OVERRIDE_NAME or not path.name.endswith((".tf", ".tf.json", ".tofu", ".tofu.json")):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if not any(word in text for word in words):
            continue
        read = json_blocks if path.name.endswith(".json") else native_blocks
        try:
            blocks = read(text)
        except BadSyntaxError as error:
            raise BadSyntaxError(f"{path.name}: {error.message}", error.line) from error
        for block in blocks:
            if block.type in {"provider", "resource"}:
                yield path, block


def _provisioners(body: Mapping[str, Any]) -> list[str]:
    """The types of the provisioners in a resource: native syntax has a list of blocks, JSON also a plain object."""
    entries = body.get("provisioner", [])
    return sorted({name for entry in (entries if isinstance(entries, list) else [entries]) for name in entry})
