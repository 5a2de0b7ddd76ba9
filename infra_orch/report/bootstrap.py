"""What `bootstrap` finds and makes, as text for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from infra_orch.report.style import Style, safe

SCHEMA = 1
SCHEMA_ID = "urn:infra-orch:schema:bootstrap:1"
Status = Literal["there", "missing", "made", "failed"]
_MARKS: dict[Status, tuple[str, str]] = {
    "there": ("✓", "green"),
    "missing": ("+", "yellow"),
    "made": ("✓", "green"),
    "failed": ("✗", "red"),
}


@dataclass(frozen=True)
class ListedPart:
    """One part of what belongs to a bucket: what was *found*, what is *to do*, and what became of that."""

    part: str
    status: Status
    found: str
    todo: str = ""
    warning: str = ""
    error: str = ""


@dataclass(frozen=True)
class ListedBucket:
    """A bucket with its parts, and the stacks that keep states in it. *error*: why it could not be looked at."""

    bucket: str
    region: str
    account: str
    stacks: tuple[str, ...]
    parts: tuple[ListedPart, ...] = ()
    error: str = ""

    @property
    def is_in_order(self) -> bool:
        """Whether nothing of it is missing."""
        return not self.error and all(part.status in ("there", "made") for part in self.parts)


def bootstrap_document(buckets: Sequence[ListedBucket], others: dict[str, str]) -> dict[str, Any]:
    """Return what was found and made as `--json` has it. *others*: stacks whose states lie elsewhere, and where."""
    return {
        "$schema": SCHEMA_ID,
        "schema": SCHEMA,
        "in_order": all(bucket.is_in_order for bucket in buckets),
        "buckets": [_bucket(bucket) for bucket in buckets],
        "others": others,
    }


def _bucket(bucket: ListedBucket) -> dict[str, Any]:
    return {
        "bucket": bucket.bucket,
        "region": bucket.region,
        "account": bucket.account or None,
        "stacks": list(bucket.stacks),
        "parts": [
            {
                "part": part.part,
                "status": part.status,
                "found": part.found,
                "todo": part.todo,
                "warning": part.warning,
                "error": part.error or None,
            }
            for part in bucket.parts
        ],
        "error": bucket.error or None,
    }


def bucket_lines(bucket: ListedBucket, style: Style) -> Iterator[str]:
    """Yield a bucket, and a line for each part of it: what there is, or what is to be made."""
    place = ", ".join(filter(None, (bucket.region, f"account {bucket.account}" if bucket.account else "")))
    title = style(safe(bucket.bucket, keep_newlines=False), "bold")
    yield f"{title}  {safe(place, keep_newlines=False)}, for {', '.join(bucket.stacks)}"
    width = max((len(part.part) for part in bucket.parts), default=0)
    for part in bucket.parts:
        mark, colour = _MARKS[part.status]
        told = part.found if part.status == "there" else part.todo
        was = f" ({part.found})" if part.status == "missing" and part.found and part.part != "bucket" else ""
        yield f"  {style(mark, colour)} {part.part:<{width}}  {safe(f'{told}{was}', keep_newlines=False)}"
        if part.warning:
            yield f"    {'':<{width}}  {style('warning:', 'yellow')} {safe(part.warning, keep_newlines=False)}"
