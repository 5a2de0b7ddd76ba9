"""Who gets which provider process, and which of them are kept."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from child_process import until
from rough_client import ADDRESS, happened
from rough_run import INTERNAL, UNAVAILABLE, Run, running

from infra_orch.gateway.line import GatewayError, ask
from infra_orch.process import lives


def test_each_connection_reaches_the_process_that_is_configured_as_it_asked(run: Run) -> None:
    with run.command() as command:
        east, west = command.connect(b"east"), command.connect(b"west")
        for caller in (east, west, east, west):
            caller.call("ReadResource", b"x")
    configured = run.pids("call", "ConfigureProvider")
    assert len(set(configured)) == 2
    assert run.pids("call", "ReadResource") == configured * 2


def test_no_connection_is_configured_twice(run: Run) -> None:
    with run.command() as command:
        reply = command.connect(b"east").call("ConfigureProvider", b"west")
    assert reply.status == INTERNAL
    assert len(run.pids("call", "ConfigureProvider")) == 1


def test_units_with_equal_configurations_share_a_process(run: Run) -> None:
    with run.command("a", more={"TF_VAR_size": "1"}) as first, run.command("b", more={"TF_VAR_size": "2"}) as second:
        for command in (first, second):
            command.connect(b"east").call("ReadResource", b"x")
    (configured,) = run.pids("call", "ConfigureProvider")
    assert run.pids("call", "ReadResource") == [configured] * 2


def test_the_process_that_the_first_command_of_a_kind_configures_is_started_before_it_asks(run: Run) -> None:
    with run.command("a", kind="plan") as first:
        until(lambda: len(run.pids("started")) == 2, "the second process")
        first.connect(b"east")
    with run.command("b", kind="plan") as second:
        second.connect(b"east").call("ReadResource", b"x")
        second.connect(b"west")
    started = run.pids("started")
    east, west = run.pids("call", "ConfigureProvider")
    assert set(started[:2]) > {east}
    assert started[2:] == [west]


def test_a_process_that_was_started_early_and_not_needed_ends_with_the_command(run: Run) -> None:
    with run.command(kind="plan") as command:
        until(lambda: len(run.pids("started")) == 2, "the second process")
        command.connect()
        base, spare = run.pids("started")
        assert all(map(lives, (base, spare)))
    until(lambda: not all(map(lives, (base, spare))), "the end of what nobody needed")
    with run.command("b", kind="plan"):
        until(lambda: len(run.pids("started")) == 3, "another one for the next command")


def test_more_processes_are_started_early_than_may_be_kept_unused(tmp_path: Path, installed: Path) -> None:
    with running(tmp_path, installed, idle=1, shared=()) as run, contextlib.ExitStack() as stack:
        commands = [stack.enter_context(run.command(name, kind="plan")) for name in ("a", "b", "c")]
        until(lambda: len(run.pids("started")) == 6, "two processes each")
        for command in commands:
            command.connect(b"east").call("ReadResource", b"x")
        assert len(run.pids("started")) == 6


def test_a_process_that_was_started_early_and_ended_is_missed_by_nobody(run: Run) -> None:
    with run.command(rough={"brief": True}, kind="plan") as command:
        until(lambda: run.pids("started"), "its start")
        statuses = {command.connect().call("ConfigureProvider").status} if command.reattach else set(run.fallbacks)
    assert statuses <= {UNAVAILABLE, ADDRESS}


def test_units_with_different_environments_do_not_share_a_process(run: Run) -> None:
    with (
        run.command("a", more={"AWS_PROFILE": "one"}) as first,
        run.command("b", more={"AWS_PROFILE": "two"}) as second,
    ):
        for command in (first, second):
            command.connect(b"east").call("ReadResource", b"x")
    assert len(set(run.pids("call", "ReadResource"))) == 2


def test_credentials_that_changed_are_not_served_by_a_process_that_knows_the_old_ones(run: Run) -> None:
    (run.folder / ".aws").mkdir()
    with run.command() as command:
        for secret in ("old", "new", "new"):
            (run.folder / ".aws/credentials").write_text(secret)
            os.utime(run.folder / ".aws/credentials", ns=(0, 0))
            command.connect(b"east").call("ReadResource", b"x")
    first, second, third = run.pids("call", "ReadResource")
    assert first != second
    assert second == third


def test_a_unit_that_names_a_file_of_its_own_gets_a_process_in_its_own_folder(run: Run) -> None:
    with run.command("a") as command:
        command.connect(b"east")
        command.connect(b"./key.pem").call("ReadResource", b"x")
    folders = {line["pid"]: Path(line["folder"]).name for line in happened(run.log, "started")}
    assert [folders[pid] for pid in run.pids("call", "ConfigureProvider")] == [".providers", "a"]


def test_providers_that_are_not_listed_are_shared_within_a_unit_alone(tmp_path: Path, installed: Path) -> None:
    with running(tmp_path, installed, shared=()) as run:
        with run.command("a") as first, run.command("b") as second:
            for command in (first, first, second):
                command.connect(b"east").call("ReadResource", b"x")
        one, again, other = run.pids("call", "ReadResource")
    assert one == again
    assert one != other


@pytest.mark.parametrize(("configuration", "said"), [(b"refuse it", b"It is refused"), (b"garble it", b"\xff")])
def test_a_process_whose_configuration_was_refused_serves_nobody_else_and_ends(
    run: Run, configuration: bytes, said: bytes
) -> None:
    with run.command() as command:
        replies = [command.connect().call("ConfigureProvider", configuration) for _ in range(2)]
        refused = run.pids("call", "ConfigureProvider")
    assert [said in reply.messages[0] for reply in replies] == [True, True]
    assert len(set(refused)) == 2
    until(lambda: not any(map(lives, refused)), "their end")


def test_stop_reaches_a_process_once_those_who_did_not_ask_have_left(run: Run) -> None:
    with run.command("a") as first, run.command("b") as second:
        one, other = first.connect(b"east"), second.connect(b"east")
        assert other.call("ReadResource", b"x").status == 0
        assert one.call("StopProvider").status == 0
        assert run.pids("call", "StopProvider") == []
        other.close()
        until(lambda: run.pids("call", "StopProvider"), "the stop")


def test_stop_reaches_a_process_once_all_who_share_it_asked(run: Run) -> None:
    with run.command("a") as first, run.command("b") as second:
        one, other = first.connect(b"east"), second.connect(b"east")
        assert one.call("StopProvider").status == 0
        assert other.call("ReadResource", b"x").status == 0
        assert other.call("StopProvider").status == 0
        second.connect(b"east").call("ReadResource", b"x")
    read, stopped, fresh = [
        line["pid"] for line in happened(run.log, "call") if line["name"] in ("ReadResource", "StopProvider")
    ]
    assert read == stopped
    assert fresh != stopped


def test_processes_that_nobody_uses_are_ended_beyond_the_limit_the_oldest_first(
    tmp_path: Path, installed: Path
) -> None:
    def configured() -> list[dict[str, Any]]:
        return [provider for provider in run.status()["providers"] if provider["configured"]]

    with running(tmp_path, installed, idle=2) as run, run.command() as command:
        for number in range(5):
            command.connect(b"%d" % number).close()
            until(lambda: not any(provider["users"] for provider in configured()), "its end")
        *oldest, one, another = run.pids("call", "ConfigureProvider")
        until(lambda: not any(map(lives, oldest)), "the end of the oldest")
        assert {provider["pid"] for provider in configured()} == {one, another}


def test_processes_are_ended_where_all_together_take_more_memory_than_they_may(tmp_path: Path, installed: Path) -> None:
    with running(tmp_path, installed, memory=1) as run:
        with run.command() as command:
            command.connect(b"east")
        until(lambda: not any(map(lives, run.pids("started"))), "their end")


def test_status_tells_which_providers_run_and_for_how_many(alone: Run) -> None:
    with alone.command("a") as first, alone.command("b") as second:
        for command in (first, second):
            command.connect(b"east")
        found = alone.status()["providers"]
        (configured,) = [provider for provider in found if provider["configured"]]
        assert (configured["provider"], configured["version"], configured["users"]) == (ADDRESS, "1.0.0", 2)
        assert configured["pid"] in alone.pids("call", "ConfigureProvider")


def test_a_gateway_that_is_stopped_serves_the_command_under_way_and_then_ends(alone: Run) -> None:
    with alone.command() as command:
        caller = command.connect(b"east")
        about = alone.status()
        ask(alone.gateway._address, {"do": "stop"})
        with pytest.raises(GatewayError):
            ask(alone.gateway._address, {"do": "hold"})
        assert caller.call("ReadResource", b"x").messages == [b"x"]
    alone.gateway.close()
    until(lambda: not lives(about["pid"]), "its end")
    assert not Path(alone.gateway._address).parent.exists()
    assert not any(map(lives, alone.pids("started")))
