"""Raw orders made into curated ones: text in, text out. Nothing here knows of AWS or Terraform."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

VERSION = "1"
"""Of what a row becomes: another one, and everything is curated anew."""

FIELDS = ("order_id", "customer", "amount", "currency", "placed_at")
_MOST = Decimal(10) ** 10  # more than that is a mistake


class RowError(ValueError):
    """A row cannot be taken over; the message says why."""


@dataclass(frozen=True)
class Curated:
    """What became of a raw object: *orders* and *rejected* rows, as lines of JSON, and how many rows it had."""

    orders: tuple[str, ...]
    rejected: tuple[str, ...]
    rows: int


def curated(key: str, text: str) -> Curated:
    """Curate the raw object *key* with this *text*: CSV with a line of names, or JSON lines, as its ending says.

    A row that cannot be taken over is kept as it was, with its line and the reason. Of rows with the same order_id the
    first is taken. Raises ValueError for an ending that is neither.
    """
    orders: list[str] = []
    rejected: list[str] = []
    seen: set[object] = set()
    rows = list(_reader(key)(text))
    for line, raw, row in rows:
        try:
            order = _order(row)
            if order["order_id"] in seen:
                raise RowError("order_id was there before")  # noqa: TRY301  a row is judged in one place
        except RowError as error:
            rejected.append(_json({"line": line, "reason": str(error), "raw": raw}))
        else:
            seen.add(order["order_id"])
            orders.append(_json(order))
    return Curated(tuple(orders), tuple(rejected), len(rows))


def readable(key: str) -> bool:
    """Whether a raw object is one of those that can be curated, by its ending."""
    return key.endswith(tuple(_READERS))


Row = dict[str, object] | str
"""Values by name, or why there are none."""


def _csv(text: str) -> Iterator[tuple[int, str, Row]]:
    # Not splitlines(), which would also part a line where a field has one of Unicode's own line separators.
    lines = text.lstrip("\ufeff").replace("\r\n", "\n").removesuffix("\n").split("\n")
    reader = csv.reader((f"{line}\n" for line in lines), strict=True)
    before = 0
    names: list[str] | None = None
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # Where a quote is never closed, the rest of the file is one field: nobody knows where the next row begins.
            yield before + 1, "\n".join(lines[before:]), f"not CSV: {error}"
            return
        raw, line, before = "\n".join(lines[before : reader.line_num]), before + 1, reader.line_num
        if not values:
            continue
        if names is None:
            names = [value.strip() for value in values]
        else:
            row: Row = dict(zip(names, values, strict=True)) if len(values) == len(names) else _uneven(values, names)
            yield line, raw, row


def _uneven(values: list[str], names: list[str]) -> str:
    return f"{len(values)} values where the first line has {len(names)} names"


def _json_lines(text: str) -> Iterator[tuple[int, str, Row]]:
    for line, raw in enumerate(text.lstrip("\ufeff").split("\n"), start=1):
        if not raw.strip():
            continue
        try:
            found = json.loads(raw, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            yield line, raw, f"not JSON: {error}"
        else:
            yield line, raw, found if isinstance(found, dict) else "not an object"


_READERS: dict[str, Callable[[str], Iterator[tuple[int, str, Row]]]] = {".csv": _csv, ".jsonl": _json_lines}


def _reader(key: str) -> Callable[[str], Iterator[tuple[int, str, Row]]]:
    for ending, reader in _READERS.items():
        if key.endswith(ending):
            return reader
    raise ValueError(f"{key} ends neither in {' nor in '.join(_READERS)}")


def _order(row: Row) -> dict[str, object]:
    """A row as an order: every field there, in one form. Raises RowError."""
    if isinstance(row, str):
        raise RowError(row)
    values = {name: _text(name, row.get(name)) for name in FIELDS}
    if missing := [name for name, value in values.items() if not value]:
        raise RowError(f"without {', '.join(missing)}")
    currency = values["currency"].upper()
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise RowError(f"currency {values['currency']!r}")
    return {
        "order_id": values["order_id"],
        "customer": values["customer"],
        "amount_cents": _cents(values["amount"]),
        "currency": currency,
        "placed_at": _moment(values["placed_at"]),
    }


def _text(name: str, value: object) -> str:
    if isinstance(value, (bool, dict, list)):
        raise RowError(f"{name} is neither text nor a number")
    text = "" if value is None else str(value).strip()
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a character, which JSON can write and nobody else
        raise RowError(f"{name} is no text") from None
    return text


def _cents(text: str) -> int:
    """An amount in hundredths: a whole number, because nothing that counts money may round it."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise RowError(f"amount {text!r}") from None
    if not amount.is_finite() or abs(amount) >= _MOST or amount != round(amount, 2):
        raise RowError(f"amount {text!r}")
    return int(amount * 100)


def _moment(text: str) -> str:
    """A moment in UTC, as Athena reads a timestamp. One without an offset is refused: nobody knows when it was."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise RowError(f"placed_at {text!r} without an offset from UTC")
        return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError) as error:
        if isinstance(error, RowError):
            raise
        raise RowError(f"placed_at {text!r}") from None


def _json(values: dict[str, object]) -> str:
    return json.dumps(values, ensure_ascii=False, sort_keys=True)
