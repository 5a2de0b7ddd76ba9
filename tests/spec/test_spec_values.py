"""References behave as values that are not there yet, in everything that Python does with values."""

from __future__ import annotations

import copy

import pytest

from infra_orch import Block, Outputs, Reference, block, env, expression
from infra_orch.spec.values import pieces, walk

NET = Outputs("net")


def test_a_reference_goes_through_a_string_and_back() -> None:
    text = f"a {NET.vpc_id} b {NET.ids[0]['x y']} c {env('TOKEN')} d {expression(f'length({NET.ids})')} e {NET}"
    plain = [piece if isinstance(piece, str) else repr(piece) for piece in pieces(text)]
    assert plain == [
        "a ",
        "net.outputs.vpc_id",
        " b ",
        "net.outputs.ids[0]['x y']",
        " c ",
        "env('TOKEN')",
        " d ",
        "expression('length(…)')",
        " e ",
        "net.outputs",
    ]


def test_every_reference_is_found_wherever_it_stands() -> None:
    value = {
        f"{NET.key}": [NET.item, {"a": f"{NET.text}"}, (NET.tuple,)],
        "expression": expression(f"f({NET.argument}, {expression(f'{NET.inner}')})"),
        "step": NET.map[f"{NET.index}"],
        "block": block(inside=NET.block),
    }
    found = {repr(item).removeprefix("net.outputs.") for item in walk(value) if isinstance(item, Reference)}
    assert found == {"key", "item", "text", "tuple", "argument", "inner", f"map[{str(NET.index)!r}]", "index", "block"}


def test_inputs_that_hold_references_can_be_copied_and_kept_in_sets() -> None:
    inputs = {"ids": [NET.ids], "net": NET}
    assert copy.deepcopy(inputs) == inputs
    assert len({NET.ids, NET.ids, NET.other}) == 2


def test_references_are_equal_where_they_mean_the_same() -> None:
    assert NET.ids[0] == Outputs("net")["ids"][0]
    assert NET.ids[0] != NET.ids[1]


@pytest.mark.parametrize("value", [NET, NET.id, expression("1"), env("X")])
def test_nothing_that_has_no_value_yet_is_compared_with_one_that_has(value: object) -> None:
    for other in ("x", None, 1):
        with pytest.raises(TypeError, match="has no value while the spec is evaluated, so it cannot be compared"):
            _ = value == other


def test_a_block_takes_arguments_in_both_ways() -> None:
    assert block({"a-b": 1}, c=2) == Block({"a-b": 1, "c": 2})
