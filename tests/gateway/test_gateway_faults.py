"""Whatever Terraform or a provider does, the gateway hands on faithfully; whatever fails, nobody hangs and nothing is lost.

The provider is the one in rough_provider.py, the client at the other end the one in rough_client.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import pytest
from child_process import until
from rough_client import ADDRESS, Caller, Reply, copied, happened, initialised, mirrored

from infra_orch.gateway.client import REATTACH, Attached, Gateway
from infra_orch.gateway.line import GatewayError, ask
from infra_orch.gateway.start import Ways
from infra_orch.process import lives

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads Linux's /proc")
UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 12, 13, 14


@dataclass
class Command:
    """A Terraform command that the gateway serves."""

    attached: Attached
    callers: list[Caller] = field(default_factory=list)

    @property
    def reattach(self) -> dict[str, Any]:
        return dict(json.loads(self.attached.environment.get(REATTACH, "{}")))

    def connect(self, configuration: bytes | None = None) -> Caller:
        """A connection to the provider, configured where a configuration is given."""
        caller = Caller(self.reattach)
        self.callers.append(caller)
        if configuration is not None:
            assert caller.call("ConfigureProvider", configuration).status == 0
        return caller

    def close(self) -> None:
        for caller in self.callers:
            caller.close()


@dataclass
class Run:
    """A run whose commands *gateway* serves, in a *folder* of its own. *fallbacks* are what the user is told."""

    folder: Path
    unit: Path
    gateway: Gateway
    fallbacks: dict[str, str]

    @property
    def log(self) -> Path:
        return self.folder / "provider.log"

    @contextlib.contextmanager
    def command(
        self,
        unit: str = "unit",
        rough: Mapping[str, Any] | None = None,
        more: Mapping[str, str] | None = None,
        **about: Any,
    ) -> Iterator[Command]:
        """A command in a unit's folder; *rough* is how its provider is, *more* goes into its environment."""
        cwd = self.folder / "units" / unit
        if not cwd.exists():
            copied(self.unit, cwd)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "ROUGH_FOLDER": str(self.folder)}
        environment |= {"ROUGH": json.dumps(rough or {}), **(more or {})}
        with (
            self.gateway.attached(cwd, environment, **about) as attached,
            contextlib.closing(Command(attached)) as command,
        ):
            yield command

    def pids(self, what: str, name: str | None = None) -> list[int]:
        """The processes to which something happened, in that order."""
        return [line["pid"] for line in happened(self.log, what, name)]

    def status(self) -> dict[str, Any]:
        return ask(self.gateway._address, {"do": "status"})


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that Terraform initialised."""
    folder = tmp_path_factory.mktemp("installed")
    mirrored(folder / "mirror")
    return initialised(folder / "unit", folder / "mirror")


@contextlib.contextmanager
def running(folder: Path, installed: Path, **ways: Any) -> Iterator[Run]:
    fallbacks: dict[str, str] = {}
    how = Ways(folder / "cache", **{"shared": (ADDRESS,), **ways})
    with contextlib.closing(Gateway(how, folder / "gateway.log", told=fallbacks.__setitem__)) as gateway:
        yield Run(folder, installed, gateway, fallbacks)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory, installed: Path) -> Iterator[Run]:
    """A gateway that nobody harms."""
    with running(tmp_path_factory.mktemp("quiet"), installed) as run:
        yield run


@pytest.fixture
def run(quiet: Run, tmp_path: Path) -> Run:
    """A run that meets no other: its providers have an environment of their own."""
    quiet.fallbacks.clear()
    quiet.gateway.used.fallbacks.clear()
    return Run(tmp_path, quiet.unit, quiet.gateway, quiet.fallbacks)


@pytest.fixture
def alone(tmp_path: Path, installed: Path) -> Iterator[Run]:
    """A run with a gateway of its own."""
    with running(tmp_path, installed) as run:
        yield run


def entry(number: int, value: bytes) -> bytes:
    """A field of a protobuf message; as short as those of the tests are."""
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def creating(kind: str, **planned: Any) -> bytes:
    """A request of ApplyResourceChange for a resource that does not exist yet."""
    prior, after = (entry(1, msgpack.packb(value)) for value in (None, planned))
    return entry(1, kind.encode()) + entry(2, prior) + entry(3, after)


def journalled(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


# What passes through.


@pytest.fixture(scope="module")
def usual(quiet: Run) -> Iterator[Command]:
    """A command with a provider that does nothing odd."""
    with quiet.command() as command:
        yield command


@pytest.fixture
def caller(usual: Command) -> Iterator[Caller]:
    """A connection to a configured provider."""
    with contextlib.closing(usual.connect(b"")) as caller:
        yield caller


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


# What is created becomes known.


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


# Who shares a process.


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


# A provider that fails.


@pytest.mark.parametrize(
    "name",
    [
        "GetFunctions",
        "ValidateProviderConfig",
        "ValidateResourceConfig",
        "ConfigureProvider",
        "ReadResource",
        "ApplyResourceChange",
        "ListResource",
        "Converse",
        "StopProvider",
    ],
)
def test_a_provider_that_dies_fails_its_call_and_the_next_connection_gets_a_fresh_one(run: Run, name: str) -> None:
    first = name in ("GetFunctions", "ValidateProviderConfig", "ValidateResourceConfig", "ConfigureProvider")
    request = b"2 1000" if name == "ListResource" else b""
    with run.command(rough={"die": name}) as command:
        reply = command.connect(None if first else b"east").call(name, request)
        (dead,) = run.pids("call", name)
        after = command.connect(None if first else b"east").call("UpgradeResourceIdentity", b"x")
    assert reply.status == UNAVAILABLE
    assert after.messages == [b"x"]
    assert dead not in run.pids("call", "UpgradeResourceIdentity")
    (lost,) = command.attached.lost
    assert (lost["end"], lost["words"].strip()) == ("signal 9", f"panic: {name} was too much")


def test_terraform_says_of_a_provider_that_dies_that_it_did_not_respond(run: Run) -> None:
    with run.command(rough={"die": "ValidateResourceConfig"}) as command:
        environment = {"PATH": os.environ["PATH"], **command.attached.environment}
        argv = ["terraform", "plan", "-no-color", "-input=false"]
        cwd = run.folder / "units/unit"
        done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Error: Plugin did not respond" in done.stderr
    assert [lost["words"] for lost in command.attached.lost] == ["panic: ValidateResourceConfig was too much\n"]


@pytest.mark.parametrize("name", ["ReadResource", "ListResource"])
def test_a_connection_whose_provider_died_gets_errors_and_no_silence(run: Run, name: str) -> None:
    with run.command(rough={"die": "PlanResourceChange"}) as command:
        caller = command.connect(b"east")
        caller.call("PlanResourceChange")
        reply = caller.call(name, b"1 10")
    assert reply.status == UNAVAILABLE


@pytest.mark.parametrize(
    ("rough", "reason"),
    [
        ({"handshake": "Segmentation fault"}, "it does not begin as providers do"),
        ({"handshake": "1|6|unix"}, "it does not begin as providers do"),
        ({"handshake": "1|6|tcp|127.0.0.1:1|grpc|"}, "it does not begin as providers do"),
        ({"handshake": "1|4|unix|SOCKET|netrpc|"}, "it does not begin as providers do"),
        ({"handshake": "1|4|unix|SOCKET|grpc|"}, "it speaks protocol 4"),
        ({"handshake": "1|6|unix|/nowhere/at/all|grpc|"}, "there is no socket where it says"),
        ({"handshake": "1|6|unix|SOCKET|grpc|nonsense"}, "the certificate in its handshake cannot be read"),
        ({"exit": "no license"}, "it ended before it had answered"),
    ],
)
def test_a_provider_that_does_not_shake_hands_is_left_to_terraform_and_ended(
    run: Run, rough: dict[str, str], reason: str
) -> None:
    with run.command(rough=rough) as command:
        assert command.reattach == {}
        until(lambda: not any(map(lives, run.pids("started"))), "its end")
    assert run.fallbacks == {ADDRESS: reason}


def test_a_provider_that_talks_much_is_not_kept_from_its_work(run: Run) -> None:
    with run.command(rough={"chatty": True}) as command:
        assert command.connect(b"east").call("ReadResource", b"x").messages == [b"x"]


@pytest.mark.parametrize("name", ["ReadResource", "ListResource"])
def test_a_provider_that_hangs_up_fails_its_call_and_is_given_to_nobody_else(run: Run, name: str) -> None:
    with run.command(rough={"hang_up": name}) as command:
        reply = command.connect(b"east").call(name, b"1 10")
        after = command.connect(b"east").call("PlanResourceChange")
    assert (reply.status, after.status) == (UNAVAILABLE, 0)
    assert run.pids("call", name) != run.pids("call", "PlanResourceChange")
    assert len(command.attached.lost) == 1


def test_a_provider_that_ends_after_each_handshake_keeps_nobody_waiting(run: Run) -> None:
    with run.command(rough={"brief": True}) as command:
        statuses = {command.connect().call("ReadResource").status} if command.reattach else set(run.fallbacks)
    assert statuses <= {UNAVAILABLE, ADDRESS}


# A gateway that fails, or is left alone.


@linux
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_where_the_gateway_is_killed_its_providers_go_with_it(alone: Run, how: signal.Signals) -> None:
    with alone.command(rough={"never": ["ReadResource"]}) as command:
        caller = command.connect(b"east")
        number = caller.begin("ReadResource")
        caller.end(number)
        until(lambda: happened(alone.log, "call", "ReadResource"), "the call")
        os.kill(alone.status()["pid"], how)
        reply = caller.reply(number)
        until(lambda: not any(map(lives, alone.pids("started"))), "the end of its providers")
    assert reply.lost or reply.status == UNAVAILABLE
    with alone.command() as command:
        assert command.reattach == {}
    assert "every provider" in alone.fallbacks
    shutil.rmtree(Path(alone.gateway._address).parent, ignore_errors=True)  # nobody is left to do that


ORCHESTRATOR = """
import json, os, subprocess, sys
from pathlib import Path
from infra_orch.gateway.client import Gateway
from infra_orch.gateway.start import Ways
folder, unit, shared = Path(sys.argv[1]), Path(sys.argv[2]), (sys.argv[3],)
gateway = Gateway(Ways(folder / "cache", shared=shared), folder / "gateway.log")
with gateway.attached(unit, {"PATH": os.environ["PATH"], "ROUGH_FOLDER": str(folder)}) as attached:
    command = subprocess.Popen(["sleep", "600"], start_new_session=True)
    attached.started(command.pid)
    print(json.dumps([command.pid, gateway._address, dict(attached.environment)]), flush=True)
    command.wait()
"""


@linux
def test_where_the_orchestrator_is_killed_its_command_keeps_its_providers_to_its_end(
    tmp_path: Path, installed: Path
) -> None:
    argv = [sys.executable, "-c", ORCHESTRATOR, str(tmp_path), str(installed), ADDRESS]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as orchestrator:
        assert orchestrator.stdout
        pid, address, environment = json.loads(orchestrator.stdout.readline())
        orchestrator.kill()
    try:
        until(lambda: ask(address, {"do": "status"})["runs"] == 0, "the gateway to see it")
        with contextlib.closing(Command(Attached(environment))) as command:
            assert command.connect(b"east").call("ReadResource", b"x").messages == [b"x"]
    finally:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(address).parent.exists(), "the end of the gateway")
    assert not any(lives(line["pid"]) for line in happened(tmp_path / "provider.log", "started"))


def test_sockets_that_somebody_removed_cost_no_later_command_its_providers(alone: Run) -> None:
    with alone.command() as command:
        command.connect(b"east").call("ReadResource", b"x")
    for path in Path(alone.gateway._address).parent.iterdir():
        if path.name != "gateway":
            path.unlink()
    with alone.command() as command:
        reply = command.connect(b"east").call("ReadResource", b"y")
    assert reply.messages == [b"y"]


def test_a_gateway_whose_folder_was_removed_is_told_and_keeps_nobody_waiting(alone: Run) -> None:
    with alone.command():
        pass
    pid = alone.status()["pid"]
    folder = Path(alone.gateway._address).parent
    for path in (*folder.iterdir(), folder):
        path.unlink() if path.is_socket() else path.rmdir()
    with alone.command() as command:
        assert command.reattach == {}
    assert "every provider" in alone.fallbacks
    alone.gateway.close()
    until(lambda: not lives(pid), "its end")


def test_a_corrupt_schema_cache_is_ignored_and_written_anew(tmp_path: Path, installed: Path) -> None:
    def asked() -> Reply:
        with running(tmp_path, installed) as run, run.command() as command:
            return command.connect().call("GetProviderSchema")

    before = asked()
    (kept,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    good = kept.read_bytes()
    kept.write_bytes(good.replace(b"rough_bed", b"wrong_bed"))
    after = asked()
    assert b"rough_bed" in before.messages[0]
    assert after.messages == before.messages
    assert kept.read_bytes() == good


def test_who_talks_nonsense_is_hung_up_on_and_nobody_else_notices(run: Run) -> None:
    nonsense = [
        b"\xff\n",
        b"[]\n",
        b'{"do": "attach"}\n',
        b'{"do": "attach", "cwd": 1}\n',
        b'{"do": "dance"}\n',
        b"[" * 100_000 + b"\n",
    ]
    with run.command() as command:
        provider = command.reattach[ADDRESS]["Addr"]["String"]
        caller = command.connect(b"east")
        frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\1\0\0\0\0\0\0x"  # data of no stream
        told = [(run.gateway._address, line) for line in nonsense] + [
            (provider, b"GET / HTTP/1.1\r\n\r\n"),
            (provider, frames),
        ]
        for address, said in told:
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.settimeout(20)
                stranger.connect(address)
                stranger.sendall(said)
                with contextlib.suppress(ConnectionError):
                    while stranger.recv(4096):
                        pass
        assert caller.call("ReadResource", b"x").messages == [b"x"]
        assert command.connect(b"east").call("ReadResource", b"y").messages == [b"y"]


# What is nobody else's business.


@linux
def test_nobody_else_can_reach_a_provider(alone: Run) -> None:
    with alone.command() as command:
        command.connect(b"east")
        about = alone.status()
        folder = Path(alone.gateway._address).parent
        folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
        assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
        direct = [path for path in folder.iterdir() if path.is_socket()]
        assert not any(path.stat().st_mode & 0o077 for path in direct)
        tcp = {
            row.split()[9]
            for name in ("tcp", "tcp6")
            if Path(f"/proc/net/{name}").exists()
            for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        }
        open_ = {
            str(handle.readlink())
            for pid in (about["pid"], *(provider["pid"] for provider in about["providers"]))
            for handle in Path(f"/proc/{pid}/fd").iterdir()
        }
        assert not open_ & {f"socket:[{inode}]" for inode in tcp}
    assert len(direct) >= 2


@linux
def test_a_secret_of_a_configuration_is_in_no_file_and_not_in_the_gateways_environment(alone: Run) -> None:
    secret = b"hunter2-was-never-a-good-one"
    with alone.command(
        more={"AWS_SECRET_ACCESS_KEY": secret.decode()}, journal=str(alone.folder / "journal")
    ) as command:
        caller = command.connect()
        caller.call("ValidateProviderConfig", secret)
        caller.call("GetProviderSchema")
        caller.call("ConfigureProvider", secret)
        assert caller.call("ReadResource", secret).messages == [secret]
        caller.call("ApplyResourceChange", creating("rough_bed", secret=secret.decode()))
        environment = Path(f"/proc/{alone.status()['pid']}/environ").read_bytes()
        folder = Path(alone.gateway._address).parent
        files = [path for place in (folder, alone.folder) for path in place.rglob("*") if path.is_file()]
    assert [path for path in files if secret in path.read_bytes()] == []
    assert secret not in environment
    assert "gateway.log" in {path.name for path in files}
    assert journalled(alone.folder / "journal")


# How much it keeps, and what it says of itself.


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
