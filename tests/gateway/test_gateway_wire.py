"""What the gateway reads of messages."""

from __future__ import annotations

import contextlib
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra_orch.gateway.wire import (
    UNKNOWN,
    Schema,
    WireError,
    configuration,
    created_id,
    creation,
    fields,
    framed,
    has_error,
    message,
    strings,
)


def varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def entry(number: int, value: bytes) -> bytes:
    """A field that holds bytes."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def number(field: int, value: int) -> bytes:
    """A field that holds a number."""
    return varint(field << 3) + varint(value)


def named(field: int, name: str, value: bytes = b"") -> bytes:
    """An entry of a map by name."""
    return entry(field, entry(1, name.encode()) + entry(2, value))


def dynamic(value: object) -> bytes:
    return entry(1, msgpack.packb(value))


NUMBERS = st.integers(1, (1 << 29) - 1)
FIELDS = st.one_of(
    st.tuples(NUMBERS, st.binary(max_size=300)).map(lambda pair: (pair[0], pair[1], entry(*pair))),
    st.tuples(NUMBERS, st.integers(0, (1 << 64) - 1)).map(lambda pair: (pair[0], pair[1], number(*pair))),
    st.tuples(NUMBERS, st.binary(min_size=8, max_size=8)).map(lambda p: (p[0], p[1], varint(p[0] << 3 | 1) + p[1])),
    st.tuples(NUMBERS, st.binary(min_size=4, max_size=4)).map(lambda p: (p[0], p[1], varint(p[0] << 3 | 5) + p[1])),
)


@given(st.lists(FIELDS, max_size=8))
def test_every_field_of_a_message_is_found_where_it_lies(written: list[tuple[int, int | bytes, bytes]]) -> None:
    data = b"".join(raw for _, _, raw in written)
    found = list(fields(data))
    assert [(field, value) for field, value, _, _ in found] == [(field, value) for field, value, _ in written]
    assert [data[begin:end] for _, _, begin, end in found] == [raw for _, _, raw in written]


@given(st.lists(FIELDS, min_size=1, max_size=4), st.data())
def test_a_message_that_is_cut_short_is_none(
    written: list[tuple[int, int | bytes, bytes]], data: st.DataObject
) -> None:
    *before, last = (raw for _, _, raw in written)
    kept = data.draw(st.integers(1, len(last) - 1))
    with pytest.raises(WireError):
        list(fields(b"".join(before) + last[:kept]))


@given(st.binary(max_size=200))
def test_of_garbage_nothing_is_told_and_nothing_else_raised(garbage: bytes) -> None:
    for packed in (garbage, entry(1, garbage), entry(1, entry(1, garbage)), entry(2, entry(1, garbage))):
        with contextlib.suppress(WireError):
            list(fields(packed))
        with contextlib.suppress(WireError):
            has_error("ConfigureProvider", packed)
        with contextlib.suppress(WireError):
            Schema(packed).pruned({b"x"})
        assert isinstance(created_id(packed), str | None)
        list(strings(configuration(packed)))
        message(packed)
    made = creation(entry(1, b"rough_bed") + entry(2, dynamic(None)) + entry(3, entry(1, garbage)))
    assert made is None or isinstance(made.planned, dict)


@pytest.mark.parametrize("packed", [b"\x81\x90\x01", b"\xdd\xff\xff\xff\xff", b"\x91" * 3000, b"\xd6\xff\x00"])
def test_values_that_no_library_makes_are_not_told_of(packed: bytes) -> None:
    assert created_id(entry(1, entry(1, packed))) is None


NAMES = st.text("abcdefgh_0123456789", min_size=1, max_size=6)


@given(
    st.lists(st.tuples(st.sampled_from([2, 3, 7, 8]), NAMES, st.binary(max_size=20)), max_size=12),
    st.lists(st.tuples(st.sampled_from([1, 4, 5, 6, 9, 15, 2000]), st.binary(max_size=20)), max_size=6),
    st.sets(NAMES, max_size=8),
    st.randoms(use_true_random=False),
)
def test_pruning_keeps_what_is_named_and_all_that_it_does_not_know(
    types: list[tuple[int, str, bytes]], others: list[tuple[int, bytes]], more: set[str], chance: Any
) -> None:
    keep = {name for _, name, _ in types[::2]} | more
    raw = [(named(*one), one[1] in keep) for one in types] + [(entry(*one), True) for one in others]
    chance.shuffle(raw)
    pruned = Schema(b"".join(one for one, _ in raw)).pruned({name.encode() for name in keep})
    found = sorted(pruned[begin:end] for _, _, begin, end in fields(pruned))
    assert found == sorted(one for one, is_kept in raw if is_kept)


ERROR, WARNING = number(1, 1) + entry(2, b"It fails"), number(1, 2) + entry(2, b"It may fail")


@pytest.mark.parametrize(
    ("call", "field"),
    [
        ("ConfigureProvider", 1),
        ("Configure", 1),
        ("GetProviderSchema", 4),
        ("GetSchema", 4),
        ("PrepareProviderConfig", 2),
    ],
)
def test_an_error_is_told_from_a_warning_and_from_other_fields(call: str, field: int) -> None:
    assert has_error(call, entry(field, WARNING) + entry(field, ERROR))
    assert not has_error(call, entry(field, WARNING) + entry(field + 1, ERROR) + number(field, 1))


UNKNOWN_VALUE = msgpack.ExtType(0, b"\0")
REFINED = msgpack.ExtType(12, msgpack.packb({1: False}))


def test_a_creation_is_told_with_what_is_known_of_it() -> None:
    planned = {"name": "oak", "id": UNKNOWN_VALUE, "arn": REFINED, "tags": {"a": ["b", UNKNOWN_VALUE]}, "size": 3}
    made = creation(entry(1, b"rough_bed") + entry(2, dynamic(None)) + entry(3, dynamic(planned)))
    assert made is not None
    assert made.type == "rough_bed"
    assert made.planned == {"name": "oak", "id": UNKNOWN, "arn": UNKNOWN, "tags": {"a": ["b", UNKNOWN]}, "size": 3}


@pytest.mark.parametrize(("prior", "planned"), [({"id": "1"}, {"id": "1"}), ({"id": "1"}, None), (None, None)])
def test_an_update_and_a_destruction_are_no_creations(prior: object, planned: object) -> None:
    assert creation(entry(1, b"rough_bed") + entry(2, dynamic(prior)) + entry(3, dynamic(planned))) is None


@pytest.mark.parametrize(
    ("state", "found"),
    [({"id": "bed-1"}, "bed-1"), ({"id": UNKNOWN_VALUE}, None), ({"id": ""}, None), ({}, None), (None, None)],
)
def test_the_id_of_what_was_created_is_found_where_it_has_one(state: object, found: str | None) -> None:
    assert created_id(entry(2, b"private") + entry(1, dynamic(state))) == found


def test_all_strings_of_a_configuration_are_found_at_any_depth() -> None:
    values = {"path": "/a", "list": ["b", {"c": "d"}], "unknown": UNKNOWN_VALUE, "number": 1}
    request = entry(1, b"1.11.4") + entry(2, dynamic(values))
    assert sorted(strings(configuration(request))) == ["/a", "b", "d"]


@given(st.binary(max_size=100))
def test_a_body_holds_exactly_one_message(data: bytes) -> None:
    assert message(framed(data)) == data
    assert message(framed(data) + b"\0") is None
    assert message(b"\1" + framed(data)[1:]) is None
