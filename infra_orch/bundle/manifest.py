"""What a bundle says of itself: whose plan it is, what it rests on, and what each unit's part of it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from infra_orch.errors import RefusedError
from infra_orch.module.files import LOCK_FILE
from infra_orch.project import NAME
from infra_orch.run.outcome import Failure, Status
from infra_orch.run.state import StateVersion
from infra_orch.run.unit import PLAN_FILE, PLAN_JSON

SCHEMA = 1
SCHEMA_ID = "urn:infra-orch:schema:plan-bundle:1"
NEEDED = {
    Status.PLANNED: frozenset({PLAN_FILE, PLAN_JSON}),
    Status.UNCHANGED: frozenset({PLAN_JSON}),
    Status.DEFERRED: frozenset[str](),
}
"""What a bundle holds of a unit of each status: Terraform's plan and its JSON form. Beside them may be the dependency
lock file that the plan was made with: Terraform applies a plan with that one only, hash by hash (tried with 1.11).
"""

_SHA256 = re.compile(r"[0-9a-f]{64}")

Kind = Literal["apply", "destroy"]


@dataclass(frozen=True)
class Member:
    """A file in a bundle: its size in bytes, and its SHA-256 in hexadecimal digits."""

    size: int
    sha256: str


@dataclass(frozen=True)
class BundledUnit:
    """A unit's part of a bundle. What it changes is in its plan, and nowhere else.

    *state_moves*: its state lay under the unit's former name. *members*: its files, by name.
    """

    name: str
    status: Status
    destroy: bool
    state: StateVersion
    state_moves: bool
    warnings: tuple[str, ...]
    failure: Failure | None
    members: Mapping[str, Member]


@dataclass(frozen=True)
class Origin:
    """Where a bundle comes from. *at* is when its run began, ISO 8601 in UTC; *commit* what was checked out then."""

    run: str
    at: str
    by: str
    commit: str | None
    dirty: bool
    engine: str
    engine_version: str
    infra_orch: str


@dataclass(frozen=True)
class Selectors:
    """What of the stack was asked for: units and tags; nothing means all of it."""

    units: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    with_upstream: bool = False
    with_downstream: bool = False


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself.

    *stack* is the stack's folder below `stacks/`. *files*: SHA-256 by path below the project, of every file that the
    plan rests on. *variables* and *outside*: the `env()` values and the outputs of units that are not part of the run,
    as digests keyed with *salt*, by name.
    """

    stack: str
    kind: Kind
    sandbox: bool
    origin: Origin
    selectors: Selectors
    salt: str
    files: Mapping[str, str]
    variables: Mapping[str, str]
    outside: Mapping[str, str]
    units: Mapping[str, BundledUnit]


def member_name(unit: str, name: str) -> str:
    """The name of a unit's file within the archive."""
    return f"units/{unit}/{name}"


def to_json(manifest: Manifest) -> str:
    """Return the text of manifest.json."""
    document = {"$schema": SCHEMA_ID, "schema": SCHEMA, **asdict(manifest)}
    document["units"] = {
        name: {key: value for key, value in asdict(unit).items() if key != "name"}
        for name, unit in manifest.units.items()
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def from_json(text: bytes, shown_as: str) -> Manifest:
    """Read manifest.json of the bundle *shown_as*.

    Raises RefusedError where it is not what to_json writes, whatever it is instead, or of a newer schema.
    """
    try:
        document = json.loads(text)
        schema = document["schema"]
        if isinstance(schema, int) and schema > SCHEMA:
            raise RefusedError(f"{shown_as} was written by a newer infra-orch (schema {schema})", hint="upgrade it")
        return _manifest(document)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RefusedError(f"{shown_as} is damaged: its manifest is not one of infra-orch ({error!r})") from error


def _manifest(document: Mapping[str, Any]) -> Manifest:
    kind = document["kind"]
    if document["schema"] != SCHEMA:
        raise ValueError(f"schema {document['schema']!r}")
    if kind not in ("apply", "destroy"):
        raise ValueError(f"kind {kind!r}")
    return Manifest(
        stack=_text(document["stack"]),
        kind=cast("Kind", kind),
        sandbox=_flag(document["sandbox"]),
        origin=_origin(document["origin"]),
        selectors=_selectors(document["selectors"]),
        salt=_text(document["salt"]),
        files=_digests(document["files"]),
        variables=_digests(document["variables"]),
        outside=_digests(document["outside"]),
        units={_name(name): _unit(name, value) for name, value in document["units"].items()},
    )


def _origin(value: Mapping[str, Any]) -> Origin:
    return Origin(
        run=_text(value["run"]),
        at=_text(value["at"]),
        by=_text(value["by"]),
        commit=None if value["commit"] is None else _text(value["commit"]),
        dirty=_flag(value["dirty"]),
        engine=_text(value["engine"]),
        engine_version=_text(value["engine_version"]),
        infra_orch=_text(value["infra_orch"]),
    )


def _selectors(value: Mapping[str, Any]) -> Selectors:
    return Selectors(
        units=tuple(map(_text, value["units"])),
        tags=tuple(map(_text, value["tags"])),
        with_upstream=_flag(value["with_upstream"]),
        with_downstream=_flag(value["with_downstream"]),
    )


def _unit(name: str, value: Mapping[str, Any]) -> BundledUnit:
    status = Status(value["status"])
    members = {_text(key): _member(item) for key, item in value["members"].items()}
    if not NEEDED[status] <= set(members) <= {*NEEDED[status], LOCK_FILE}:
        raise ValueError(f"unit {name}: {status} with {', '.join(sorted(members)) or 'no files'}")
    failure = value["failure"]
    return BundledUnit(
        name=name,
        status=status,
        destroy=_flag(value["destroy"]),
        state=StateVersion(_text(value["state"]["lineage"]), _number(value["state"]["serial"])),
        state_moves=_flag(value["state_moves"]),
        warnings=tuple(map(_text, value["warnings"])),
        failure=None if failure is None else Failure(**{key: _text(item) for key, item in failure.items()}),
        members=members,
    )


def _member(value: Mapping[str, Any]) -> Member:
    return Member(_number(value["size"]), _digest(value["sha256"]))


def _digests(value: Mapping[str, Any]) -> dict[str, str]:
    return {_text(name): _digest(item) for name, item in value.items()}


def _digest(value: object) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError(f"{value!r} is not a SHA-256")
    return value


def _name(value: object) -> str:
    """A unit's name goes into paths: one from a file that somebody may have tampered with is checked again."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a name")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} is not a whole number")
    return value
