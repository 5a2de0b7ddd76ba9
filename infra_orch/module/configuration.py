"""What the files of a module's folder hold, block by block, for those who look for what must not be in them.

Everything that Terraform or OpenTofu might read counts: native and JSON syntax, override files, `.tofu` files. Nothing
comes from the cache of parsed files: it lies where others may have written to it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra_orch.module.blocks import Block, Value, json_blocks, native_blocks
from infra_orch.module.masking import BadSyntaxError

SUFFIXES = (".tf", ".tf.json", ".tofu", ".tofu.json")
"""How the files end that Terraform, or OpenTofu alone, takes for a module's configuration."""


@dataclass(frozen=True)
class Nested:
    """A block within another one: its labels and its body."""

    labels: tuple[str, ...]
    body: Mapping[str, Value]


def configuration_files(folder: Path) -> list[Path]:
    """The files in *folder* that a module is made of, sorted. Hidden ones are passed over, as both engines do.

    Raises OSError where the folder cannot be read.
    """
    named = (path for path in sorted(folder.iterdir()) if path.name.endswith(SUFFIXES))
    return [path for path in named if not path.name.startswith(".") and not path.is_dir()]


def blocks_of(path: Path) -> tuple[Block, ...]:
    """The top-level blocks of a file.

    Raises BadSyntaxError, whose message begins with the file's name, where it cannot be read; OSError where it is not
    there.
    """
    try:
        return blocks_in(path.read_bytes(), is_json=path.name.endswith(".json"))
    except BadSyntaxError as error:
        raise BadSyntaxError(f"{path.name}: {error.message}", error.line) from error


@functools.lru_cache(maxsize=4096)
def blocks_in(content: bytes, *, is_json: bool) -> tuple[Block, ...]:
    """The top-level blocks of a file's *content*. Raises BadSyntaxError where it cannot be read."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadSyntaxError(f"not UTF-8: byte 0x{content[error.start]:02x} cannot stand here", line) from error
    return tuple(json_blocks(text) if is_json else native_blocks(text))


def nested(body: Mapping[str, Value], word: str, labels: int = 0) -> Iterator[Nested]:
    """The blocks called *word* in a body, each with so many *labels*, in whichever way the syntax has them."""
    yield from _unfold(body.get(word), labels, ())


def _unfold(value: Value, depth: int, labels: tuple[str, ...]) -> Iterator[Nested]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, list):
            yield from _unfold(item, depth, labels)
        elif isinstance(item, dict) and depth == 0:
            yield Nested(labels, item)
        elif isinstance(item, dict):
            for label, inner in item.items():
                if label != "//":
                    yield from _unfold(inner, depth - 1, (*labels, label))


def provisioners(block: Block) -> list[str]:
    """The types of the provisioners of a `resource` or `removed` block, each once, sorted."""
    return sorted({label for found in nested(block.body, "provisioner", 1) for label in found.labels})


def installed_folders(folder: Path) -> list[Path]:
    """The root module in *folder* and, from the list that `init` writes, every module that it calls; each once.

    Raises ValueError where the list is not what init writes.
    """
    places = [folder / entry["Dir"] for entry in _installed(folder)]
    found = {place.resolve(): place for place in places}
    found.pop(folder.resolve(), None)
    return [folder, *found.values()]


def installed_sources(folder: Path) -> list[str]:
    """The sources of all modules that `init` found to be called, as Terraform has them.

    Raises ValueError as installed_folders() does.
    """
    return [str(entry.get("Source", "")) for entry in _installed(folder) if entry.get("Key")]


def _installed(folder: Path) -> list[Mapping[str, str]]:
    try:
        listed = json.loads((folder / ".terraform" / "modules" / "modules.json").read_bytes())["Modules"]
    except FileNotFoundError:
        return []
    except (KeyError, TypeError) as error:
        raise ValueError(f"the list of modules that init wrote cannot be read: {error!r}") from error
    if not isinstance(listed, list) or not all(isinstance(entry, dict) and "Dir" in entry for entry in listed):
        raise ValueError("the list of modules that init wrote cannot be read")
    return listed
