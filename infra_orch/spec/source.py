"""What a unit's `module=` means: a name under modules/, a path, a registry address, or another remote source."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from infra_orch.project import StackFolder

Kind: TypeAlias = Literal["local", "registry", "remote"]

# [<HOSTNAME>/]<NAMESPACE>/<NAME>/<PROVIDER>[//<SUBDIRECTORY>], as Terraform's documentation of module sources has it.
_REGISTRY = re.compile(r"(?:[a-z0-9.-]+\.[a-z0-9.-]+(?::\d+)?/)?[A-Za-z0-9][\w-]*/[A-Za-z0-9][\w-]*/[a-z0-9]+(?://.*)?")
# Hosts that Terraform takes for code hosts by their name alone, without `git::`.
_CODE_HOSTS = ("github.com/", "bitbucket.org/", "gitlab.com/")


@dataclass(frozen=True)
class Source:
    """A module's source: *text* as the user wrote it; *folder* is set for a local one."""

    kind: Kind
    text: str
    folder: Path | None = None


def parse_source(text: str, stack: StackFolder) -> Source:
    """Tell what kind of source *text* is. A local one need not exist; its folder says where it would be."""
    if text.startswith(("./", "../")):
        return Source("local", text, Path(os.path.normpath(stack.path / text)))
    if "::" in text or "://" in text or text.startswith(("git@", *_CODE_HOSTS)):
        return Source("remote", text)
    named = stack.project.modules / text
    if not named.is_dir() and _REGISTRY.fullmatch(text):
        return Source("registry", text)
    return Source("local", text, Path(os.path.normpath(named)))
