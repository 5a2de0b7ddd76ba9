"""What Terraform and a provider say to each other comes through as it is, and what is created becomes known."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from child_process import until
from rough_client import Caller, happened
from rough_run import UNIMPLEMENTED, Command, Run, creating, journalled


def test_the_messages_of_a_stream_come_all_and_in_order(caller: Caller) -> None:
    reply = caller.call("ListResource", b"100 20000")
    assert [int(message[:8]) for message in reply.messages] == list(range(100))
    assert {len(message) for message in reply.messages} == {20000}


def test_a_request_of_several_messages_arrives_whole(caller: Caller) -> None:
    number = caller.begin("WriteStateBytes")
    for size in (1, 70_000, 3):
        caller.send(number, b"x" * size)
    caller.end(number)
    assert caller.reply(number).messages == [str(70_004 + 3 * 5).encode()]


def test_in_a_conversation_each_side_hears_the_other_before_it_goes_on(caller: Caller) -> None:
    number = caller.begin("Converse")
    heard = []
    for said in (b"good day", b"how do you do"):
        caller.send(number, said)
        heard.append(caller.reply(number, messages=len(heard) + 1).messages[-1])
    caller.end(number)
    assert heard == [b"good day", b"how do you do"]
    assert caller.reply(number).status == 0


@pytest.mark.parametrize("name", ["ReadResource", "ACallOfALaterProtocol"])
def test_five_megabytes_come_through_both_ways(caller: Caller, name: str) -> None:
    large = os.urandom(5_000_000)
    reply = caller.call(name, large)
    assert (reply.status, reply.messages) == (0, [large])


def test_the_provider_gets_the_metadata_and_the_deadline_of_a_call(caller: Caller) -> None:
    told = {"grpc-timeout": "29871m", "traceparent": "00-0af7-b7ad-01", "odd-bin": "AAEC"}
    seen = dict(json.loads(caller.call("PlanResourceChange", metadata=told).messages[0]))
    assert {name: seen.get(name) for name in told} == told


@pytest.mark.parametrize("name", ["ReadResource", "Converse"])
def test_the_caller_gets_the_metadata_of_the_answer(caller: Caller, name: str) -> None:
    reply = caller.call(name, b"x")
    assert (reply.headers.get("early"), reply.trailers.get("later")) == ("yes", "yes")


@pytest.mark.parametrize("size", [40, 300_000])
def test_an_error_keeps_its_code_its_words_and_its_details(caller: Caller, size: int) -> None:
    reply = caller.call("ImportResourceState", str(size).encode())
    assert (reply.status, reply.headers["grpc-message"]) == (9, "no%20such thing%3A %C3%A4")
    assert reply.headers["grpc-status-details-bin"] == "A" * size
    assert caller.call("ReadResource", b"x").status == 0


@pytest.mark.parametrize("name", ["MoveResourceState", "GetResourceIdentitySchemas"])
def test_what_a_provider_has_not_is_unimplemented_each_time(usual: Command, name: str) -> None:
    replies = [usual.connect().call(name) for _ in range(2)]
    assert [reply.status for reply in replies] == [UNIMPLEMENTED] * 2
    assert [reply.headers["grpc-message"] for reply in replies] == ["unknown method"] * 2


def test_a_call_that_the_provider_gives_up_is_given_up_with_its_code(caller: Caller) -> None:
    assert caller.call("UpgradeResourceState").reset == 11


def test_an_error_where_answers_are_usually_kept_keeps_its_details_too_and_is_not_kept(run: Run) -> None:
    with run.command(rough={"fail": ["GetMetadata"]}) as command:
        replies = [command.connect().call("GetMetadata") for _ in range(2)]
    assert [(reply.status, reply.headers["grpc-status-details-bin"]) for reply in replies] == [(9, "A" * 40)] * 2
    assert len(run.pids("call", "GetMetadata")) == 2


@pytest.mark.parametrize("name", ["ReadDataSource", "ApplyResourceChange", "ListResource", "Converse"])
def test_a_call_that_is_cancelled_is_cancelled_in_the_provider(run: Run, name: str) -> None:
    with run.command(rough={"never": [name]}) as command:
        caller = command.connect(b"")
        number = caller.begin(name)
        caller.send(number, b"1 10", ends=True)
        until(lambda: happened(run.log, "call", name), "the call")
        caller.cancel(number)
        until(lambda: happened(run.log, "cancelled", name), "its end")
        assert caller.call("ReadResource", b"still").messages == [b"still"]


@pytest.mark.parametrize("name", ["ReadDataSource", "ListResource"])
def test_where_terraform_goes_away_its_calls_are_cancelled(run: Run, name: str) -> None:
    with run.command(rough={"never": [name]}) as command:
        caller = command.connect(b"")
        caller.send(caller.begin(name), b"1 10", ends=True)
        until(lambda: happened(run.log, "call", name), "the call")
        caller.close()
        until(lambda: happened(run.log, "cancelled", name), "its end")


def test_where_terraform_goes_away_in_an_apply_what_is_created_is_journalled(run: Run, tmp_path: Path) -> None:
    journal = tmp_path / "gateway.jsonl"
    about = {"node": "garden", "step": "apply", "plan": "tfplan", "journal": str(journal)}
    with run.command(rough={"wait": ["ApplyResourceChange"]}, **about) as command:
        changes = [
            {"address": address, "type": "rough_bed", "change": {"actions": ["create"], "after": {"name": name}}}
            for address, name in (("rough_bed.mine", "oak"), ("rough_bed.other", "elm"))
        ]
        (tmp_path / "units/unit/tfplan.json").write_text(json.dumps({"resource_changes": changes}))
        caller = command.connect(b"")
        caller.send(caller.begin("ApplyResourceChange"), creating("rough_bed", name="oak"), ends=True)
        until(lambda: happened(run.log, "call", "ApplyResourceChange"), "the call")
        caller.close()
    (tmp_path / "go").touch()
    until(lambda: journalled(journal), "the entry")
    (found,) = journalled(journal)
    assert {name: found[name] for name in ("event", "node", "step", "type", "id", "addresses")} == {
        "event": "created",
        "node": "garden",
        "step": "apply",
        "type": "rough_bed",
        "id": "bed-1",
        "addresses": ["rough_bed.mine"],
    }
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    assert not happened(run.log, "cancelled", "ApplyResourceChange")


def test_a_journal_that_cannot_be_written_does_not_keep_the_answer_from_terraform(run: Run, tmp_path: Path) -> None:
    with run.command(plan="tfplan", journal=str(tmp_path)) as command:
        reply = command.connect(b"").call("ApplyResourceChange", creating("rough_bed", name="oak"))
    assert reply.status == 0
    assert b"bed-1" in reply.messages[0]
