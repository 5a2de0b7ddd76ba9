"""What becomes of raw orders in stacks/analytics."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stack_code import code

curate = code("analytics", "curate")
HEAD = "order_id,customer,amount,currency,placed_at\n"
GOOD = {
    "order_id": "7",
    "customer": "ada",
    "amount": "19.90",
    "currency": "eur",
    "placed_at": "2026-11-28T00:30:00+02:00",
}


def lines(found: tuple[str, ...]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found]


def one_row(**changes: Any) -> Any:
    """What becomes of a single row."""
    return curate.curated("x.jsonl", json.dumps({**GOOD, **changes}))


def test_an_order_is_the_same_from_csv_and_from_json() -> None:
    row = ",".join(GOOD.values())
    from_csv, from_json = curate.curated("x.csv", f"{HEAD}{row}\n"), one_row()
    assert from_csv.orders == from_json.orders
    assert lines(from_json.orders) == [
        {
            "order_id": "7",
            "customer": "ada",
            "amount_cents": 1990,
            "currency": "EUR",
            "placed_at": "2026-11-27 22:30:00",
        }
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"order_id": None}, "without order_id"),
        ({"customer": " ", "currency": ""}, "without customer, currency"),
        ({"customer": {"name": "ada"}}, "customer is neither text nor a number"),
        ({"customer": "\ud800"}, "customer is no text"),
        ({"amount": True}, "amount is neither text nor a number"),
        ({"amount": "twelve"}, "amount 'twelve'"),
        ({"amount": "NaN"}, "amount 'NaN'"),
        ({"amount": "1e30"}, "amount '1e30'"),
        ({"amount": "0.001"}, "amount '0.001'"),
        ({"currency": "Euro"}, "currency 'Euro'"),
        ({"placed_at": "yesterday"}, "placed_at 'yesterday'"),
        ({"placed_at": "2026-11-28T00:30:00"}, "placed_at '2026-11-28T00:30:00' without an offset from UTC"),
        ({"placed_at": "0001-01-01T00:00:00+01:00"}, "placed_at '0001-01-01T00:00:00+01:00'"),
    ],
)
def test_a_row_that_cannot_be_taken_over_is_kept_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    found = one_row(**changes)
    (rejected,) = lines(found.rejected)
    assert (found.orders, found.rows, rejected["line"], rejected["reason"]) == ((), 1, 1, reason)
    assert json.loads(rejected["raw"]) == {**GOOD, **changes}


def test_amounts_are_exact() -> None:
    assert lines(curate.curated("x.jsonl", json.dumps(GOOD).replace('"19.90"', "1.1")).orders)[0]["amount_cents"] == 110
    assert lines(one_row(amount="-5").orders)[0]["amount_cents"] == -500


def test_an_order_that_comes_twice_is_taken_once() -> None:
    row = ",".join(GOOD.values())
    found = curate.curated("x.csv", f"{HEAD}{row}\n{row}\n")
    assert (len(found.orders), lines(found.rejected)[0]["line"]) == (1, 3)


def test_a_field_over_two_lines_moves_no_other_row() -> None:
    quoted = '8,"Ada\nLovelace",1,EUR,2026-11-28T00:00:00Z'
    found = curate.curated("x.csv", f"{HEAD}{quoted}\n9,x\n")
    assert lines(found.orders)[0]["customer"] == "Ada\nLovelace"
    assert lines(found.rejected) == [{"line": 4, "raw": "9,x", "reason": "2 values where the first line has 5 names"}]


def test_only_ends_of_lines_end_lines() -> None:
    row = "8,Ada\u2028Lovelace,1,EUR,2026-11-28T00:00:00Z"
    found = curate.curated("x.csv", f"{HEAD}{row}\n".replace("\n", "\r\n"))
    assert [one["customer"] for one in lines(found.orders)] == ["Ada\u2028Lovelace"]


def test_a_quote_that_is_never_closed_loses_nothing() -> None:
    rest = '8,"Ada,1,EUR,x\n9,y\n'
    (rejected,) = lines(curate.curated("x.csv", f"{HEAD}{rest}").rejected)
    assert (rejected["line"], rejected["raw"]) == (2, rest.rstrip())


@pytest.mark.parametrize("text", ["", HEAD, "\n\n"])
def test_a_file_without_rows_has_none(text: str) -> None:
    assert curate.curated("x.csv", text) == curate.Curated((), (), 0)


@pytest.mark.parametrize("line", ["not json", "[1]", '"text"', "1e999999999", '{"order_id": "\\ud800"}', "[" * 100_000])
def test_a_line_that_is_no_object_is_rejected_and_the_next_one_taken(line: str) -> None:
    found = curate.curated("x.jsonl", f"{line}\n\n{json.dumps(GOOD)}\n")
    assert (len(found.orders), [one["line"] for one in lines(found.rejected)], found.rows) == (1, [1], 2)


@given(st.text(), st.sampled_from(["x.csv", "x.jsonl"]))
def test_no_row_is_ever_lost(text: str, key: str) -> None:
    found = curate.curated(key, HEAD + text if key.endswith(".csv") else text)
    assert len(found.orders) + len(found.rejected) == found.rows
    # One line each, whatever is in it: else the table would have other rows than were counted.
    "".join(f"{line}\n" for line in (*found.orders, *found.rejected)).encode()
    assert not any("\n" in line for line in (*found.orders, *found.rejected))


def test_empty_lines_are_no_rows() -> None:
    row = ",".join(GOOD.values())
    assert curate.curated("x.csv", f"\n{HEAD}\n{row}\n\n").orders == one_row().orders


def test_the_same_text_comes_to_the_same_bytes() -> None:
    assert one_row() == one_row()


def test_what_has_another_ending_is_not_guessed_at() -> None:
    assert not curate.readable("x.parquet")
    with pytest.raises(ValueError, match=r"x\.parquet"):
        curate.curated("x.parquet", "")
