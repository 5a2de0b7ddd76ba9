"""A state, as `terraform state pull` prints it: the state file's own format, version 4."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from infra_orch.shape import Optional, misfit

_INSTANCE = {"attributes": Optional(dict), "deposed": Optional(str)}
_RESOURCE = {"mode": str, "type": str, "name": str, "module": Optional(str), "instances": [_INSTANCE]}
_FORMAT = 4
"""The version of the format: of Terraform since 0.12, and of OpenTofu."""
_STATE = {
    "serial": int,
    "lineage": str,
    "outputs": Optional({str: {"value": object}}),
    "resources": Optional([_RESOURCE]),
}


@dataclass(frozen=True)
class StateVersion:
    """Which state it is: Terraform's lineage ("": there is none) and serial."""

    lineage: str = ""
    serial: int = 0

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> StateVersion:
        """The version of a state as read_state() has it. Raises KeyError, TypeError or ValueError where it has none."""
        return cls(str(state["lineage"]), int(state["serial"])) if state else cls()

    def __str__(self) -> str:
        return f"serial {self.serial} of {self.lineage[:8]}" if self.lineage else "no state"


def read_state(text: bytes) -> dict[str, Any]:
    """Parse a state, fractions as decimals; empty where there is none. Raises ValueError where it is not one."""
    if not text.strip():
        return {}
    try:
        state = json.loads(text, parse_float=Decimal)
    except RecursionError as error:
        raise ValueError("not a state: it is too deep") from error
    if wrong := misfit(state, _STATE):
        raise ValueError(f"not a state: {wrong}")
    return dict(state)


def is_plain(state: Mapping[str, Any]) -> bool:
    """Whether *state* is in the format that is known here, and by itself: an encrypted one is not."""
    return not state or (state.get("version") == _FORMAT and bool(state["lineage"]))


def instances(state: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The address and attributes of every managed resource instance of a state, as `terraform state pull` prints it.

    Objects that are deposed are left out: they are on their way out.
    """
    for resource in state.get("resources") or ():
        if resource.get("mode") != "managed":
            continue
        module = f"{resource['module']}." if resource.get("module") else ""
        for instance in resource.get("instances") or ():
            if instance.get("deposed"):
                continue
            key = instance.get("index_key")
            index = "" if key is None else f"[{json.dumps(key, ensure_ascii=False)}]"
            yield f"{module}{resource['type']}.{resource['name']}{index}", instance.get("attributes") or {}
