"""Read what a run's record or document says of its nodes back as outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra_orch.run.outcome import AttributeChange, Basis, Counts, Failure, Outcome, ResourceChange, Status


def read_outcomes(run: Mapping[str, Any]) -> dict[str, Outcome]:
    """Return the outcomes of units and tasks by name, given a run's document, or its record, which says less.

    Raises ValueError, KeyError or TypeError for what is neither.
    """
    units = {name: _unit(name, value) for name, value in run["units"].items()}
    return units | {name: _task(name, value) for name, value in run["tasks"].items()}


def _unit(name: str, value: Mapping[str, Any]) -> Outcome:
    return Outcome(
        name=name,
        status=Status(value["status"]),
        counts=_counts(value["changes"]),
        resources=tuple(map(_resource, value["resources"])),
        outputs_changed=_texts(value, "outputs_changed"),
        basis=Basis(value.get("basis", Basis.EXACT)),
        unknown_inputs=_texts(value, "unknown_inputs"),
        failure=_failure(value["error"]),
        warnings=_texts(value, "warnings"),
        denials=_texts(value, "denials"),
        means=str(value.get("means", "")),
        duration=float(value["duration_s"]),
        destroys_unit=bool(value.get("destroys")),
        unfinished=_texts(value, "unfinished"),
    )


def _task(name: str, value: Mapping[str, Any]) -> Outcome:
    return Outcome(
        name=name,
        status=Status(value["status"]),
        failure=_failure(value["error"]),
        duration=float(value["duration_s"]),
        is_task=True,
        result=value.get("result"),
    )


def _counts(value: Mapping[str, Any]) -> Counts:
    return Counts(*(int(value.get(name, 0)) for name in Counts().as_json()))


def _resource(value: Mapping[str, Any]) -> ResourceChange:
    return ResourceChange(
        address=value["address"],
        type=value["type"],
        actions=tuple(value["actions"]),
        attributes=tuple(map(_attribute, value.get("attributes") or ())),
        moved_from=_text(value.get("moved_from")),
        imported_id=_text(value.get("imported_id")),
        deposed=_text(value.get("deposed")),
    )


def _attribute(value: Mapping[str, Any]) -> AttributeChange:
    return AttributeChange(
        path=str(value["path"]),
        before=str(value["before"]),
        after=str(value["after"]),
        forces_replacement=bool(value.get("forces_replacement")),
    )


def _failure(value: Mapping[str, Any] | None) -> Failure | None:
    if value is None:
        return None
    names = ("summary", "detail", "hint", "log", "kind")
    return Failure(**{name: str(value.get(name, "")) for name in names})


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _texts(value: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(map(str, value.get(key) or ()))
