"""Raw orders for the sandbox, good and bad ones: no real account ever gets them."""

from __future__ import annotations

EXAMPLES = {
    "orders/day=2026-11-27/till-1.csv": """\
order_id,customer,amount,currency,placed_at
1001,ada,19.90,EUR,2026-11-27T09:12:00+01:00
1002,"Grace, Inc.",250,eur,2026-11-27T10:01:30Z
1003,linus,-5.00,EUR,2026-11-27T11:45:00Z
1003,linus,-5.00,EUR,2026-11-27T11:45:00Z
1004,barbara,twelve,EUR,2026-11-27T12:00:00Z
""",
    "orders/day=2026-11-27/shop.jsonl": """\
{"order_id": 2001, "customer": "katherine", "amount": 74.5, "currency": "EUR", "placed_at": "2026-11-27T20:15:00Z"}
{"order_id": 2002, "customer": "edsger", "amount": 12.99, "currency": "EUR"}
""",
    "orders/day=2026-11-28/shop.jsonl": """\
{"order_id": 2003, "customer": "ada", "amount": "8.00", "currency": "EUR", "placed_at": "2026-11-28T00:30:00+02:00"}
not a line of JSON
{"order_id": 2004, "customer": "margaret", "amount": 3.10, "currency": "USD", "placed_at": "2026-11-28T07:00:00Z"}
""",
}
