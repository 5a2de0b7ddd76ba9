"""Terraform's dependency lock file: which version of each provider a unit uses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from infra_orch.errors import Problem, SpecError, Where
from infra_orch.module.blocks import native_blocks
from infra_orch.module.cache import keep, recall
from infra_orch.module.files import LOCK_FILE
from infra_orch.module.masking import BadSyntaxError


def provider_versions(text: str, cache: Path | None, *, shown_as: str = LOCK_FILE) -> Mapping[str, str]:
    """Return source address (`registry.terraform.io/hashicorp/aws`) → version, in the order of the file.

    *text* is that of a `.terraform.lock.hcl`; what was read is kept in the folder *cache* (None: nowhere).
    Raises SpecError, with a line of the file *shown_as*, where it cannot be parsed: Terraform would refuse it too.
    """
    content = text.encode()
    kept = recall(cache, "lock", content)
    if isinstance(kept, dict) and all(isinstance(version, str) for version in kept.values()):
        return kept
    try:
        blocks = native_blocks(text)
    except BadSyntaxError as error:
        hint = f"restore the file from git, or delete {shown_as} and let `terraform init` write it anew"
        raise SpecError([Problem(error.message, Where(shown_as, error.line), hint)]) from error
    versions = {
        block.labels[0]: version
        for block in blocks
        if block.type == "provider" and block.labels and isinstance(version := block.body.get("version"), str)
    }
    keep(cache, "lock", content, versions)
    return versions
