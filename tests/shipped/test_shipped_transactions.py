"""The messages of stacks/batch and their sums, with what goes wrong in real life: nobody is asked for anything."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from stack_code import code

batch = code("batch", "transactions")
SALE = {"kind": "transaction", "day": "2026-11-28", "id": "shop-7-000123", "currency": "EUR", "amount": "12.34"}
TOTALS = {"kind": "totals", "day": "2026-11-28", "totals": {"EUR": {"count": 2, "amount": "0.30"}}}


def totals(*sales: tuple[str, str]) -> Any:
    return batch.Totals.of(
        batch.Transaction("2026-11-28", str(number), currency, Decimal(amount))
        for number, (currency, amount) in enumerate(sales)
    )


def test_a_transaction_is_read_with_its_amount_as_a_decimal() -> None:
    read = batch.read_message(json.dumps(SALE))
    assert read == batch.Transaction("2026-11-28", "shop-7-000123", "EUR", Decimal("12.34"))


def test_sums_are_those_of_decimals_and_not_of_binary_fractions() -> None:
    assert totals(("EUR", "0.1"), ("EUR", "0.2")).amounts["EUR"] == Decimal("0.3")
    assert (
        batch.differences(batch.read_message(json.dumps(TOTALS)).totals, totals(("EUR", "0.1"), ("EUR", "0.2"))) == []
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"amount": 12.34}, 'an amount is text like "12.34"'),
        ({"amount": "12,34"}, "an amount is text"),
        ({"amount": "NaN"}, "an amount is text"),
        ({"amount": "1e3"}, "an amount is text"),
        ({"amount": "0.0001"}, "an amount is text"),
        ({"amount": "012.34"}, "an amount is text"),
        ({"amount": "1234567890123456"}, "an amount is text"),
        ({"amount": None}, "an amount is text"),
        ({"currency": "eur"}, "a currency is like EUR"),
        ({"currency": "EURO"}, "a currency is like EUR"),
        ({"day": "2026-02-30"}, "a day is like 2026-11-28"),
        ({"day": "20261128"}, "a day is like 2026-11-28"),
        ({"day": "2026-W48-6"}, "a day is like 2026-11-28"),
        ({"day": 20261128}, "a day is like 2026-11-28"),
        ({"id": "#totals"}, "an id is 1 to 100 letters"),
        ({"id": ""}, "an id is 1 to 100 letters"),
        ({"id": "x" * 101}, "an id is 1 to 100 letters"),
        ({"kind": "sale"}, "the kind is transaction, totals or close"),
        ({"kind": ["transaction"]}, "the kind is transaction, totals or close"),
        ({"discount": "1.00"}, "a message of the kind transaction has day, id, currency, amount"),
    ],
)
def test_a_wrong_transaction_is_refused_and_says_in_what(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(batch.MalformedError, match=said):
        batch.read_message(json.dumps({**SALE, **changes}))


@pytest.mark.parametrize("missing", ["day", "id", "currency", "amount"])
def test_a_transaction_that_is_not_whole_is_refused(missing: str) -> None:
    with pytest.raises(batch.MalformedError, match="has day, id, currency, amount, not"):
        batch.read_message(json.dumps({name: value for name, value in SALE.items() if name != missing}))


@pytest.mark.parametrize("text", ["", "hello?", "[]", '"transaction"', "null", "{", "[" * 100_000])
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(batch.MalformedError, match="a message is"):
        batch.read_message(text)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"EUR": 2},
        {"EUR": {"count": 2}},
        {"EUR": {"count": 2, "amount": "1", "more": 1}},
        {"EUR": {"count": 0, "amount": "0"}},
        {"EUR": {"count": True, "amount": "0"}},
        {"EUR": {"count": "2", "amount": "0"}},
        {"EUR": {"count": 2, "amount": 0.3}},
        {"Euro": {"count": 2, "amount": "0.3"}},
    ],
)
def test_wrong_totals_are_refused(wrong: Any) -> None:
    with pytest.raises(batch.MalformedError):
        batch.read_message(json.dumps({**TOTALS, "totals": wrong}))


def test_what_may_be_recorded_of_a_wrong_message_holds_nothing_of_it() -> None:
    with pytest.raises(batch.MalformedError) as caught:
        batch.read_message(json.dumps({**SALE, "id": "ada@example.com"}))
    assert "ada@example.com" in str(caught.value)
    assert "ada@example.com" not in caught.value.what


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-11-29T00:30:00Z", "2026-11-28"),
        ("2026-06-30T23:30:00Z", "2026-06-30"),  # half an hour after midnight in Dublin's summer
        ("2026-03-01T00:30:00+00:00", "2026-02-28"),
    ],
)
def test_a_day_is_closed_by_the_clock_of_the_time_zone(at: str, day: str) -> None:
    assert batch.read_message(batch.closing_message(at, "Europe/Dublin")) == batch.Close(day)


@pytest.mark.parametrize(("at", "zone"), [("soon", "UTC"), ("2026-11-29T00:30:00Z", "Europe/Atlantis"), ("", "../etc")])
def test_a_close_without_a_time_is_refused(at: str, zone: str) -> None:
    with pytest.raises(batch.MalformedError, match="a day is closed at a time like"):
        batch.read_message(batch.closing_message(at, zone))


@pytest.mark.parametrize(
    ("sent", "there", "said"),
    [
        (
            [("EUR", "1.50"), ("EUR", "2")],
            [("EUR", "1.5")],
            ["EUR: 2 of 3.5 in all were sent, 1 of 1.5 in all are there"],
        ),
        ([("EUR", "1")], [("EUR", "2")], ["EUR: 1 of 1 in all were sent, 1 of 2 in all are there"]),
        # The sum is right, and yet one is missing: a sale and its refund.
        ([("EUR", "5"), ("EUR", "-5")], [], ["EUR: 2 of 0 in all were sent, none are there"]),
        (
            [("EUR", "1"), ("USD", "1")],
            [("EUR", "1"), ("GBP", "1")],
            ["GBP: none were sent, 1 of 1 in all are there", "USD: 1 of 1 in all were sent, none are there"],
        ),
        ([("EUR", "100")], [("EUR", "100.00")], []),
        ([], [], []),
    ],
)
def test_what_does_not_agree_is_said_for_each_currency(
    sent: list[tuple[str, str]], there: list[tuple[str, str]], said: list[str]
) -> None:
    assert batch.differences(totals(*sent), totals(*there)) == said
