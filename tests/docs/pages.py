"""What stands in the fenced blocks of a page, and what the tests do with it.

The dialect is plain Markdown, so that code hosts and MkDocs show it alike:

- ```sh holds what a user types, a command a line. A comment is the reader's; `# exit code 65` in it says that the command ends
  so, and not with 0.
- A block whose first line is `# path/to/file.py` is that file, whole.
- On a page whose commands are run (see `typed.py`), any other block is what the commands of the block before it print. `…`
  alone in a line stands for lines that are left out; in a question, what is typed as the answer stands after it.
- `<!-- not run: reason -->` right before a block keeps it from being run, and says why.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("modules/*/README.md"),
        *ROOT.glob("stacks/**/README.md"),
    }
)
TUTORIAL = ROOT / "docs" / "tutorial.md"
README = ROOT / "README.md"
OF_THEIR_OWN = (TUTORIAL, ROOT / "docs" / "migrate.md")
"""Pages whose stacks have modules of their own; tests of these pages run them."""

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"# ([\w.-]+(?:/[\w.-]+)*\.[a-z]+)\n")
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*\Z", re.DOTALL)
_EXIT_CODE = re.compile(r"# exit code (\d+)$")
_COMMENT = re.compile(r"(?:^|\s)#.*$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text without the indentation of its fence, and where in the page that stands."""

    page: Path
    kind: str
    text: str
    start: int
    end: int
    line: int
    not_run: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that it is, where its first line says so."""
        found = _FILE.match(self.text)
        return found[1] if found else None

    @property
    def commands(self) -> list[Command]:
        """What is typed, a command each; a line that ends in a backslash goes on in the next."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [Command(line.strip()) for line in lines if _COMMENT.sub("", line).strip()]


@dataclass(frozen=True)
class Command:
    """A line that a user types."""

    line: str

    @property
    def code(self) -> int:
        """The exit code that its comment says it ends with; 0 where it says nothing."""
        found = _EXIT_CODE.search(self.line)
        return int(found[1]) if found else 0

    @cached_property
    def words(self) -> list[str]:
        """Its words, without the comment."""
        return shlex.split(self.line, comments=True)

    @property
    def typed(self) -> str:
        """The line without the comment and what is before it."""
        return " ".join(self.words)

    @property
    def ours(self) -> Iterator[list[str]]:
        """The words after `infra-orch`, each time that it is called in the line."""
        lexer = shlex.shlex(self.line, posix=True, punctuation_chars="&|;<>")
        lexer.commenters = "#"
        lexer.whitespace_split = True
        call: list[str] | None = None
        for word in [*lexer, ";"]:
            if re.fullmatch(r"[&|;<>]+", word):
                if call is not None:
                    yield call
                call = None
            elif call is not None:
                call.append(word)
            elif word == "infra-orch":
                call = []


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page,
            kind=(found["info"].split() or [""])[0],
            text=re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            start=found.start("text"),
            end=found.end("text"),
            line=text.count("\n", 0, found.start()) + 1,
            not_run=reason[1] if (reason := _NOT_RUN.search(text[: found.start()])) else "",
        )
        for found in _FENCE.finditer(text)
    ]
