"""In which parts two values of a plan differ, made so that a person sees what is meant and nothing else.

Lists and texts are aligned, so that what was inserted at the front does not make all that follows look changed; a
string that holds JSON, as policies do, is compared by its parts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any, TypeAlias

from infra_orch.redact import MASK, Redactor, secret_name
from infra_orch.run.values import json_text

UNKNOWN_TEXT = "(known after apply)"
_LONGEST = 400
_LONG_LIST = 100
_EMPTY: tuple[Any, ...] = (None, "", [], {}, ())

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class Side:
    """A value before or after, with what in it is sensitive and unknown: true for all of it, or as deep as it goes."""

    value: Any = None
    sensitive: Any = None
    unknown: Any = None

    def child(self, key: str | int) -> Side:
        """The part of it at *key*; nothing where there is none."""
        return Side(part_at(self.value, key), part_at(self.sensitive, key), part_at(self.unknown, key))

    @cached_property
    def parts(self) -> dict[str | int, Side]:
        """Its parts, those that are unknown too; none where it is one whole: plain, sensitive, unknown or empty."""
        keys: list[str | int] = []
        if self.sensitive is not True and self.unknown is not True:
            for value in (self.value, self.unknown):
                if isinstance(value, Mapping):
                    keys += sorted(value)
                elif isinstance(value, list):
                    keys += range(len(value))
        return {key: self.child(key) for key in dict.fromkeys(keys)}

    @property
    def is_list(self) -> bool:
        """Whether it is a list or a set."""
        return isinstance(self.value if self.value is not None else self.unknown, list)

    @property
    def is_text(self) -> bool:
        """Whether it is a text of several lines."""
        return isinstance(self.value, str) and "\n" in self.value and self.sensitive is not True

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing, or a block without anything in it."""
        return self.value in (None, {}) and not self.parts and self.unknown is not True

    @cached_property
    def opened(self) -> Side:
        """Itself, or the parts of the JSON that it holds."""
        if isinstance(self.value, str) and self.value[:1] in ("{", "[") and self.sensitive is not True:
            try:
                return Side(json.loads(self.value))
            except (ValueError, RecursionError):
                return self
        return self

    @cached_property
    def key(self) -> str:
        """What is equal for sides that are."""
        marks = [_marked(self.sensitive), _marked(self.unknown)]
        return json.dumps([self.value, *marks], sort_keys=True, default=str)

    def text(self, name: str, redactor: Redactor) -> str:
        """It as a person is shown it. *name* is what it is called, which may tell that it is a secret."""
        text = redactor.text(self.whole(name, redactor))
        if len(text) <= _LONGEST:
            return text
        # With a digest, two that begin alike are not taken for the same. An approval is of this text, and whoever
        # writes both values may look for two with one digest: of half as many digits they are found within hours.
        of_all = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]
        return f"{text[:_LONGEST]}… ({len(text)} characters, SHA-256 {of_all}…)"

    def whole(self, name: str, redactor: Redactor) -> str:
        """As text(), however long it is, and before secrets are looked for within strings."""
        if self.unknown is True:
            return UNKNOWN_TEXT
        if self.value is None and not self.parts:
            return "null"
        if isinstance(self.value, _Same):
            return f"… {self.value.number} as before"
        if self.sensitive is True or (secret_name(name) and not isinstance(self.value, bool)):
            return MASK
        if not self.parts:
            return json_text(self.value)
        if self.is_list:
            return f"[{', '.join(part.whole(name, redactor) for part in self.parts.values())}]"
        # What is empty says nothing of a block.
        said = {key: part for key, part in self.parts.items() if part.parts or part.unknown or part.value not in _EMPTY}
        return f"{{{', '.join(f'{key} = {part.whole(str(key), redactor)}' for key, part in said.items())}}}"


def differences(old: Side, new: Side, path: Path = ()) -> Iterator[tuple[Path, Side, Side]]:
    """Yield the smallest parts in which two values differ, in the order of their paths. A part in a text has a path
    that ends in `line 3`.
    """
    if old.key == new.key:
        return
    opened = (old.opened, new.opened)
    if all(side.parts or side.is_nothing for side in opened) and any(side.parts for side in opened):
        old, new = opened
    if old.is_text and new.is_text:
        yield from _texts(old, new, path)
    elif (old.is_list and new.is_list) or (new.is_list and old.is_nothing) or (old.is_list and new.is_nothing):
        yield from _lists(old, new, path)
    elif (old.parts and new.parts) or (old.is_nothing and new.parts):
        keys = sorted({**old.parts, **new.parts}, key=str)
        for key in keys:
            yield from differences(old.child(key), new.child(key), (*path, key))
    elif path:
        yield path, old, new


def _marked(marks: Any) -> Any:
    """What is marked as sensitive or unknown; None where nothing is. Terraform says so in ways that mean the same: an
    unmarked list of two has `[]`, `[false, false]`, or nothing at all.
    """
    if isinstance(marks, Mapping):
        return {key: found for key, part in marks.items() if (found := _marked(part)) is not None} or None
    if isinstance(marks, list):
        found = [_marked(part) for part in marks]
        return found if any(part is not None for part in found) else None
    return marks or None


def _lists(old: Side, new: Side, path: Path) -> Iterator[tuple[Path, Side, Side]]:
    befores, afters = list(old.parts.values()), list(new.parts.values())
    if not any(part.parts or part.opened.parts for part in (*befores, *afters)):
        yield path, _shortened(old, afters), _shortened(new, befores)
        return
    if not befores:
        for number, after in enumerate(afters):
            yield from differences(Side(), after, (*path, number))
        return
    for before, after, number in _aligned(befores, afters):
        if before.is_nothing or after.is_nothing:
            yield (*path, number), before, after
        else:
            yield from differences(before, after, (*path, number))


def _texts(old: Side, new: Side, path: Path) -> Iterator[tuple[Path, Side, Side]]:
    befores = [Side(line) for line in old.value.split("\n")]
    afters = [Side(line) for line in new.value.split("\n")]
    for before, after, number in _aligned(befores, afters):
        yield (*path, f"line {number + 1}"), before, after


def _aligned(befores: list[Side], afters: list[Side]) -> Iterator[tuple[Side, Side, int]]:
    """Yield what differs in two lists: what was, what will be, and where."""
    matcher = SequenceMatcher(None, [side.key for side in befores], [side.key for side in afters], autojunk=False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        for step in range(max(i_end - i, j_end - j)):
            before = befores[i + step] if i + step < i_end else Side()
            after = afters[j + step] if j + step < j_end else Side()
            yield before, after, j + step if j + step < j_end else i + step


def _shortened(side: Side, others: list[Side]) -> Side:
    """A long list less what is in the other one too."""
    if not others or len(side.key) <= _LONG_LIST:
        return side
    same = {other.key for other in others}
    kept = [part for part in side.parts.values() if part.key not in same]
    number = len(side.parts) - len(kept)
    if not number:
        return side
    parts = [Side(_Same(number)), *kept]
    return Side([part.value for part in parts], [p.sensitive for p in parts], [p.unknown or False for p in parts])


@dataclass(frozen=True)
class _Same:
    """Stands for so many items of a list that stay as they are."""

    number: int


def part_at(value: Any, key: str | int) -> Any:
    """Return the part of a plan's value, or of what is said of one, at *key*: true where true is said of all of it."""
    if value is True:
        return True
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return value[key]
    return None
