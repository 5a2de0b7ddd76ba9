"""The bundle of a preview: the plans of all its stacks, each a bundle of its own, and what was shown of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra_orch.bundle.archive import Bundle, extract_member, measure, read_archive, read_bundle, write_archive
from infra_orch.bundle.manifest import Member
from infra_orch.errors import RefusedError, UsageError
from infra_orch.project import is_stack_name
from infra_orch.shape import Optional, misfit

SCHEMA = 1
SCHEMA_ID = "urn:infra-orch:schema:preview-bundle:1"
DOCUMENT, REPORT = "preview.json", "report.html"
_MEMBER = {"size": int, "sha256": str}
_SHAPE = {
    "schema": int,
    "base": str,
    "commit": Optional(str),
    "content": Optional(str),
    "group": str,
    "sandbox": bool,
    "infra_orch": str,
    "let_go": {str: [str]},
    "plans": {str: _MEMBER},
    "members": {str: _MEMBER},
}


@dataclass(frozen=True)
class About:
    """What a preview was of: *commit*, compared with *base*. *content*: a digest of what that commit holds.

    *let_go*: what came after units that are deleted, by these, as `network/vpc`.
    """

    base: str
    commit: str | None
    content: str | None
    group: str
    sandbox: bool
    infra_orch: str
    let_go: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Previewed:
    """The bundle of a preview that was read and found whole: its plans by the names of the stacks' folders."""

    about: About
    plans: Mapping[str, Bundle]


def write_preview(path: Path, about: About, plans: Mapping[str, Path], shown: Mapping[str, str]) -> None:
    """Write the bundle of a preview to *path*. *plans* are the stacks' bundles, *shown* the texts DOCUMENT and REPORT.

    Raises UserError where it cannot be written.
    """
    texts = {name: text.encode() for name, text in shown.items()}
    manifest = {
        "$schema": SCHEMA_ID,
        "schema": SCHEMA,
        **asdict(about),
        "plans": {stack: asdict(measure(plan)) for stack, plan in plans.items()},
        "members": {name: asdict(_measured(text)) for name, text in texts.items()},
    }
    members: dict[str, Path | bytes] = {_plan(stack): plan for stack, plan in plans.items()}
    write_archive(path, json.dumps(manifest, indent=2, sort_keys=True) + "\n", {**members, **texts})


def read_preview(path: Path, shown_as: str, into: Path) -> Previewed:
    """Read the bundle of a preview at *path*, all of it, and put the plans that it holds, and DOCUMENT, into the folder
    *into*.

    Raises UsageError where it cannot be read, RefusedError where it is not whole, or not the bundle of a preview.
    """
    try:
        _, manifest = read_archive(path, shown_as, lambda text: _manifest(text, shown_as), _members)
        plans = {}
        for stack, member in manifest["plans"].items():
            to = into / f"{stack.replace('/', '~')}.plan"
            extract_member(path, shown_as, _plan(stack), Member(**member), to)
            plans[stack] = read_bundle(to, shown_as)
        if known := manifest["members"].get(DOCUMENT):
            extract_member(path, shown_as, DOCUMENT, Member(**known), into / DOCUMENT)
    except OSError as error:
        hint = "" if path.exists() else "infra-orch preview --base REF --bundle FILE writes one"
        raise UsageError(f'--bundle "{shown_as}" cannot be read: {error.strerror}', hint=hint) from error
    for stack, plan in plans.items():
        if plan.manifest.stack != stack:
            raise RefusedError(f"{shown_as} is damaged: what it holds as {stack} is a plan of {plan.manifest.stack}")
    about = About(**{name: manifest[name] for name in About.__dataclass_fields__})
    return Previewed(about, plans)


def _manifest(text: bytes, shown_as: str) -> dict[str, Any]:
    """What a manifest says. Raises RefusedError where it is none of a preview's."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{shown_as} is damaged: its manifest is no JSON ({error})") from error
    known = isinstance(document, dict)
    if known and document.get("$schema") == "urn:infra-orch:schema:plan-bundle:1":
        raise RefusedError(f"{shown_as} is a plan of one stack", hint=f"infra-orch apply STACK --plan {shown_as}")
    if known and isinstance(document.get("schema"), int) and document["schema"] > SCHEMA:
        newer = document["schema"]
        raise RefusedError(f"{shown_as} was written by a newer infra-orch (schema {newer})", hint="upgrade it")
    wrong = misfit(document, _SHAPE) or next(
        (f'"{stack}" is not the name of a stack' for stack in document["plans"] if not is_stack_name(stack)), ""
    )
    if wrong:
        raise RefusedError(f"{shown_as} is damaged: its manifest is not one of infra-orch ({wrong})")
    return dict(document)


def _members(manifest: Mapping[str, Any]) -> dict[str, Member]:
    plans = {_plan(stack): Member(**member) for stack, member in manifest["plans"].items()}
    return {**plans, **{name: Member(**member) for name, member in manifest["members"].items()}}


def _plan(stack: str) -> str:
    return f"plans/{stack}.plan"


def _measured(content: bytes) -> Member:
    return Member(len(content), hashlib.sha256(content).hexdigest())
