"""Files that a module reads outside its own folder: `file("${path.module}/../users.json")`.

Only what stands in the text is found: a path that begins with `${path.module}/`. Of one that goes on with another `${`
all that lies in the folder named until there counts. Of calls that read any other path it is only known that there are
some.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from infra_orch.module.files import NOT_PART

_READ = re.compile(r'\$\{\s*path\.module\s*\}(/(?:[^"$\n]|\$(?!\{))*)("|\$\{)')


_FUNCTION = re.compile(
    r"\b(file|filebase64|filebase64sha256|filebase64sha512|fileexists|filemd5|fileset|filesha1|filesha256|filesha512"
    r"|templatefile)\(\s*"
)
"""The functions of Terraform that read the file system (developer.hashicorp.com/terraform/language/functions)."""
_KNOWN_PLACE = re.compile(r'"\$\{\s*path\.module\s*\}[/"]|path\.module\s*[,)]')


def unknown_reads(text: str) -> list[tuple[int, str]]:
    """Return the calls in a module's file that read a path which does not begin with `${path.module}/`: line, call."""
    found = []
    for match in _FUNCTION.finditer(text):
        if not _KNOWN_PLACE.match(text, match.end()):
            rest = text[match.end() :].split("\n", 1)[0].split(")", 1)[0]
            found.append((text.count("\n", 0, match.start()) + 1, f"{match[1]}({rest.strip()})"))
    return found


def read_outside(sources: Iterable[Path], *, root: Path) -> list[Path]:
    """Return the files that *sources*, the files of modules, read outside their folders; each once, sorted.

    Not told: what lies in a folder that holds all of the project at *root*, or more, since states and records do, too.
    """
    found: set[Path] = set()
    for source in sources:
        if source.name.endswith((".tf", ".tf.json")) and source.is_file():
            for place in _places(source):
                if place.is_file():
                    found.add(place)
                elif place.is_dir() and not root.resolve().is_relative_to(place):
                    found.update(_below(place))
    return sorted(found)


def _places(source: Path) -> Iterator[Path]:
    """The files and folders outside its own folder that *source* names."""
    here = source.parent.resolve()
    for match in _READ.finditer(source.read_text(encoding="utf-8", errors="replace")):
        named = match[1] if match[2] == '"' else match[1].rpartition("/")[0]
        place = Path(f"{here}{named}").resolve()
        if not place.is_relative_to(here):
            yield place


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not NOT_PART.intersection(path.relative_to(folder).parts):
            yield path
