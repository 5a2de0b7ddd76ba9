"""The table of the stack `batch`: transactions by day and id, and beside them what is known of their day.

| day | id | what it is |
|---|---|---|
| 2026-11-28 | shop-7-000123 | a transaction |
| 2026-11-28 | #totals | what the senders say that they sent |
| 2026-11-28 | #agreed | the day was reconciled: nothing new is taken in for it |
| #due | 2026-11-28 | the day is closed, and not reconciled yet |
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from transactions import Close, DayTotals, MalformedError, Message, Totals, Transaction, differences, read_message

_TOTALS, _AGREED, _DUE = "#totals", "#agreed", "#due"
"""No id of a transaction and no day begins with a #."""

Item = dict[str, dict[str, str]]


class Ledger:
    """A table, by its *name* and a boto3 client."""

    def __init__(self, dynamodb: Any, name: str) -> None:
        self._dynamodb = dynamodb
        self._name = name

    def take(self, message: Message) -> str:
        """Write down what a message says, once; return `taken`, or `duplicate` where that was there already.

        Raises MalformedError where something else is there under the same name, or the day was reconciled before.
        """
        match message:
            case Transaction():
                amount = {"N": f"{message.amount:f}"}
                item = {**_key(message.day, message.id), "currency": {"S": message.currency}, "amount": amount}
                what = f"transaction {message.id} of {message.day}"
            case DayTotals():
                item = {**_key(message.day, _TOTALS), "totals": {"S": json.dumps(message.totals.plain())}}
                what = f"the totals of {message.day}"
            case Close():
                item = _key(_DUE, message.day)
                what = f"the close of {message.day}"
        return self._write(item, what, message)

    def due(self) -> list[str]:
        """The days that are closed and not reconciled, the oldest first."""
        return [item["id"]["S"] for item in self._items(_DUE)]

    def found(self, day: str) -> Totals:
        """The totals of the transactions of a day that are there now."""
        return Totals.of(
            Transaction(day, item["id"]["S"], item["currency"]["S"], Decimal(item["amount"]["N"]))
            for item in self._items(day)
            if not item["id"]["S"].startswith("#")
        )

    def differences(self, day: str, found: Totals) -> list[str]:
        """What of the totals that were *found* of a day is not as the senders said, a line each."""
        told = self._told(day)
        if told is None:
            return ["the senders have not said how much they sent"]
        return differences(told, found)

    def agree(self, day: str, totals: Totals) -> bool:
        """Write down that a day is reconciled with these *totals*; False, and it is not, where more has come since.

        Whoever moves messages may be at work beside this. Nothing comes in any more once that is written down, so it
        is looked at once more after that, and not before.
        """
        agreed = {**_key(day, _AGREED), "totals": {"S": json.dumps(totals.plain())}}
        self._put_and_delete(agreed, _key(_DUE, day))
        if self.found(day) == totals:
            return True
        self._put_and_delete(_key(_DUE, day), _key(day, _AGREED))
        return False

    def _put_and_delete(self, item: Item, key: Item) -> None:
        """Write one item and delete another, both or neither."""
        self._dynamodb.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": self._name, "Item": item}},
                {"Delete": {"TableName": self._name, "Key": key}},
            ]
        )

    def _write(self, item: Item, what: str, message: Message) -> str:
        """Write an item where there is none and its day is open, both in one step: somebody else may be at work."""
        absent = {"TableName": self._name, "ConditionExpression": "attribute_not_exists(id)"}
        try:
            self._dynamodb.transact_write_items(
                TransactItems=[
                    {"Put": {**absent, "Item": item}},
                    {"ConditionCheck": {**absent, "Key": _key(message.day, _AGREED)}},
                ]
            )
        except self._dynamodb.exceptions.TransactionCanceledException as error:
            codes = [reason.get("Code") for reason in error.response.get("CancellationReasons", ())]
            if "ConditionalCheckFailed" not in codes:
                raise
            return self._already(item, what, message)
        return "taken"

    def _already(self, item: Item, what: str, message: Message) -> str:
        there = self._get(item["day"]["S"], item["id"]["S"])
        if there is None and isinstance(message, Close):
            return "duplicate"  # the day was closed, and is reconciled
        if there is None:
            raise MalformedError(f"{what} came after that day was reconciled")
        if _meaning(there) != _meaning(item):
            raise MalformedError(f"{what} is there already, and says something else")
        return "duplicate"

    def _told(self, day: str) -> Totals | None:
        item = self._get(day, _TOTALS)
        if item is None:
            return None
        text = json.dumps({"kind": "totals", "day": day, "totals": json.loads(item["totals"]["S"])})
        message = read_message(text)
        return message.totals if isinstance(message, DayTotals) else None

    def _get(self, day: str, id_: str) -> Item | None:
        found: Item | None = self._dynamodb.get_item(TableName=self._name, Key=_key(day, id_), ConsistentRead=True).get(
            "Item"
        )
        return found

    def _items(self, day: str) -> Iterator[Item]:
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._name,
            KeyConditionExpression="#day = :day",
            ExpressionAttributeNames={"#day": "day"},
            ExpressionAttributeValues={":day": {"S": day}},
            ConsistentRead=True,
        )
        for page in pages:
            yield from page["Items"]


def _key(day: str, id_: str) -> Item:
    return {"day": {"S": day}, "id": {"S": id_}}


def _meaning(item: Item) -> dict[str, Any]:
    """An item's values, to be compared: 12.50 is 12.5, and totals are the same in any order."""
    kinds: dict[str, Any] = {"N": Decimal, "S": str}
    values = {name: kinds[kind](text) for name, one in item.items() for kind, text in one.items()}
    if "totals" in values:
        told = json.loads(values["totals"])
        values["totals"] = {name: (one["count"], Decimal(one["amount"])) for name, one in told.items()}
    return values
