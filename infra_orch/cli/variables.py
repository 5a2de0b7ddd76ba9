"""Variables that are named like ours and that nothing reads: what somebody set, and does not hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from infra_orch.settings import PREFIX, Settings

_OTHERS = frozenset({"BUNDLE_KEY", "TRACEBACK"})
"""What is neither a setting nor an option."""
_OF_PIPELINES = frozenset({"PACKAGE", "PLAN_ROLE", "APPLY_ROLE", "PUSH_TOKEN", "PAGES"})
"""What our pipelines read, and hand to their jobs."""
_WITHOUT = {"NOTIFY"}
"""Settings that have no variable."""
_REFUSED = f"{PREFIX}ALLOW"
"""What begins so and is no setting is refused where the settings are read."""


def unread(environment: Mapping[str, str], command: Any) -> Iterator[str]:
    """Yield a sentence for each variable that is named like ours, and is none: of no setting, of none of *command*'s
    options, and no other one. An empty one counts as not set.
    """
    known = _OTHERS | _OF_PIPELINES | {field.name.upper() for field in fields(Settings)} - _WITHOUT
    ours = (name for name, value in environment.items() if value and name.startswith(PREFIX))
    set_here = (name.removeprefix(PREFIX) for name in sorted(ours) if not name.startswith(_REFUSED))
    if unknown := [name for name in set_here if name not in known]:
        known |= {name.removeprefix(PREFIX) for name in _of_options(command)}
        for name in unknown:
            if name not in known:
                # Compared without what all of them begin with, which would make any two alike.
                like = get_close_matches(name, sorted(known), n=1)
                yield f"{PREFIX}{name} is read by nothing" + "".join(f'; did you mean "{PREFIX}{one}"?' for one in like)


def _of_options(command: Any) -> Iterator[str]:
    """The variables of the options of a command, and of those below it."""
    for parameter in command.params:
        names = parameter.envvar or ()
        yield from (names,) if isinstance(names, str) else names
    for below in getattr(command, "commands", {}).values():
        yield from _of_options(below)
