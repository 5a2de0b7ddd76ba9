"""Values as a test sees them: plain Python, with a mark where nobody knows one yet and where one is sensitive."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from infra_orch.errors import nearest
from infra_orch.run.values import UNKNOWN

__all__ = ["SENSITIVE", "UNKNOWN", "Named", "as_terraform_shows", "masked"]

_LONGEST = 300


class _Sensitive:
    """The one value that stands for what Terraform marks sensitive."""

    def __repr__(self) -> str:
        return "(sensitive value)"


SENSITIVE = _Sensitive()


class Named(dict[str, Any]):
    """A dict that says what there is where a key is not there."""

    def __init__(self, values: Mapping[str, Any], what: str) -> None:
        super().__init__(values)
        self._what = what

    def __missing__(self, key: str) -> Any:
        __tracebackhide__ = True
        raise MissingError(f'{self._what} "{key}"', key, self)


class MissingError(KeyError):
    """There is nothing of that name; the message says what there is."""

    def __init__(self, what: str, name: str, there: Iterable[str]) -> None:
        super().__init__(name)
        self._message = f"there is no {what}; {what_there_is(name, there)}"

    def __str__(self) -> str:
        return self._message


def what_there_is(name: str, there: Iterable[str]) -> str:
    """The name most like *name*, or those that there are."""
    known = sorted(there)
    more = f" and {len(known) - 10} more" if len(known) > 10 else ""
    return nearest(name, known) or f"there is: {', '.join(known[:10]) or 'nothing'}{more}"


def masked(value: Any, sensitive: Any) -> Any:
    """*value* with SENSITIVE where *sensitive*, as Terraform's JSON has it, says so."""
    if sensitive is True:
        return SENSITIVE
    if isinstance(sensitive, Mapping) and isinstance(value, Mapping):
        return {key: masked(item, sensitive.get(key)) for key, item in value.items()}
    if isinstance(sensitive, list) and isinstance(value, list):
        return [masked(item, sensitive[n] if n < len(sensitive) else None) for n, item in enumerate(value)]
    return value


def as_terraform_shows(value: Any) -> str:
    """*value* in one line, as a plan of Terraform's would show it."""
    text = _shown(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _shown(value: Any) -> str:
    if value is UNKNOWN or value is SENSITIVE:
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_shown, value))}]"
    if value is None or isinstance(value, (str, bool, int, float)):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
