"""Daily transactions: a queue takes them in, a schedule closes the day, tasks move them to a table and reconcile.

    systems that sell ──▶ queue ──▶ move ──▶ table ──▶ reconcile
    schedule, once a day ──▶ ┘                │
                     dead letters ◀── what is no transaction

Whoever sells sends a message for each transaction, and in the end one that says how many there were and of how much:
transactions.py has their form. `infra-orch apply batch --auto-approve` in a daily job does the rest.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from example import example_day
from ledger import Ledger
from post import Post
from transactions import ReconciliationError, closing_message

from infra_orch import Provider, Stack, TaskContext

# Where the transactions are real: True. Then AWS refuses to delete the table, and so a rehearsal could not end.
KEEP_TABLE = False

stack = Stack(
    "batch",
    providers=[
        Provider(
            "aws",
            source="hashicorp/aws",
            version="~> 5.0",
            region="eu-west-1",
            default_tags={"tags": {"stack": "batch", "managed-by": "infra-orch"}},
        ),
    ],
)

alerts = stack.unit(
    "alerts",
    module="alerts",
    inputs={"name": "batch-alerts", "email_addresses": ["ops@example.com"], "alarm_prefixes": ["batch-"]},
)

queue = stack.unit(
    "queue",
    module="queue",
    inputs={
        "name": "batch-transactions",
        "max_receive_count": 3,
        "alarm_topic_arns": [alerts.outputs.topic_arn],
        # A day and two hours: whatever waits longer was left by the daily run.
        "alarm_age_seconds": 93600,
    },
)

table = stack.unit(
    "table",
    module="table",
    inputs={
        "name": "batch-transactions",
        "hash_key": {"name": "day"},
        "range_key": {"name": "id"},
        "deletion_protection": KEEP_TABLE,
    },
)

schedule = stack.unit(
    "schedule",
    module="scheduled_job",
    inputs={
        "name": "batch-close-of-day",
        "description": "Says that yesterday is over, to who moves the transactions",
        "schedule_expression": "cron(30 0 * * ? *)",
        "time_zone": "Europe/Dublin",
        "target_arn": queue.outputs.arn,
        "dead_letter_arn": queue.outputs.dead_letter_arn,
        "input": closing_message("<aws.scheduler.scheduled-time>", "Europe/Dublin"),
        "alarm_topic_arns": [alerts.outputs.topic_arn],
    },
)


@stack.task(after=[queue, table, schedule], timeout=60.0)
def make_example(context: TaskContext) -> dict[str, int] | str:
    """In the sandbox, where nobody sells and no schedule is due: send a day's messages, some of them wrong.

    What the schedule would send is what it holds, to where it says. In a real account nothing is made up.
    """
    if not context.sandbox:
        return "nothing: this is a real account"
    today = datetime.now(UTC)
    post = Post(context.client("sqs"), context.outputs["queue"]["url"])
    sent = post.send(example_day(today))
    name = context.outputs["schedule"]["name"]
    target = context.client("scheduler").get_schedule(Name=name, GroupName=name)["Target"]
    due = target["Input"].replace("<aws.scheduler.scheduled-time>", today.strftime("%Y-%m-%dT%H:%M:%SZ"))
    if target["Arn"] != context.outputs["queue"]["arn"]:
        raise ReconciliationError(f"the schedule starts {target['Arn']}, not the queue")
    return {"sent": sent + post.send([due])}


@stack.task(after=[make_example], retries=2, retry_delay=5.0, timeout=900.0)
def move(context: TaskContext) -> dict[str, Any]:
    """Move what waits in the queue to the table, each transaction once, however often it is sent or this is run.

    What is no transaction stays in the queue, which makes a dead letter of it; the log and the result say why.
    """
    post = Post(context.client("sqs"), context.outputs["queue"]["url"], patience=0 if context.sandbox else 10)
    ledger = Ledger(context.client("dynamodb"), context.outputs["table"]["name"])
    moved = post.work_off(ledger.take, context.log, deadline=context.deadline)
    context.log.info("%s", json.dumps(moved))
    return moved


@stack.task(after=[move], timeout=300.0)
def reconcile(context: TaskContext) -> dict[str, Any]:
    """Compare what is in the table with what the senders say that they sent, for each day that is closed.

    Returns each day's totals. ReconciliationError says what does not agree; such a day is compared again by every run
    until it does.
    """
    ledger = Ledger(context.client("dynamodb"), context.outputs["table"]["name"])
    agreed: dict[str, Any] = {}
    problems: list[str] = []
    for day in ledger.due():
        found = ledger.found(day)
        differences = ledger.differences(day, found)
        if not differences and not ledger.agree(day, found):
            differences = ["more came while it was compared"]
        problems += [f"{day}: {one}" for one in differences]
        if not differences:
            agreed[day] = found.plain()
            context.log.info("%s agrees: %s", day, json.dumps(agreed[day]))
    if problems:
        raise ReconciliationError("; ".join(problems))
    return agreed
