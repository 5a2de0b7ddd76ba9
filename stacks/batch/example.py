"""A day's messages for the sandbox, made up: what the senders would send, with what goes wrong in real life."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

_SALES = [("EUR", "12.50"), ("EUR", "0.10"), ("EUR", "0.20"), ("EUR", "-12.50"), ("USD", "1999.99"), ("JPY", "1200")]
_TOTALS = {
    "EUR": {"count": 4, "amount": "0.30"},
    "JPY": {"count": 1, "amount": "1200"},
    "USD": {"count": 1, "amount": "1999.99"},
}


def example_day(now: datetime, time_zone: str = "Europe/Dublin") -> list[str]:
    """The messages of the day before *now*: transactions, one of them twice, their totals, and two that are none."""
    day = (now.astimezone(ZoneInfo(time_zone)).date() - timedelta(days=1)).isoformat()
    sales = [
        {"kind": "transaction", "day": day, "id": f"shop-1-{number:06}", "currency": currency, "amount": amount}
        for number, (currency, amount) in enumerate(_SALES, start=1)
    ]
    totals = {"kind": "totals", "day": day, "totals": _TOTALS}
    number = {"kind": "transaction", "day": day, "id": "shop-1-000007", "currency": "EUR", "amount": 9.99}
    return [json.dumps(one) for one in [*sales, sales[0], totals, number]] + ["hello?"]
