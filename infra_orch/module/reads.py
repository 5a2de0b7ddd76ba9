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
    r"|templatefile)\s*\(\s*"
)
"""The functions of Terraform that read the file system (developer.hashicorp.com/terraform/language/functions)."""
_PLAIN = re.compile(r'"\$\{\s*path\.module\s*\}(?:/(?:[^"$%\\\n]|\$(?!\{)|%(?!\{))*)?"\s*[,)]|path\.module\s*,')
"""A path that is known from the text alone."""
_ELSEWHERE = re.compile(r"\b(timestamp|plantimestamp|uuid|bcrypt|abspath|pathexpand)\s*\(|\bpath\.(?:cwd|root)\b")
"""What has another value at another time, or in another folder."""


def unknown_reads(text: str, *, module: bool = True) -> list[tuple[int, str]]:
    """Return what in the text of a module's file makes a plan depend on more than the files that are named: line, what.

    That is a call that reads a path which is not a literal below `${path.module}`; in a file that is no module's own
    (*module*: False), as a template, any call that reads a file; and what has another value each time, or elsewhere.
    """
    if "(" not in text and "path." not in text:
        return []  # as most of what is rendered
    found = []
    for match in _FUNCTION.finditer(text):
        known = _PLAIN.match(text, match.end()) if module else None
        rest = text[match.end() :].split("\n", 1)[0]
        climbs = match[1] == "fileset" and ".." in rest[len(known[0]) :].split(")")[0] if known else False
        if known is None or climbs:
            found.append((_line(text, match), f"reads {match[1]}({rest.split(')', 1)[0].strip()})"))
    found += [(_line(text, match), f"has {match[0].strip('( ')}") for match in _ELSEWHERE.finditer(text)]
    return sorted(found)


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


def read_outside(sources: Iterable[Path], *, root: Path) -> list[Path]:
    """Return the files that *sources*, the files of modules, read outside their folders; each once, sorted.

    Not told: what lies in a folder that holds all of the project at *root*, or more, since states and records do, too;
    wide_reads() names these.
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


def wide_reads(source: Path, *, root: Path, within: Path) -> list[Path]:
    """Return what a module's file reads that holds all of the project at *root*, or lies outside of *within*."""
    places = _places(source) if source.name.endswith((".tf", ".tf.json")) else ()
    return [
        place
        for place in places
        if (place.is_dir() and root.resolve().is_relative_to(place)) or not place.is_relative_to(within.resolve())
    ]


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
