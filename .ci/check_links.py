"""Check the links between the documents of this repository: python .ci/check_links.py

A link to a file must lead to one, a link to a heading to a heading; other sites are not asked. Exits with 1 where one
leads nowhere, and prints each with file and line.
"""
# ruff: noqa: INP001  a program, not a package

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("*.md", "docs/**/*.md", "modules/**/*.md", "stacks/**/*.md")
FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(\s*<?(?P<inline>[^)\s>]+)|^ {0,3}\[[^\]]+\]:\s*<?(?P<reference>[^\s>]+)", re.MULTILINE)
ONLY_ON_THE_SITE = re.compile(r"^<!-- site: .*?-->$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)?$", re.MULTILINE)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


def main() -> int:
    """Check every document, and return 1 where a link leads nowhere."""
    documents = sorted({path for pattern in DOCUMENTS for path in ROOT.glob(pattern)})
    broken = [problem for document in documents for problem in problems(document)]
    for problem in broken:
        print(problem)  # noqa: T201  what this program is for
    print(f"{len(documents)} documents, {len(broken)} links that lead nowhere")  # noqa: T201
    return int(bool(broken))


def problems(document: Path) -> Iterator[str]:
    """Yield what is wrong with the links of a document, each as `file:line: what`."""
    text = _prose(document.read_text(encoding="utf-8"))
    for found in LINK.finditer(text):
        link = found["inline"] or found["reference"]
        if ELSEWHERE.match(link):
            continue
        path, _, fragment = link.partition("#")
        target = (document.parent / unquote(path)).resolve() if path else document
        where = f"{document.relative_to(ROOT)}:{text.count(chr(10), 0, found.start()) + 1}"
        if not target.exists():
            yield f"{where}: {link}: there is no such file"
        elif fragment and target.suffix == ".md" and fragment not in anchors(target):
            yield f"{where}: {link}: {target.name} has no such heading"


def anchors(document: Path) -> frozenset[str]:
    """The names of a document's headings, made as code hosts make them; of two alike, the second gets a `-1`."""
    names: list[str] = []
    for heading in HEADING.findall(_without(FENCE, document.read_text(encoding="utf-8"))):
        name = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        names.append(f"{name}-{names.count(name)}" if name in names else name)
    return frozenset(names)


def _prose(text: str) -> str:
    return _without(CODE, _without(FENCE, _without(ONLY_ON_THE_SITE, text)))


def _without(pattern: re.Pattern[str], text: str) -> str:
    """Blank out what matches, keeping the lines where they are."""
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


if __name__ == "__main__":
    sys.exit(main())
