"""Rules in the settings: who is told of what, about which stacks, and by which words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from string import Template
from typing import Any

from infra_orch.errors import UsageError, Where, nearest

EVENTS = ("start", "waiting", "applied", "unchanged", "failed", "refused", "cancelled", "drift")
"""What can be told of: a run begins to change things, waits for an approval, has ended in one of five ways; or a look
at what exists has found drift.
"""
NAMES = ("stack", "status", "run", "command", "by", "commit", "summary", "units", "url")
"""What templates may name, as `$stack` or `${stack}`."""
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FROM = "env:"
_KEYS = ("to", "on", "stacks", "title", "text")
_EXAMPLE = '[[notify]]\nto = "env:SLACK_URL"\non = ["failed"]'


@dataclass(frozen=True)
class Rule:
    """Whoever the address in the *variable* belongs to is told of the events *on* of stacks that fit a pattern.

    *title* and *text* are templates; empty: what is told by default.
    """

    variable: str
    on: tuple[str, ...]
    stacks: tuple[str, ...] = ("*",)
    title: str = ""
    text: str = ""

    def fits(self, stack: str, event: str) -> bool:
        """Whether an event of a stack, by its name, is told of."""
        return event in self.on and any(fnmatchcase(stack, pattern) for pattern in self.stacks)


def rules_of(tables: Any, where: Where) -> tuple[Rule, ...]:
    """Return the rules in the array of tables `notify`. Raises UsageError for anything that is wrong with one."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError("setting notify is not an array of tables", where=where, hint=_EXAMPLE)
    return tuple(_rule(table, f"notify[{number}]", where) for number, table in enumerate(tables, 1))


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return the text of a template that rules_of() let pass."""
    return Template(template).substitute(values)


def variable_of(to: Any) -> str:
    """Return the variable that `env:NAME`, or NAME, names. Raises ValueError where it is an address, say."""
    name = to.removeprefix(_FROM) if isinstance(to, str) else ""
    if not VARIABLE.fullmatch(name):
        raise ValueError("to names no variable; an address holds a secret, so a variable has it, and is named here")
    return name


def _rule(table: Mapping[str, Any], name: str, where: Where) -> Rule:
    for key in table:
        if key not in _KEYS:
            hint = nearest(key, _KEYS) or f"keys of notify: {', '.join(_KEYS)}"
            raise UsageError(f'unknown setting "{name}.{key}"', where=where, hint=hint)
    for key in ("to", "on"):
        if key not in table:
            raise UsageError(f"setting {name} has no {key}", where=where, hint=_EXAMPLE)
    return Rule(
        variable=_variable(table["to"], name, where),
        on=_events(table["on"], name, where),
        stacks=_strings(table.get("stacks", ["*"]), f"{name}.stacks", where),
        title=_template(table.get("title", ""), f"{name}.title", where),
        text=_template(table.get("text", ""), f"{name}.text", where),
    )


def _variable(value: Any, name: str, where: Where) -> str:
    """The variable that is named. What was written instead may be an address with a secret: it is not quoted."""
    variable = value.removeprefix(_FROM) if isinstance(value, str) and value.startswith(_FROM) else ""
    if not VARIABLE.fullmatch(variable):
        raise UsageError(
            f"setting {name}.to does not name a variable",
            where=where,
            hint='an address holds a secret, so it is not written here: to = "env:SLACK_URL", and SLACK_URL has it',
        )
    return variable


def _events(value: Any, name: str, where: Where) -> tuple[str, ...]:
    events = _strings(value, f"{name}.on", where)
    for event in events:
        if event not in EVENTS:
            hint = nearest(event, EVENTS) or f"there are {', '.join(EVENTS)}"
            raise UsageError(f'setting {name}.on: "{event}" is nothing that can be told of', where=where, hint=hint)
    return events


def _strings(value: Any, name: str, where: Where) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
        raise UsageError(f"setting {name} = {value!r} is not a list of strings, one at least", where=where)
    return tuple(value)


def _template(value: Any, name: str, where: Where) -> str:
    if not isinstance(value, str):
        raise UsageError(f"setting {name} = {value!r} is not a string", where=where)
    template = Template(value)
    known = ", ".join(f"${each}" for each in NAMES)
    if not template.is_valid():
        hint = f"there are {known}; a $ that is meant is written $$"
        raise UsageError(f"setting {name} = {value!r} has a $ that names nothing", where=where, hint=hint)
    for each in template.get_identifiers():
        if each not in NAMES:
            hint = nearest(each, NAMES) or f"there are {known}"
            raise UsageError(f'setting {name} names "${each}", which there is not', where=where, hint=hint)
    return value
