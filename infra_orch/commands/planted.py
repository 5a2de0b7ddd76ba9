"""What a commit may not bring along where a run trusts nothing but what is committed.

`.infra-orch/` holds what earlier runs made and later ones believe: initialised folders, with the programs of providers
in them, and caches. And a setting that names a program, or a folder of programs, is no better than the program.
"""

from __future__ import annotations

import os
from pathlib import Path

from infra_orch.errors import RefusedError, Where
from infra_orch.files import with_home
from infra_orch.git.repository import Repository
from infra_orch.project import Project
from infra_orch.settings import FILE, PREFIX, set_in_file

_SCRATCH = ".infra-orch"
_NAME_PROGRAMS = ("engine", "provider_mirror", "provider_cache")


def refuse_planted(repository: Repository, commit: str, project: Project) -> None:
    """Raise RefusedError where *commit* holds something below `.infra-orch/`, or where the project's settings file
    names a program, or a folder of providers, that lies in the repository. A variable or a flag may do so.
    """
    folder = repository.relative(project.root)
    tree = commit if folder in ("", ".") else f"{commit}:{folder}"
    # Whether case counts is the file system's business: git may write `.Infra-Orch` to the same place.
    names = repository.git("ls-tree", "-z", "--name-only", tree).decode("utf-8", errors="replace").split("\0")
    for name in names:
        if name.lower() == _SCRATCH:
            raise RefusedError(
                f"{name}/ is committed, and --from-rendered would take what is in it for what an earlier run made",
                hint=f"git rm -r --cached -- {name}, and commit that",
            )
    if (project.root / _SCRATCH).is_symlink():
        raise RefusedError(f"{_SCRATCH} is a link, and a folder is wanted", hint=f"rm {_SCRATCH}")
    for name in _NAME_PROGRAMS:
        _refuse_own_program(repository, project, name)


def _refuse_own_program(repository: Repository, project: Project, name: str) -> None:
    value = getattr(project.settings, name)
    # A variable wins over the file, and so does a flag: then it is not what the file says, or it says the same.
    if value is None or os.environ.get(f"{PREFIX}{name.upper()}") or set_in_file(project.root, name) != value:
        return
    if name == "engine" and os.sep not in value:
        return
    places = {(start / with_home(value)).resolve() for start in (Path.cwd(), project.root)}
    if any(place.is_relative_to(repository.root) for place in places):
        raise RefusedError(
            f'setting {name} = "{value}" names what lies in the repository, so whoever changes that decides what runs',
            hint=f"with --from-rendered, say that with {PREFIX}{name.upper()}",
            where=Where(FILE),
        )
