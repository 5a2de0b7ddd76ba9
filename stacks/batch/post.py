"""The queue of the stack `batch`: what is sent to it, and how what waits in it is worked off."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from transactions import MalformedError, Message, read_message

_BATCH = 10
"""As many messages as SQS takes or gives at once."""
_MARGIN_SECONDS = 20.0
"""So long before the deadline nothing new is begun: what is in hand must be done by then."""
_SHOWN = 20


class Post:
    """A queue, by its *url* and a boto3 client. *patience* is how many seconds it is waited for one more message."""

    def __init__(self, sqs: Any, url: str, *, patience: int = 10) -> None:
        self._sqs = sqs
        self._url = url
        self._patience = patience

    def send(self, texts: Sequence[str]) -> int:
        """Send messages, and return how many. Raises RuntimeError where SQS did not take one."""
        for begin in range(0, len(texts), _BATCH):
            some = texts[begin : begin + _BATCH]
            entries = [{"Id": str(number), "MessageBody": text} for number, text in enumerate(some)]
            failed = self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries).get("Failed")
            if failed:
                raise RuntimeError(f"the queue did not take a message: {failed[0].get('Message') or failed[0]['Code']}")
        return len(texts)

    def work_off(
        self, take: Callable[[Message], str], log: logging.Logger, *, deadline: float | None = None
    ) -> dict[str, Any]:
        """Hand every message that waits to *take*, until none is left or the *deadline* is near; return what came.

        *take* returns what became of a message, in a word, and raises MalformedError for one that is wrong. A message
        is deleted once it was taken; where the program ends before that, it comes again. One that is wrong is given
        back at once, until SQS puts it to the dead letters. Anything else that *take* raises ends the work.
        """
        became: Counter[str] = Counter()
        wrong: dict[str, str] = {}
        ended = ""
        while not ended:
            if messages := self._receive():
                self._work_off(messages, take, log, became, wrong)
                if deadline is not None and time.monotonic() > deadline - _MARGIN_SECONDS:
                    ended = "the time was up; the next run goes on"
            else:
                ended = self._why_empty()
        return {**became, "rejected": len(wrong), "why": sorted(set(wrong.values()))[:_SHOWN], "ended": ended}

    def _work_off(
        self,
        messages: list[dict[str, Any]],
        take: Callable[[Message], str],
        log: logging.Logger,
        became: Counter[str],
        wrong: dict[str, str],
    ) -> None:
        waiting = deque(messages)
        try:
            while waiting:
                message = waiting[0]
                receipt = {"QueueUrl": self._url, "ReceiptHandle": message["ReceiptHandle"]}
                try:
                    word = take(read_message(message["Body"]))
                except MalformedError as error:
                    if message["MessageId"] not in wrong:
                        log.warning("message %s goes to the dead letters: %s", message["MessageId"], error)
                    wrong[message["MessageId"]] = error.what
                    self._give_back(message)
                else:
                    became[word] += 1
                    self._sqs.delete_message(**receipt)
                waiting.popleft()
        finally:
            # What is still in hand would be hidden from the next try for as long as the queue's visibility timeout.
            for message in waiting:
                self._give_back(message)

    def _give_back(self, message: dict[str, Any]) -> None:
        self._sqs.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )

    def _why_empty(self) -> str:
        name = "ApproximateNumberOfMessagesNotVisible"
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])["Attributes"]
        hidden = int(attributes[name])
        if hidden:
            return f"{hidden} messages are in other hands, or in those of a run that was stopped; the next run goes on"
        return "the queue is empty"

    def _receive(self) -> list[dict[str, Any]]:
        answer = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=_BATCH, WaitTimeSeconds=self._patience
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages
