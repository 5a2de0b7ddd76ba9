"""Build the documentation as a site, without a network: python .ci/docs/build_site.py

The pages are those of docs/, of the modules and of the project (CONTRIBUTING.md …), as code hosts show them, and the
references, which are made here of the program itself. They are laid into site/pages; site/public is what is published.
Another folder than site/ may be named: python .ci/docs/build_site.py FOLDER
A link, or an anchor, that leads nowhere ends the build.
"""

from __future__ import annotations

import functools
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import reference_commands
import reference_programs
import reference_schemas
import reference_spec
import yaml  # type: ignore[import-untyped]
from markdown_text import fence

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SITE = ROOT / "site"
PROJECT = {"CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md", "CHANGELOG.md": "changes.md"}
"""Documents at the top that become pages, and what these are called."""
HOME = ("README.md", "docs/README.md")
"""Documents whose place on the site is its first page."""
_FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^ *\2 *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)[^\n]*?[^`]\1(?!`)")
_LINK = re.compile(r"(?P<before>\]\(\s*<?|^ {0,3}\[[^\]]+\]:\s*<?)(?P<link>[^)\s>]+)", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
_ONLY_HERE = re.compile(r"^<!-- site: (.*?) -->$", re.MULTILINE | re.DOTALL)
_LIST = re.compile(r"^(?P<indent> *)(?:[-*]|\d+\.) ")


def main(folder: Path = SITE) -> int:
    """Build the site in *folder*; return 1 where a page or a link is amiss."""
    if folder != SITE and folder.is_dir() and any(folder.iterdir()):
        print(f"{folder} is not empty, and is left alone")  # noqa: T201
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    lay(folder / "pages")
    if not build(folder):
        return 1
    pages = sum(1 for _ in (folder / "public").rglob("index.html"))
    print(f"{pages} pages; to read them: python -m http.server -d {folder / 'public'}")  # noqa: T201
    return 0


def build(folder: Path) -> bool:
    """Make `public` of the `pages` in *folder*. False, and what is amiss is printed, where a link leads nowhere."""
    shutil.copytree(HERE / "overrides", folder / "overrides")
    configuration = yaml.safe_load((HERE / "mkdocs.yml").read_text(encoding="utf-8"))
    configuration["nav"] = navigation(configuration["nav"])
    settled = yaml.safe_dump(configuration, sort_keys=False, allow_unicode=True)
    (folder / "mkdocs.yml").write_text(settled, encoding="utf-8")
    argv = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr.partition("Traceback")[0])
        print(said)  # noqa: T201  what is wrong, for whoever mends it
    return done.returncode == 0


def lay(folder: Path) -> None:
    """Write every page of the site, and what is in them, into *folder*."""
    for path, text in {**written_pages(), **generated_pages()}.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    shutil.copy(HERE / "site.css", folder)
    for picture in sorted((ROOT / "docs").rglob("*.svg")):
        shutil.copy(picture, folder / picture.relative_to(ROOT / "docs"))


def places() -> dict[str, str]:
    """Where on the site each written document is, by its path in the repository."""
    found = {path.relative_to(ROOT).as_posix(): "" for path in (ROOT / "docs").rglob("*.md")}
    made = {path: path.removeprefix("docs/").replace("README.md", "index.md") for path in found}
    modules = sorted((ROOT / "modules").glob("*/README.md"))
    made |= {path.relative_to(ROOT).as_posix(): f"modules/{path.parent.name}.md" for path in modules}
    return made | {name: f"project/{page}" for name, page in PROJECT.items()} | dict.fromkeys(HOME, "index.md")


def written_pages() -> dict[str, str]:
    """The pages of the repository, with their links as the site has them, and those of other files that they name."""
    where = places()
    pages: dict[str, str] = {}
    for source, place in where.items():
        if source == "README.md" or not (ROOT / source).is_file():
            continue
        text = (ROOT / source).read_text(encoding="utf-8")
        text = _ONLY_HERE.sub(lambda found: found[1], text)
        pages[place] = spaced(_prose(text, functools.partial(_linked, at=(source, place), where=where, pages=pages)))
    return pages


def _linked(text: str, at: tuple[str, str], where: Mapping[str, str], pages: dict[str, str]) -> str:
    """*text* with its links as the site has them; *at* is where the document lies, and where its page does."""
    source, place = at

    def moved(found: re.Match[str]) -> str:
        path, mark, fragment = found["link"].partition("#")
        if not path or _ELSEWHERE.match(found["link"]):
            return found[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), unquote(path)))
        there = _place_of(target, where, pages)
        link = posixpath.relpath(there, posixpath.dirname(place) or ".")
        return f"{found['before']}{link}{mark}{fragment}"

    return _LINK.sub(moved, text)


def _place_of(target: str, where: Mapping[str, str], pages: dict[str, str]) -> str:
    """Where on the site a file or folder of the repository is. A file that is no page of its own is shown on one."""
    if f"{target}/README.md" in where:
        return where[f"{target}/README.md"]
    if target in where:
        return where[target]
    if target.startswith("docs/") or not (ROOT / target).is_file():
        return target.removeprefix("docs/")
    page = f"source/{target.replace('/.', '/').lstrip('.')}.md"
    kinds = {"yml": "yaml", "yaml": "yaml", "py": "python", "toml": "toml", "tf": "terraform"}
    shown = fence((ROOT / target).read_text(encoding="utf-8"), kinds.get(target.rpartition(".")[2], ""))
    pages[page] = "\n".join([f"# {target}", "", "As it lies in the repository.", "", *shown, ""])
    return page


def spaced(text: str) -> str:
    """*text* with what code hosts do without and Python's Markdown does not: an empty line before a list, and four
    spaces before what belongs to an item of one.
    """
    made: list[str] = []
    width = fenced = 0  # of the list's marker; of what stands before the fence that is open, and one more
    for line in text.split("\n"):
        indent, last = len(line) - len(line.lstrip()), made[-1] if made else ""
        if line.lstrip().startswith(("```", "~~~")):
            fenced = 0 if fenced else indent + 1
        begins = None if fenced else _LIST.match(line)
        if begins and last.strip() and not last.startswith((" ", "#", "|")) and not _LIST.match(last):
            made.append("")
        if begins and not indent:
            width = len(begins[0])
        elif line and not indent and not last.strip():
            width = 0
        before = min(indent, fenced - 1) if fenced else indent
        inside = width and before and line.strip()
        made.append(" " * (4 * (before // width) + before % width) + line[before:] if inside else line)
    return "\n".join(made)


def _prose(text: str, change: Callable[[str], str]) -> str:
    """*text*, changed where it is neither a fenced block nor inline code."""
    kept: list[str] = []

    def hidden(found: re.Match[str]) -> str:
        kept.append(found[0])
        return f"\0{len(kept) - 1}\0"

    changed = change(_CODE.sub(hidden, _FENCE.sub(hidden, text)))
    while "\0" in changed:
        changed = re.sub(r"\0(\d+)\0", lambda found: kept[int(found[1])], changed)
    return changed


def generated_pages() -> dict[str, str]:
    """The pages that are made of the program, by their paths."""
    return {
        **reference_commands.pages(guides()),
        **reference_spec.pages(),
        **reference_schemas.pages(),
        "reference/exit-codes.md": reference_programs.exit_codes(),
        "reference/variables.md": reference_programs.variables(),
    }


def guides() -> dict[str, str]:
    """Links to where docs/commands.md says that each command is told, by the command's first word."""
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| \[`([\w-]+)`\]\(([^)]+)\)", text, re.MULTILINE)
    return {name: f"[how it is used](../../{link if link[0] != '#' else 'commands.md' + link})" for name, link in found}


def in_navigation(part: Any) -> Iterator[str]:
    """Every page of a navigation."""
    for one in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from in_navigation(one)
    if isinstance(part, str):
        yield part


def navigation(written: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The navigation of the site: that of mkdocs.yml, with the pages below Reference that are made here."""
    commands = [{name: f"reference/commands/{name}.md"} for name in reference_commands.groups()]
    schemas = [name.removesuffix(".json") for name in reference_schemas.schemas()]
    reference = [
        {"Commands": ["reference/commands/index.md", {"By task": "commands.md"}, *commands]},
        {"The spec": [f"reference/spec/{name}.md" for name in ("index", *reference_spec.PAGES)]},
        "settings.md",
        "reference/variables.md",
        "files.md",
        "reference/exit-codes.md",
        {"JSON": ["json.md", *(f"reference/schemas/{name}.md" for name in ("index", *schemas))]},
        {"Modules": sorted(place for place in places().values() if place.startswith("modules/"))},
    ]
    return [{"Reference": reference} if "Reference" in part else part for part in written]


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
