"""How stacks/batch works its queue off and keeps its ledger while others are at work, or something fails: without Terraform."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from stack_code import ROOT

from infra_orch.sandbox.redirect import ACCESS_KEY, SECRET_KEY
from infra_orch.sandbox.server import start_for_run

Clients = Callable[[str], Any]
LOG = logging.getLogger("batch")
DAY = "2026-03-07"
TABLE = "ledger"


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[None]:
    """The modules of the stack can be imported as its own file does, and nobody else finds them afterwards."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "stacks" / "batch")
        yield
    for name in {"ledger", "post", "transactions"} - before:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    session = boto3.Session(ACCESS_KEY, SECRET_KEY, region_name="eu-west-1")
    with start_for_run(tmp_path_factory.mktemp("emulator")) as emulator:
        yield lambda service: session.client(service, endpoint_url=emulator.url, config=Config(proxies={}))


@pytest.fixture(scope="module")
def table(clients: Clients) -> str:
    """A table with the keys that the stack gives to its own."""
    kinds = {"day": "HASH", "id": "RANGE"}
    clients("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in kinds.items()],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in kinds],
        BillingMode="PAY_PER_REQUEST",
    )
    return TABLE


@pytest.fixture
def post(clients: Clients) -> Iterator[Any]:
    """A queue with a dozen messages in it."""
    from post import Post

    sqs = clients("sqs")
    url = sqs.create_queue(QueueName="transactions")["QueueUrl"]
    found = Post(sqs, url, patience=0)
    found.send([json.dumps(sale(number, "1")) for number in range(12)])
    yield found
    sqs.delete_queue(QueueUrl=url)


def sale(number: int, amount: str) -> dict[str, str]:
    return {"kind": "transaction", "day": DAY, "id": f"shop-{number}", "currency": "EUR", "amount": amount}


def waiting(clients: Clients) -> int:
    """How many messages can be received."""
    name, sqs = "ApproximateNumberOfMessages", clients("sqs")
    url = sqs.get_queue_url(QueueName="transactions")["QueueUrl"]
    return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def test_what_is_in_hand_when_the_table_fails_is_given_back(clients: Clients, post: Any) -> None:
    taken: list[Any] = []

    def take(message: Any) -> str:
        if len(taken) == 3:
            raise ConnectionError("the table does not answer")
        taken.append(message)
        return "taken"

    with pytest.raises(ConnectionError):
        post.work_off(take, LOG)
    assert waiting(clients) == 9
    moved = post.work_off(lambda _: "taken", LOG)
    assert (moved["taken"], moved["ended"]) == (9, "the queue is empty")


def test_a_run_whose_time_is_up_leaves_the_rest_to_the_next(post: Any) -> None:
    moved = post.work_off(lambda _: "taken", LOG, deadline=0.0)
    assert (moved["taken"], moved["ended"]) == (10, "the time was up; the next run goes on")
    assert post.work_off(lambda _: "taken", LOG)["taken"] == 2


def test_what_comes_while_a_day_is_compared_keeps_it_from_being_reconciled(clients: Clients, table: str) -> None:
    from ledger import Ledger
    from transactions import read_message

    client, beside = clients("dynamodb"), clients("dynamodb")
    mine, theirs = Ledger(client, table), Ledger(beside, table)
    told = {"kind": "totals", "day": DAY, "totals": {"EUR": {"count": 1, "amount": "5"}}}
    over = {"kind": "close", "at": "2026-03-08T00:30:00Z", "time_zone": "Europe/Dublin"}
    for message in (sale(1, "5"), told, over):
        assert mine.take(read_message(json.dumps(message))) == "taken"
    found = mine.found(DAY)
    assert mine.differences(DAY, found) == []
    late = [read_message(json.dumps(sale(2, "7")))]

    def somebody_else(**_: Any) -> None:
        if late:
            theirs.take(late.pop())

    client.meta.events.register("before-call.dynamodb.TransactWriteItems", somebody_else)
    assert not mine.agree(DAY, found)
    assert mine.due() == [DAY]
    assert mine.differences(DAY, mine.found(DAY)) == ["EUR: 1 of 5 in all were sent, 2 of 12 in all are there"]
    client.delete_item(TableName=table, Key={"day": {"S": DAY}, "id": {"S": "shop-2"}})
    assert mine.agree(DAY, mine.found(DAY))
    assert mine.due() == []
