"""Whether a plan does only what the preview showed. Nothing happens at apply that the preview did not show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from infra_orch.run.changes import PlanDocument

_Change: TypeAlias = Mapping[str, Any]
_ALWAYS_FINE = (["no-op"], ["read"])
_MOST_NAMED = 3


def beyond_preview(preview: PlanDocument, plan: PlanDocument) -> list[str]:
    """Return what *plan* would do that *preview* did not show, a line each; nothing where it may go on.

    Beyond are: an action on an address for which the preview had nothing or something else, a move or an import that it
    did not have, and a value of an attribute other than the one that was shown. What was shown as unknown may have
    become anything, and a resource that was to be replaced may be updated: nothing that exists goes for it.
    """
    shown = {_key(change): change for change in _timeless(preview)}
    found = (_beyond(shown.get(_key(change)), change) for change in _timeless(plan))
    return [line for line in found if line]


def outputs_beyond(preview: PlanDocument, plan: PlanDocument) -> list[str]:
    """Return which root outputs *plan* would change that *preview* did not, or to another value, a line each."""
    shown, found = _outputs(preview), []
    for name, change in _outputs(plan).items():
        if change["actions"] == ["no-op"]:
            continue
        before = shown.get(name)
        if before is None or before["actions"] == ["no-op"]:
            found.append(f"output {name} changes, where the preview showed nothing")
        elif list(_differing((), _after(before), _after(change))):
            found.append(f"output {name} would get another value than the preview showed")
    return found


def _outputs(plan: PlanDocument) -> dict[str, Any]:
    time = plan.document.get("timestamp")
    changes = plan.document.get("output_changes") or {}
    return {name: _without(time, one) if isinstance(time, str) and time else one for name, one in changes.items()}


def _timeless(plan: PlanDocument) -> list[_Change]:
    """The changes of a plan, in which it does not matter when it was made, as `plantimestamp()` has it."""
    time = plan.document.get("timestamp")
    changes = plan.raw_changes
    return [_without(time, change) for change in changes] if isinstance(time, str) and time else changes


def _without(time: str, value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(time, "(when it is planned)") if time in value else value
    if isinstance(value, Mapping):
        return {key: _without(time, item) for key, item in value.items()}
    return [_without(time, item) for item in value] if isinstance(value, list) else value


def _key(change: _Change) -> tuple[str, str]:
    return change["address"], change.get("deposed") or ""


def _beyond(shown: _Change | None, now: _Change) -> str:
    address, change = now["address"], now["change"]
    arrives = _arrival(now)
    if change["actions"] in _ALWAYS_FINE and not arrives:
        return ""
    if shown is None:
        return f"{address}: {action_words(change['actions'])}{arrives}, where the preview showed nothing"
    before = shown["change"]
    if change["actions"] not in _ALWAYS_FINE and not _within(change["actions"], before["actions"]):
        return (
            f"{address}: {action_words(change['actions'])}, where the preview showed {action_words(before['actions'])}"
        )
    if arrives and arrives != _arrival(shown):
        return f"{address}:{arrives}, which the preview did not show"
    differing = list(_differing((), _after(before), _after(change)))
    if not differing:
        return ""
    more = f" and {len(differing) - _MOST_NAMED} more" if len(differing) > _MOST_NAMED else ""
    return f"{address}: {', '.join(differing[:_MOST_NAMED])}{more} would get another value than the preview showed"


def _within(actions: Sequence[str], shown: Sequence[str]) -> bool:
    return actions == shown or (actions == ["update"] and set(shown) == {"create", "delete"})


def _arrival(change: _Change) -> str:
    """Where a resource comes from, if it is moved or imported."""
    moved = change.get("previous_address") or change["address"]
    imported = (change["change"].get("importing") or {}).get("id")
    words = f" moved from {moved}" if moved != change["address"] else ""
    return words + (f" imported as {imported}" if imported else "")


@dataclass(frozen=True)
class _Value:
    """A value of a plan, and what in it is unknown: true for all of it, or as deep as it goes."""

    value: Any
    unknown: Any

    @classmethod
    def of(cls, value: Any, unknown: Any) -> _Value:
        """Make one. Where all that there is of it is unknown, nothing stands for the known rest."""
        if value is None and isinstance(unknown, (Mapping, list)) and unknown:
            value = {} if isinstance(unknown, Mapping) else []
        return cls(value, unknown)

    def child(self, key: Any) -> _Value:
        return _Value.of(_part(self.value, key), True if self.unknown is True else _part(self.unknown, key))


def _differing(path: tuple[str, ...], shown: _Value, now: _Value) -> Iterator[str]:
    """Yield the paths of what was shown and is something else now."""
    if shown.unknown is True:
        return
    if isinstance(shown.value, Mapping) and isinstance(now.value, Mapping) and now.unknown is not True:
        for key in sorted({*shown.value, *now.value, *(shown.unknown if isinstance(shown.unknown, Mapping) else ())}):
            yield from _differing((*path, key), shown.child(key), now.child(key))
    elif isinstance(shown.value, list) and isinstance(now.value, list) and now.unknown is not True:
        if _any_true(shown.unknown):
            if _lost(shown, now.value):
                yield ".".join(path)
        elif len(shown.value) != len(now.value):
            yield ".".join(path)
        else:
            for number in range(len(shown.value)):
                yield from _differing((*path, str(number)), shown.child(number), now.child(number))
    elif shown.value != now.value or now.unknown is True:
        # Known in the preview and unknown now: what it will be was shown, and nothing says that it will be that.
        yield ".".join(path)


def _lost(shown: _Value, now: list[Any]) -> bool:
    """Whether a list or set with unknown parts has become one that it could not: too long, or without what was known.

    JSON does not tell a list from a set, whose order changes and whose parts may turn out to be the same one.
    """
    size = max(len(shown.value), len(shown.unknown))
    parts = map(shown.child, range(size))
    return len(now) > size or any(part.value not in now for part in parts if not _any_true(part.unknown))


def _part(value: Any, key: Any) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    return value[key] if isinstance(value, list) and key < len(value) else None


def _any_true(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_any_true(item) for item in value.values())
    if isinstance(value, list):
        return any(_any_true(item) for item in value)
    return value is True


def _after(change: _Change) -> _Value:
    return _Value.of(change.get("after"), change.get("after_unknown"))


def action_words(actions: Sequence[str]) -> str:
    """Return Terraform's actions in words: `replace`, `update`."""
    return "replace" if set(actions) == {"create", "delete"} else " and ".join(actions)
