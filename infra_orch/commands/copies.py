"""A project as it was at a commit, in a folder of its own: the checkout is not touched."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from infra_orch.errors import UsageError, nearest
from infra_orch.git.export import Aside, export
from infra_orch.git.repository import Repository
from infra_orch.project import Project


@dataclass(frozen=True)
class Copy:
    """A *project* as it was at a commit, in a copy of its repository at *within*. *aside*: its files that are not
    written yet.
    """

    project: Project
    within: Path
    aside: Aside


@contextlib.contextmanager
def copied(
    project: Project,
    repository: Repository,
    ref: str,
    wanted: Callable[[str], bool],
    later: Callable[[str], bool] = lambda _: False,
) -> Iterator[Copy]:
    """The files of the commit *ref* that are *wanted*, in a folder that is removed afterwards; see export().

    Raises UsageError where there is no such commit, with what brings it.
    """
    commit = repository.resolve(ref)
    if commit is None:
        raise UsageError(f'there is no commit "{ref}" here', hint=_how_to_get(repository, ref))
    with tempfile.TemporaryDirectory(prefix="infra-orch-") as folder:
        copy = Path(folder).resolve() / "copy"
        copy.mkdir()
        root = copy / project.root.relative_to(repository.root)
        aside = export(repository, commit, copy, wanted, later)
        (root / "stacks").mkdir(parents=True, exist_ok=True)
        yield Copy(replace(project, root=root, caches=project.cache), copy, aside)


def _how_to_get(repository: Repository, ref: str) -> str:
    if repository.head() is None:
        return "this repository has no commit yet: git commit"
    shallow = repository.git("rev-parse", "--is-shallow-repository").strip() == b"true"
    name = ref.removeprefix("origin/")
    if shallow:
        fetch = f"git fetch --depth=1 origin {name}:refs/remotes/origin/{name}"
        return f"this is a shallow clone: {fetch}, and --base origin/{name}; or git fetch --unshallow"
    if re.fullmatch(r"[0-9a-f]{7,40}", ref):
        return "git fetch origin brings commits that are not here yet"
    known = repository.git("for-each-ref", "--format=%(refname:short)").decode(errors="replace").split()
    return nearest(ref, known) or f"git fetch origin {name}, and --base origin/{name}"
