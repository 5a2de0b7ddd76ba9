"""Whose credentials a unit works with, as stack.json has it: names, and never a secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra_orch.spec.credentials import (
    CommandIdentity,
    Identities,
    Identity,
    ProfileIdentity,
    RoleIdentity,
    WebIdentity,
)
from infra_orch.spec.identities import identity_problems


def identities_json(identities: Identities) -> dict[str, Any]:
    """Return *identities* as JSON has them."""
    return {"plan": _json(identities.plan), "apply": _json(identities.apply)}


def read_identities(value: Mapping[str, Any] | None) -> Identities | None:
    """Read what identities_json() returned; None is None. Raises ValueError, KeyError or TypeError for anything else.

    What was read is checked again: somebody may have tampered with it.
    """
    return None if value is None else Identities(_checked(value["plan"]), _checked(value["apply"]))


def _json(identity: Identity | None) -> dict[str, Any] | None:
    if identity is None:
        return None
    if isinstance(identity, ProfileIdentity):
        return {"profile": identity.name}
    if isinstance(identity, CommandIdentity):
        return {"command": list(identity.argv)}
    found: dict[str, Any] = {"session_name": identity.session_name, "duration": identity.duration}
    if isinstance(identity, WebIdentity):
        found |= {"web_identity": identity.arn, "token_file": identity.token_file}
    else:
        found |= {"role": identity.arn, "external_id": identity.external_id}
        found |= {"source_identity": identity.source_identity, "source": _json(identity.source)}
    return {key: item for key, item in found.items() if item is not None}


def _checked(value: Mapping[str, Any] | None) -> Identity | None:
    identity = _read(value)
    for message, _ in identity_problems(identity):
        raise ValueError(message)
    return identity


def _read(value: Mapping[str, Any] | None) -> Identity | None:
    if value is None:
        return None
    if "profile" in value:
        return ProfileIdentity(_text(value, "profile"))
    if "command" in value:
        if not isinstance(value["command"], list) or not all(isinstance(part, str) for part in value["command"]):
            raise ValueError(f"command: {value['command']!r}")
        return CommandIdentity(tuple(value["command"]))
    if "web_identity" in value:
        return WebIdentity(
            arn=_text(value, "web_identity"),
            token_file=_optional(value, "token_file"),
            session_name=_optional(value, "session_name"),
            duration=_seconds(value),
        )
    return RoleIdentity(
        arn=_text(value, "role"),
        session_name=_optional(value, "session_name"),
        external_id=_optional(value, "external_id"),
        duration=_seconds(value),
        source_identity=_optional(value, "source_identity"),
        source=_read(value.get("source")),
    )


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value[key]
    if not isinstance(text, str):
        raise TypeError(f"{key}: {text!r}")
    return text


def _optional(value: Mapping[str, Any], key: str) -> str | None:
    return None if value.get(key) is None else _text(value, key)


def _seconds(value: Mapping[str, Any]) -> int | None:
    seconds = value.get("duration")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int)):
        raise ValueError(f"duration: {seconds!r}")
    return seconds
