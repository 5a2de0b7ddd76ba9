"""What a host answered, or why it did not: limits, pages, and its own words for what is wrong."""

from __future__ import annotations

import email.utils
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra_orch.errors import UnavailableError

_SECONDARY_SECONDS = 60.0
"""What GitHub asks for where its secondary limit names no time."""


class HostError(UnavailableError):
    """The host did not do what it was asked. *status* is its answer's, 0 where there was none; *said* are its words."""

    def __init__(self, summary: str, *, hint: str = "", status: int = 0, said: str = "") -> None:
        super().__init__(summary, hint=hint)
        self.status = status
        self.said = said


class Ambiguous(HostError):  # noqa: N818  it may well have been done
    """The host did not answer as it should, and may have done what it was asked."""


@dataclass(frozen=True)
class Answer:
    """What a host answered: *body* is JSON read, None where there was none. Names in *headers* are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: Any


def limited(answer: Answer, now: float) -> float | None:
    """Return for how many seconds the host wants to be left alone, where that is why it did not answer.

    Both hosts say so with 429, GitHub with 403, too, which is also what it says of what a token may not do. *now* is in
    seconds since 1970, as the hosts name times.
    """
    if answer.status not in (403, 429):
        return None
    asked = retry_after(answer, now)
    if asked is not None:
        return asked
    left = answer.headers.get("x-ratelimit-remaining", answer.headers.get("ratelimit-remaining", ""))
    reset = answer.headers.get("x-ratelimit-reset", answer.headers.get("ratelimit-reset", ""))
    if left.strip() == "0" and re.fullmatch(r"[0-9]{1,15}", reset.strip()):
        # A second more, since clocks differ.
        return max(float(reset) - now + 1.0, 1.0)
    if answer.status == 429 or "secondary rate limit" in message_of(answer.body).lower():
        return _SECONDARY_SECONDS
    return None


def retry_after(answer: Answer, now: float) -> float | None:
    """Return in how many seconds the host wants to be asked again, by the header `Retry-After`: seconds, or a date."""
    text = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - now, 0.0) if text else None
    except (ValueError, OverflowError):
        return None


def next_page(link: str) -> str:
    """Return the address of the next page, from a header `Link` as RFC 8288 has it; empty where there is none."""
    for found in re.finditer(r"<([^>]*)>([^<]*)", link):
        if re.search(r";\s*rel\s*=\s*(?:\"(?:[^\"]*\s)?next(?:\s[^\"]*)?\"|next\b)", found[2]):
            return found[1]
    return ""


def message_of(body: Any) -> str:
    """Return what a host says is wrong: GitHub in `message` and `errors`, GitLab in `message` or `error`."""
    if isinstance(body, str):
        return re.sub(r"<[^>]*>", " ", body)  # a page of a proxy
    if not isinstance(body, Mapping):
        return ""
    message = body.get("message") or body.get("error") or ""
    text = message if isinstance(message, str) else json.dumps(message)
    errors = body.get("errors")
    return f"{text} {json.dumps(errors)}" if errors else text
