"""What the gateway reads of messages between Terraform and providers; everything else passes through it unread.

The messages are protobuf (protobuf.dev/programming-guides/encoding); the numbers of their fields are those of
tfplugin5.proto and tfplugin6.proto (github.com/hashicorp/terraform, docs/plugin-protocol), which never change. Values
of resources are msgpack in them (docs/plugin-protocol/object-wire-format.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import msgpack

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZE = {_FIXED64: 8, _FIXED32: 4}
_HEAD = 5
"""gRPC's prefix of a message: one byte that says whether it is compressed, four for its length."""

_PRUNED = frozenset({2, 3, 7, 8})
"""Fields of GetProviderSchema's answer that are maps by name: resources, data sources, functions, ephemeral ones."""

_DIAGNOSTICS = {
    "PrepareProviderConfig": 2,
    "ValidateProviderConfig": 1,
    "Configure": 1,
    "ConfigureProvider": 1,
    "GetSchema": 4,
    "GetProviderSchema": 4,
}
"""By call, the field of its answer that holds diagnostics."""

_UNREADABLE = (ValueError, TypeError, RecursionError, msgpack.UnpackException)
"""What is raised of bytes that are no value; TypeError where the key of a map is no string."""

UNKNOWN = object()
"""Stands for a value that is not known yet."""


class WireError(ValueError):
    """Bytes that are no message."""


def message(frames: bytes) -> bytes | None:
    """The message in the body of a unary call; None where it is compressed, or not exactly one."""
    if len(frames) < _HEAD or frames[0] or int.from_bytes(frames[1:_HEAD], "big") != len(frames) - _HEAD:
        return None
    return frames[_HEAD:]


def framed(data: bytes) -> bytes:
    """The body of a unary call whose message is *data*."""
    return b"\0" + len(data).to_bytes(4, "big") + data


def fields(data: bytes) -> Iterator[tuple[int, int | bytes, int, int]]:
    """Yield every field of a message: number, value (an int, or bytes), and where it begins and ends in *data*.

    Raises WireError where *data* is no message.
    """
    at, size = 0, len(data)
    while at < size:
        begin = at
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        value: int | bytes
        if kind == _VARINT:
            value, at = _varint(data, at)
        elif kind == _LENGTH:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        elif kind in _FIXED_SIZE:
            value, at = data[at : at + _FIXED_SIZE[kind]], at + _FIXED_SIZE[kind]
        else:
            raise WireError(f"field {number} has the unknown type {kind}")
        if at > size:
            raise WireError(f"field {number} is cut short")
        yield number, value, begin, at


class Schema:
    """An answer of GetProviderSchema, taken apart once so that it can be pruned often.

    Raises WireError where *answer* is no such message.
    """

    def __init__(self, answer: bytes) -> None:
        self._rest = bytearray()
        self._entries: dict[bytes, bytearray] = {}
        for number, value, begin, end in fields(answer):
            if number in _PRUNED and isinstance(value, bytes):
                self._entries.setdefault(_name_of_entry(value), bytearray()).extend(answer[begin:end])
            else:
                self._rest += answer[begin:end]

    def pruned(self, keep: AbstractSet[bytes]) -> bytes:
        """The answer without the types and functions that *keep* does not name."""
        return bytes(self._rest) + b"".join(self._entries[name] for name in sorted(keep & self._entries.keys()))


def has_error(call: str, answer: bytes) -> bool:
    """Whether the answer to *call* holds a diagnostic that is an error. Raises WireError where it is no message."""
    number = _DIAGNOSTICS[call]
    return any(
        found == number and isinstance(value, bytes) and any(n == 1 and v == 1 for n, v, _, _ in fields(value))
        for found, value, _, _ in fields(answer)
    )


@dataclass(frozen=True)
class Creation:
    """A request to create a resource: its type, and what is planned of it; UNKNOWN stands for what is not known."""

    type: str
    planned: Mapping[str, Any]


def creation(request: bytes) -> Creation | None:
    """What an ApplyResourceChange is to create; None where the resource exists already, or nothing can be told."""
    try:
        found = {number: value for number, value, _, _ in fields(request)}
        kind, prior, planned = (_bytes(found.get(number)) for number in (1, 2, 3))
        after = _dynamic(planned)
        if _dynamic(prior) is not None or not isinstance(after, dict):
            return None
        return Creation(kind.decode(), after)
    except _UNREADABLE:
        return None


def created_id(answer: bytes) -> str | None:
    """The id of the resource in the answer of ApplyResourceChange; None where it has none, or nothing can be told."""
    try:
        state = next((value for number, value, _, _ in fields(answer) if number == 1), b"")
        after = _dynamic(_bytes(state))
    except _UNREADABLE:
        return None
    found = after.get("id") if isinstance(after, dict) else None
    return found if isinstance(found, str) and found else None


def strings(value: Any) -> Iterator[str]:
    """Every string in a value of a resource or provider, at whatever depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def configuration(request: bytes) -> Any:
    """The provider's configuration in a Configure request; None where it cannot be told."""
    try:
        return _dynamic(next((_bytes(value) for number, value, _, _ in fields(request) if number == 2), b""))
    except _UNREADABLE:
        return None


def _dynamic(data: bytes) -> Any:
    """A DynamicValue: its field 1 is msgpack. Nothing where it holds no value."""
    packed = next((value for number, value, _, _ in fields(data) if number == 1), b"")
    if not isinstance(packed, bytes) or not packed:
        return None
    return msgpack.unpackb(packed, ext_hook=lambda _kind, _data: UNKNOWN, strict_map_key=False, raw=False)


def _name_of_entry(entry: bytes) -> bytes:
    """The key of an entry of a map whose keys are strings."""
    return next((value for number, value, _, _ in fields(entry) if number == 1 and isinstance(value, bytes)), b"")


def _bytes(value: int | bytes | None) -> bytes:
    if value is None:
        return b""
    if not isinstance(value, bytes):
        raise WireError("a number stands where a message should")
    return value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise WireError("a number is cut short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
