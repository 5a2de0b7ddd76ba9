"""The messages of the stack `batch`, and their sums: nothing here talks to anybody.

    {"kind": "transaction", "day": "2026-11-28", "id": "shop-7-000123", "currency": "EUR", "amount": "12.34"}
    {"kind": "totals", "day": "2026-11-28", "totals": {"EUR": {"count": 1, "amount": "12.34"}}}
    {"kind": "close", "at": "2026-11-29T00:30:00Z", "time_zone": "Europe/Dublin"}

Amounts are text, because a number of JSON is a binary fraction to many a program. A refund is less than nothing.
`close` comes from the schedule, and means the day before.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

_AMOUNT = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,3})?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHOWN = 80


_NOTHING = object()


class MalformedError(ValueError):
    """A message is not what it should be. `what` says in what, and holds nothing of the message but names and days: it
    may be recorded. As text it also has what was *got* instead, which may be anything.
    """

    def __init__(self, what: str, *, got: object = _NOTHING) -> None:
        super().__init__(what if got is _NOTHING else f"{what}, not {_shown(got)}")
        self.what = what


class ReconciliationError(Exception):
    """What is in the table is not what the senders say that they sent."""


@dataclass(frozen=True)
class Transaction:
    """One transaction of a day. Two of the same id are the same one, or one of them is wrong."""

    day: str
    id: str
    currency: str
    amount: Decimal


@dataclass(frozen=True)
class Totals:
    """How many transactions there are, and of how much, by currency. A currency without any is left out."""

    counts: Mapping[str, int] = field(default_factory=dict)
    amounts: Mapping[str, Decimal] = field(default_factory=dict)

    @classmethod
    def of(cls, transactions: Iterable[Transaction]) -> Totals:
        """The totals of these transactions."""
        counts: Counter[str] = Counter()
        amounts: defaultdict[str, Decimal] = defaultdict(Decimal)
        for one in transactions:
            counts[one.currency] += 1
            amounts[one.currency] += one.amount
        return cls(dict(counts), dict(amounts))

    def plain(self) -> dict[str, dict[str, Any]]:
        """As a message has them."""
        return {
            currency: {"count": self.counts[currency], "amount": f"{self.amounts[currency]:f}"}
            for currency in sorted(self.counts)
        }


@dataclass(frozen=True)
class DayTotals:
    """What the senders say that they sent on a day."""

    day: str
    totals: Totals


@dataclass(frozen=True)
class Close:
    """A day is over."""

    day: str


Message = Transaction | DayTotals | Close


def read_message(text: str) -> Message:
    """What a message says. Raises MalformedError where it is none of the three kinds, or not whole."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedError("a message is JSON", got=text) from None
    if not isinstance(fields, dict):
        raise MalformedError("a message is an object", got=text)
    kind = fields.get("kind")
    match kind:
        case "transaction":
            amount = _amount(_only(fields, "day", "id", "currency", "amount")["amount"])
            return Transaction(_day(fields["day"]), _id(fields["id"]), _currency(fields["currency"]), amount)
        case "totals":
            _only(fields, "day", "totals")
            return DayTotals(_day(fields["day"]), _totals(fields["totals"]))
        case "close":
            _only(fields, "at", "time_zone")
            return Close(_day_before(fields["at"], fields["time_zone"]))
    raise MalformedError("the kind is transaction, totals or close", got=kind)


def closing_message(at: str, time_zone: str) -> str:
    """What the schedule sends when it is due *at* a time."""
    return json.dumps({"kind": "close", "at": at, "time_zone": time_zone})


def differences(told: Totals, found: Totals) -> list[str]:
    """What of the transactions that were *found* is not as the senders *told*, a line for each currency."""
    return [
        f"{currency}: {_sum(told, currency)} were sent, {_sum(found, currency)} are there"
        for currency in sorted({*told.counts, *found.counts})
        if _sum(told, currency) != _sum(found, currency)
    ]


def _sum(totals: Totals, currency: str) -> str:
    count = totals.counts.get(currency, 0)
    if not count:
        return "none"
    # Without zeros in the end, which say nothing: 10.50 is 10.5.
    return f"{count} of {totals.amounts[currency].normalize():f} in all"


def _only(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    given = fields.keys() - {"kind"}
    if given != set(names):
        raise MalformedError(
            f"a message of the kind {fields['kind']} has {', '.join(names)}", got=", ".join(sorted(given))
        )
    return fields


def _day(given: object) -> str:
    # date.fromisoformat also takes 20261128 and 2026-W48-6, which would be other days to the table.
    if isinstance(given, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", given, re.ASCII):
        try:
            return date.fromisoformat(given).isoformat()
        except ValueError:
            pass
    raise MalformedError("a day is like 2026-11-28", got=given)


def _id(given: object) -> str:
    if isinstance(given, str) and _ID.fullmatch(given):
        return given
    raise MalformedError("an id is 1 to 100 letters, digits, dots, hyphens and underscores", got=given)


def _currency(given: object) -> str:
    if isinstance(given, str) and _CURRENCY.fullmatch(given):
        return given
    raise MalformedError("a currency is like EUR", got=given)


def _amount(given: object) -> Decimal:
    if isinstance(given, str) and _AMOUNT.fullmatch(given):
        return Decimal(given)
    raise MalformedError('an amount is text like "12.34"', got=given)


def _totals(given: object) -> Totals:
    if not isinstance(given, dict):
        raise MalformedError("totals are an object by currency", got=given)
    counts: dict[str, int] = {}
    amounts: dict[str, Decimal] = {}
    for currency, one in given.items():
        if not isinstance(one, dict) or one.keys() != {"count", "amount"}:
            raise MalformedError("the totals of a currency are its count and amount", got=one)
        count = one["count"]
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise MalformedError("a count is a whole number, 1 or more", got=count)
        counts[_currency(currency)] = count
        amounts[currency] = _amount(one["amount"])
    return Totals(counts, amounts)


def _day_before(at: object, time_zone: object) -> str:
    try:
        when = datetime.fromisoformat(str(at)).astimezone(ZoneInfo(str(time_zone)))
    except (ValueError, OSError, KeyError):
        what = "a day is closed at a time like 2026-11-29T00:30:00Z in a time zone like Europe/Dublin"
        raise MalformedError(what, got=f"{at} in {time_zone}") from None
    return (when.date() - timedelta(days=1)).isoformat()


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
