"""What can be told of a file in Rego from its text, before anything is evaluated.

The interpreter takes a name that nobody declares for a value that is not there, so that a rule with a misspelt name
never applies. The reference implementation of Rego refuses such a file, and so do we where it is certain.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from infra_orch.errors import Problem, Where, nearest

RULE = re.compile(r"(deny|violation|warn)(?:_[A-Za-z0-9_]+)?")
"""What a rule is called that is asked, as Conftest has it."""
_UNREAD = re.compile(r'"(?:\\.|[^"\\\n])*"|`[^`]*`|#[^\n]*')
_PACKAGE = re.compile(r'package\s+([A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\["[^"\]\n]+"\])*)')
_HEAD = re.compile(rf"^[ \t]*(?:default[ \t]+)?({RULE.pattern})(?=[ \t]*(?:contains\b|if\b|:?=|\[|\{{))", re.MULTILINE)
_INPUT = re.compile(r"(?<![\w.])input\s*\.\s*([A-Za-z_]\w*)")
# The first name of a reference that is no call: calls of what there is not are errors anyway.
_REFERENCE = re.compile(
    r"(?<![\w.\])}])([A-Za-z_]\w*)(?=(?:\s*\.\s*[A-Za-z_]\w*)*(?:\s*\.\s*[A-Za-z_]\w*|\[))(?!(?:\s*\.\s*\w+)+\s*\()"
)
_WORD = re.compile(r"[A-Za-z_]\w*")
_KNOWN = frozenset(
    {"input", "data", "_", "in", "some", "every", "not", "if", "contains", "with", "as", "else", "default"}
)


@dataclass(frozen=True)
class RegoFile:
    """A file in Rego: *shown* is its path as the user knows it."""

    shown: str
    text: str

    @cached_property
    def read(self) -> str:
        """The text with strings and comments blanked out, each character in its place."""
        return _UNREAD.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), self.text)

    @cached_property
    def package(self) -> str:
        """The package that the file is of, as a reference has it; empty where it says none."""
        start = re.search(r"\bpackage\b", self.read)
        found = _PACKAGE.match(self.text, start.start()) if start else None
        return found[1] if found else ""

    @cached_property
    def rules(self) -> Mapping[str, int]:
        """The rules in the file that are asked, with the line of each."""
        found: dict[str, int] = {}
        for head in _HEAD.finditer(self.read):
            found.setdefault(head[1], self.line(head.start(1)))
        return found

    @cached_property
    def words(self) -> frozenset[str]:
        """Every name in the file."""
        return frozenset(_WORD.findall(self.read))

    def line(self, offset: int) -> int:
        """The line of a character."""
        return self.text.count("\n", 0, offset) + 1

    def problems(self, known_inputs: Collection[str], beside: Collection[str]) -> Iterator[Problem]:
        """Yield what is wrong with the file. *known_inputs* is what `input` has, *beside* the names in other files of
        the same package.
        """
        if not self.package:
            yield Problem("the file begins with no package", Where(self.shown, 1), "package main")
        for found in _INPUT.finditer(self.read):
            if found[1] not in known_inputs:
                hint = nearest(found[1], known_inputs) or f"it has {', '.join(known_inputs)}"
                yield Problem(f"input has no {found[1]}", self._where(found), hint)
        for found in _REFERENCE.finditer(self.read):
            name = found[1]
            known = name in _KNOWN or name in beside or self._declares(name) or self._is_head(found.start())
            if not known:
                hint = nearest(name, ("input", "data", *self.words - {name}))
                yield Problem(f'"{name}" is declared nowhere, so the rule would never apply', self._where(found), hint)

    def _declares(self, name: str) -> bool:
        """Whether there is more of a name than one use of it, which cannot declare it."""
        return len(re.findall(rf"(?<!\w){name}(?!\w)", self.read)) > 1

    def _is_head(self, offset: int) -> bool:
        """Whether what stands there is the head of a rule (`deny[msg]`), or what is imported."""
        start = self.read.rfind("\n", 0, offset) + 1
        return start == offset or self.read[start:].lstrip().startswith(("import ", "package "))

    def _where(self, found: re.Match[str]) -> Where:
        return Where(self.shown, self.line(found.start()))
