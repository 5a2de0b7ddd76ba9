"""Plan bundles that are written: `plan --out FILE` that of a plan, `preview --bundle PLACE` that of a preview."""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra_orch._version import __version__
from infra_orch.bundle.make import About, check_out, make_bundle, unfit
from infra_orch.bundle.manifest import Origin, Selectors
from infra_orch.bundle.place import Place
from infra_orch.bundle.premises import sources_of
from infra_orch.bundle.preview import About as AboutPreview
from infra_orch.bundle.preview import write_preview
from infra_orch.bundle.seal import KEY, Seal, seal_here
from infra_orch.commands.opening import Opened
from infra_orch.commands.options import RunOptions
from infra_orch.commands.parts import Part
from infra_orch.commands.previewing import Shown
from infra_orch.commands.session import Session
from infra_orch.console import Console
from infra_orch.errors import UsageError
from infra_orch.files import private_folder
from infra_orch.git.repository import Repository
from infra_orch.project import Project
from infra_orch.run.plan import Preview, Selection


@contextlib.contextmanager
def room_for_bundles(project: Project) -> Iterator[Path]:
    """Yield a private folder for bundles that are in the making, or taken apart; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bundle-", dir=private_folder(project.scratch / "bundles")) as folder:
        yield Path(folder)


@dataclass(frozen=True)
class Writer:
    """Writes the bundle that `plan --out` asked for: *path*, as the user gave it, and what the plan was begun with."""

    path: Path
    target: Path
    sources: Mapping[str, str]
    seal: Seal | None

    def write(
        self, selection: Selection, shown: Preview, run: Session, options: RunOptions, console: Console
    ) -> str | None:
        """Write the bundle and return its id; None, and a word to the user, where the plan did not go well."""
        bad = unfit(shown.outcomes)
        if bad or run.context.supervisor.stopping:
            console.note(f"{self.path} was not written: {bad[0] if bad else 'the run was stopped'}")
            return None
        about = _about(run, options, self.sources)
        if self.seal:
            with room_for_bundles(run.context.stack.folder.project) as room:
                bundle = make_bundle(room / "plan", selection, shown, run.context, about)
                self.seal.close(room / "plan", self.target)
        else:
            bundle = make_bundle(self.target, selection, shown, run.context, about)
        words = ["infra-orch", "apply", run.context.stack.folder.name, "--plan", str(self.path)]
        command = shlex.join([*words, *(["--sandbox"] if run.sandbox else [])])
        what = "sealed" if self.seal else "which may hold secrets"
        console.note(f"written to {self.path}, {what}; {command} applies it")
        if run.repository and _could_be_committed(run.repository, self.target):
            console.warn(f"{self.path} lies in the git repository and is not ignored: keep it out of commits")
        return bundle


def writer_for(options: RunOptions) -> Writer | None:
    """Return what writes the bundle that *options* ask for, if they ask for one.

    Raises UsageError where no file can be written there, and as seal_here() does.
    """
    return Writer(options.out, check_out(options.out), {}, seal_here()) if options.out is not None else None


def begun(writer: Writer | None, opened: Opened) -> Writer | None:
    """Return *writer* with the sources as they are now, when the plan is begun."""
    return Writer(writer.path, writer.target, _sources(opened), writer.seal) if writer else None


@dataclass(frozen=True)
class PreviewWriter:
    """Writes the bundle that `preview --bundle` asked for, to *place*, of what was compared with *base*."""

    place: Place
    base: str
    group: str
    seal: Seal | None
    sources: Mapping[str, Mapping[str, str]]

    def begun(self, parts: Sequence[Part]) -> PreviewWriter:
        """The same with the sources of all stacks as they are now, when the plan is begun."""
        sources = {part.name: _sources(part.opened) for part in parts}
        return PreviewWriter(self.place, self.base, self.group, self.seal, sources)

    def make(self, shown: Shown, room: Path, console: Console) -> dict[str, Path] | None:
        """Make the bundles of the stacks' plans in *room*, while these lie in their work folders. Returns them by the
        names of the stacks' folders; None, and a word to the user, where the preview did not go well.
        """
        bad = unfit(shown.outcomes)
        if bad or shown.run.context.supervisor.stopping:
            console.note(f"no bundle was written: {bad[0] if bad else 'the run was stopped'}")
            return None
        made = {}
        for one in shown.chosen:
            name, context = one.part.name, one.run.context
            path = room / f"{name.replace('/', '~')}.plan"
            about = _about(one.run, one.part.options, self.sources[name])
            make_bundle(path, one.selection, shown.of(one), context, about)
            made[name] = path
        return made

    def write(
        self,
        plans: Mapping[str, Path],
        texts: Mapping[str, str],
        project: Project,
        repository: Repository | None,
        console: Console,
        *,
        sandbox: bool,
        let_go: Mapping[str, frozenset[str]],
    ) -> None:
        """Write the bundle: *plans* by stack, and *texts* of what was shown. Raises as Place.put() does."""
        commit = repository.head() if repository else None
        content = content_of(project, repository, commit) if repository and commit else None
        released = {node: sorted(after) for node, after in sorted(let_go.items())}
        about = AboutPreview(self.base, commit, content, self.group, sandbox, __version__, released)
        name = self.place.text if self.place.is_file else bundle_name(content, self.group)
        with room_for_bundles(project) as room:
            path = room / "preview"
            write_preview(path, about, plans, texts)
            if self.seal:
                self.seal.close(path, room / "sealed")
                path = room / "sealed"
            self.place.put(path, name)
        told = self.place.called(name)
        console.note(f"written to {told}, {'sealed' if self.seal else 'which may hold secrets'}")
        if repository and not self.place.is_remote and _could_be_committed(repository, Path(told).resolve()):
            console.warn(f"{told} lies in the git repository and is not ignored: keep it out of commits")


def preview_writer(text: str | None, base: str, group: str) -> PreviewWriter | None:
    """Return what writes the bundle of a preview to the place *text*; None: none was asked for.

    Raises UsageError for what is no place, where it leaves the machine unsealed, and as seal_here() does.
    """
    if not text:
        return None
    place, seal = Place.of(text), seal_here()
    if place.is_file:
        check_out(Path(text), "--bundle")
    if place.is_remote and seal is None:
        raise UsageError(
            f"{text} is another machine, and plans may hold secrets: they do not leave this one unsealed",
            hint=f"export {KEY}=\"$(openssl rand -base64 32 | tr '+/' '-_')\", and keep it for the apply",
        )
    return PreviewWriter(place, base, group, seal, {})


def content_of(project: Project, repository: Repository, commit: str) -> str:
    """Return a digest of all that the repository holds in *commit*, but for records: every run adds some."""
    place = repository.relative(project.stacks)
    digest = hashlib.sha256()
    for path, mode, blob in repository.list_entries(commit, "", lambda path: not _is_record(path, place)):
        digest.update(f"{mode} {blob} {path}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _is_record(path: str, stacks: str) -> bool:
    return path.startswith(f"{stacks}/") and "/record/" in path


def bundle_name(content: str | None, group: str) -> str:
    """Return what the bundle of a preview is called in a folder, by the content that it is of.

    Raises UsageError where there is none.
    """
    if content is None:
        raise UsageError("bundles in a folder go by what is committed, and nothing is", hint="name a file instead")
    return f"{content}-{group}.bundle"


def _about(run: Session, options: RunOptions, sources: Mapping[str, str]) -> About:
    wanted, facts = options.wanted, run.facts()
    origin = Origin(
        facts.run_id,
        facts.at,
        facts.by,
        facts.commit,
        facts.dirty,
        facts.engine,
        facts.engine_version,
        facts.version,
    )
    return About(origin, Selectors(wanted.units, wanted.tags, wanted.with_upstream, wanted.with_downstream), sources)


def _sources(opened: Opened) -> dict[str, str]:
    return sources_of(opened.rendered, {unit.module for unit in opened.rendered.units.values()})


def _could_be_committed(repository: Repository, path: Path) -> bool:
    return path.is_relative_to(repository.root) and bool(repository.dirty([repository.relative(path)]))
