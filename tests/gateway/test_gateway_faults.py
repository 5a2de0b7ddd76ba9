"""Whatever fails, a provider or the gateway, nobody hangs, nothing is lost, and nobody else can reach a provider."""

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
from pathlib import Path

import pytest
from child_process import until
from rough_client import ADDRESS, Reply, happened
from rough_run import UNAVAILABLE, Command, Run, creating, journalled, linux, running

from infra_orch.gateway.client import Attached
from infra_orch.gateway.line import ask
from infra_orch.process import lives


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


def test_a_provider_that_hangs_while_it_is_configured_keeps_nobody_waiting_who_tries_again(run: Run) -> None:
    with run.command(rough={"wait": ["ConfigureProvider"]}) as command:
        impatient = command.connect()
        impatient.end(impatient.begin("ConfigureProvider"))
        until(lambda: run.pids("call", "ConfigureProvider"), "the call")
        (hung,) = run.pids("call", "ConfigureProvider")
        impatient.close()
        until(lambda: not lives(hung), "its end")
        (run.folder / "go").touch()
        assert command.connect(b"").call("ReadResource", b"x").messages == [b"x"]


def test_a_provider_that_ends_after_each_handshake_keeps_nobody_waiting(run: Run) -> None:
    with run.command(rough={"brief": True}) as command:
        statuses = {command.connect().call("ReadResource").status} if command.reattach else set(run.fallbacks)
    assert statuses <= {UNAVAILABLE, ADDRESS}


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
