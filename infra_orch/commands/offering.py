"""Saved plans that are to be applied: `apply --plan FILE` that of one stack, `apply --bundle PLACE` those of a preview.

What `--plan` names is applied as it is, or not at all. Where what a preview rests on has moved on since, it is planned
anew: see `commands/restoring.py`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from infra_orch.bundle.archive import Bundle, read_bundle
from infra_orch.bundle.check import Marks, moved_sources, refuse_for
from infra_orch.bundle.place import Place
from infra_orch.bundle.preview import DOCUMENT, read_preview
from infra_orch.bundle.seal import opened as unsealed
from infra_orch.commands.bundling import bundle_name, content_of, room_for_bundles
from infra_orch.commands.gone import open_gone
from infra_orch.commands.opening import open_stacks
from infra_orch.commands.options import RunOptions
from infra_orch.commands.parts import Part, open_parts
from infra_orch.commands.session import Session
from infra_orch.commands.stacks import Asked
from infra_orch.commands.wanted import Wanted
from infra_orch.console import Console
from infra_orch.errors import RefusedError, UsageError
from infra_orch.git.repository import Repository, find_repository
from infra_orch.project import Project, StackFolder

_MOST_RECORDS = 100
"""So many commits of records and approvals may lie on top of a merge."""


@dataclass(frozen=True)
class Offer:
    """Saved plans that are to be applied: bundles by the names of the stacks' folders.

    *strict*: nothing is applied but these plans as they are. *let_go*: see Part.
    """

    bundles: Mapping[str, Bundle]
    strict: bool
    let_go: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What applying them is: `apply` or `destroy`."""
        return next((bundle.manifest.kind for bundle in self.bundles.values()), "apply")

    @property
    def stacks(self) -> Asked:
        """The stacks that they are of."""
        names = tuple(self.bundles)
        return Asked.one(names[0]) if self.strict else Asked(names, several=True, words="--bundle")

    def parts(self, project: Project, options: RunOptions, console: Console) -> list[Part]:
        """Open the stacks, with what was wanted of each when it was planned."""
        if self.strict:
            settled = replace(options, wanted=_wanted(self.bundles[self.stacks.only]))
            return open_parts(project, self.stacks, settled, console)
        there = [name for name in self.bundles if StackFolder(project, project.stacks / name).is_there()]
        opened = open_stacks(project, there, console, from_rendered=options.from_rendered)
        gone = {
            name: open_gone(project, name, console, sandbox=options.sandbox, from_rendered=options.from_rendered)
            for name in self.bundles
            if name not in there
        }
        found = {**opened, **{name: one for name, one in gone.items() if one}}
        return [Part(one, _settled(self.bundles[name], options), self.let_go) for name, one in found.items()]

    def marks(self, run: Session) -> Marks:
        """Where it is noted that one of them was applied."""
        return Marks(run.context.stack.folder.project.scratch / "bundles", run.records.runs)


@contextlib.contextmanager
def offered(project: Project, stacks: Asked, options: RunOptions, console: Console) -> Iterator[Offer | None]:
    """Yield the saved plans that *options* name, if any; refused where they cannot be meant.

    Raises UsageError where they do not go with the other options or the stacks, RefusedError where they are not whole
    or cannot be applied any longer. No Python of the spec's is run for that.
    """
    if options.plan is None and options.bundle is None:
        yield None
        return
    with room_for_bundles(project) as room:
        yield _plan(project, stacks.only, options, console, room) if options.plan else _preview(project, options, room)


def _plan(project: Project, stack: str, options: RunOptions, console: Console, room: Path) -> Offer:
    file = options.plan
    assert file is not None
    if options.wanted != Wanted() or options.prune:
        raise UsageError(
            "--plan says which units are applied: it goes with no --unit, --tag or --prune",
            hint=f"infra-orch apply {stack} --plan {file}, or select at infra-orch plan {stack} --out FILE",
        )
    bundle = read_bundle(unsealed(file, str(file), room / "plan"), str(file))
    manifest, folder = bundle.manifest, project.stack(stack)
    if manifest.stack != folder.name:
        raise UsageError(
            f'{file} is a plan of the stack "{manifest.stack}", not of "{folder.name}"',
            hint=f"infra-orch apply {manifest.stack} --plan {file}",
        )
    command = f"infra-orch apply {stack} --plan {file}"
    _refuse_elsewhere(f"{file} was planned", command, options, sandbox=manifest.sandbox)
    refuse_for(bundle, moved_sources(manifest, folder, evaluated=not options.from_rendered))
    if bundle.path == file and file.stat().st_mode & 0o077:
        console.warn(f"{file} may hold secrets, and others can read it: chmod 600 {file}")
    return Offer({folder.name: bundle}, strict=True)


def documents_of(project: Project, bundle: str, group: str) -> list[Mapping[str, Any]]:
    """Return the documents of the runs of a preview (schema run-document-1), given the place of its bundle.

    Raises as offered() does.
    """
    with room_for_bundles(project) as room:
        found, shown_as = _found(project, Place.of(bundle), group, room)
        read_preview(unsealed(found, shown_as, room / "preview"), shown_as, room)
        try:
            document = json.loads((room / DOCUMENT).read_text(encoding="utf-8"))
            return [dict(one) for one in document["stacks"].values()]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RefusedError(f"{shown_as} is damaged: it does not say what was shown ({error})") from error


def _preview(project: Project, options: RunOptions, room: Path) -> Offer:
    text = options.bundle
    assert text is not None
    if options.wanted != Wanted() or options.prune or options.change:
        raise UsageError(
            "--bundle says what is applied: it goes with no --unit, --tag, --prune or --affected",
            hint=f"infra-orch apply --bundle {text}",
        )
    found, shown_as = _found(project, Place.of(text), options.group, room)
    previewed = read_preview(unsealed(found, shown_as, room / "preview"), shown_as, room)
    command = f"infra-orch apply --bundle {text}"
    _refuse_elsewhere(f"{shown_as} was previewed", command, options, sandbox=previewed.about.sandbox)
    let_go = {node: frozenset(after) for node, after in previewed.about.let_go.items()}
    return Offer(previewed.plans, strict=False, let_go=let_go)


def _found(project: Project, place: Place, group: str, room: Path) -> tuple[Path, str]:
    """The bundle of a preview of what is checked out, or was before the merge that is. Raises UsageError for none."""
    if place.is_file:
        return Path(place.text), place.text
    repository = find_repository(project.root)
    head = repository.head() if repository else None
    contents = _contents(project, repository, head) if repository and head else []
    if found := place.find([bundle_name(content, group) for content in contents], room / "found"):
        return found
    if only := place.only(f"-{group}.bundle"):
        return only, str(only)
    raise RefusedError(
        f"{place.text} has no preview of {head[:12] if head else 'no commit'}, or of what was merged by it",
        hint="infra-orch preview --base REF --bundle PLACE makes one; without --bundle an apply plans anew",
    )


def _contents(project: Project, repository: Repository, head: str) -> list[str]:
    """What was previewed, if it was: the content of *head*, and of what was merged by it, or by the commit that those
    with records or approvals alone lie on.

    Never that of what it was merged into: the preview of an earlier change has nothing to do any more, and all that
    came since would pass for applied.
    """
    content = content_of(project, repository, head)
    parents = repository.parents(head)
    for _ in range(_MOST_RECORDS):
        if len(parents) != 1 or content_of(project, repository, parents[0]) != content:
            break
        parents = repository.parents(parents[0])
    return [content, *(content_of(project, repository, commit) for commit in parents[1:])]


def _refuse_elsewhere(what: str, command: str, options: RunOptions, *, sandbox: bool) -> None:
    if sandbox != options.sandbox:
        was = "in the sandbox, and applies there only" if sandbox else "for the real thing, not for the sandbox"
        raise RefusedError(f"{what} {was}", hint=f"{command}{' --sandbox' if sandbox else ''}")


def _wanted(bundle: Bundle) -> Wanted:
    """What was asked for when it was planned."""
    asked = bundle.manifest.selectors
    return Wanted(asked.units, asked.tags, asked.with_upstream, asked.with_downstream)


def _settled(bundle: Bundle, options: RunOptions) -> RunOptions:
    """*options* for exactly the units that a preview had."""
    units = bundle.manifest.units.values()
    gone = [unit.name for unit in units if unit.destroy]
    wanted = Wanted.of_units([unit.name for unit in units if not unit.destroy], gone)
    return replace(options, wanted=wanted, prune=options.prune or bool(gone))
