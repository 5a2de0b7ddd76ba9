"""The emulator's life: for one run, and kept."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest

from infra_orch.errors import UnavailableError
from infra_orch.sandbox import server
from infra_orch.sandbox.ask import ask
from infra_orch.sandbox.leftovers import leftovers
from infra_orch.sandbox.paths import ABOUT_PATH, STATE_NAME

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads Linux's /proc")

START_AND_WAIT = """
import sys, time
from pathlib import Path
from infra_orch.sandbox import server
with server.start_for_run(Path(sys.argv[1])) as emulator:
    print(emulator.pid, emulator.url, flush=True)
    time.sleep(600)
"""
START_KEPT = """
import sys
from pathlib import Path
from infra_orch.sandbox import server
print(server.start(Path(sys.argv[1])).pid)
"""
START_FOR_RUN = """
import sys
from pathlib import Path
from infra_orch.errors import UnavailableError
from infra_orch.sandbox import server
try:
    with server.start_for_run(Path(sys.argv[1])):
        pass
except UnavailableError as error:
    print(error.summary, error.hint, sep="\\n")
"""


def python(program: str, *arguments: str, **variables: str) -> str:
    argv = [sys.executable, "-c", program, *arguments]
    return subprocess.run(
        argv, env=os.environ | variables, check=True, capture_output=True, text=True, timeout=90
    ).stdout.strip()


def lives(pid: int) -> bool:
    """Whether the process runs; a dead one that nobody has asked after yet does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()
    return state != "Z"


def ends(pid: int, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while lives(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def make_topic(url: str, name: str) -> None:
    """By hand, because to load boto3 for one call takes longer than all the rest of a test."""
    scope = "20260101/eu-west-1/sns/aws4_request"
    request = urllib.request.Request(
        url,
        data=urlencode({"Action": "CreateTopic", "Name": name, "Version": "2010-03-31"}).encode(),
        headers={"Authorization": f"AWS4-HMAC-SHA256 Credential=any/{scope}, SignedHeaders=host, Signature=any"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        assert answer.status == 200


@pytest.fixture
def folder(tmp_path) -> Iterator[Path]:
    yield tmp_path / "kept"
    server.stop(tmp_path / "kept")


def test_an_emulator_for_a_run_answers_and_ends_with_it_and_leaves_no_file(tmp_path):
    with server.start_for_run(tmp_path / "work") as emulator:
        assert json.loads(ask(emulator.url, ABOUT_PATH)[1])["pid"] == emulator.pid
        assert not emulator.kept
    assert not lives(emulator.pid)
    assert list((tmp_path / "work").iterdir()) == []


def test_an_emulator_for_a_run_ends_when_the_run_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), server.start_for_run(tmp_path) as emulator:
        1 / 0  # noqa: B018
    assert not lives(emulator.pid)


def test_an_emulator_for_a_run_ends_soon_after_the_orchestrator_is_killed(tmp_path):
    argv = [sys.executable, "-c", START_AND_WAIT, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as orchestrator:
        assert orchestrator.stdout is not None
        pid = int(orchestrator.stdout.readline().split()[0])
        was_alive = lives(pid)
        orchestrator.kill()
    assert was_alive
    assert ends(pid)


@linux
def test_it_listens_on_loopback_only_and_knows_no_credential_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-real-secret")
    with server.start_for_run(tmp_path) as emulator:
        rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
        environment = Path(f"/proc/{emulator.pid}/environ").read_bytes()
    port = f":{int(emulator.url.rpartition(':')[2]):04X}"
    listening = {row[1] for row in rows if row[1].endswith(port) and row[3] == "0A"}
    assert listening == {f"0100007F{port}"}
    assert b"a-real-secret" not in environment


def test_without_moto_the_command_that_installs_it_is_named(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['moto'] = None\n")
    said = python(START_FOR_RUN, str(tmp_path / "work"), PYTHONPATH=str(tmp_path))
    assert said.splitlines() == ["the sandbox needs moto's server", "pip install 'infra-orch[sandbox]'"]


def test_an_emulator_that_dies_at_its_start_is_explained_by_the_end_of_its_log(tmp_path, monkeypatch):
    (tmp_path / "flask_cors.py").write_text("raise RuntimeError('this library is broken')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="this library is broken"), server.start_for_run(tmp_path / "work"):
        pass


def test_a_kept_emulator_outlives_who_started_it_and_is_found_again(folder):
    pid = int(python(START_KEPT, str(folder)))
    found = server.status(folder)
    assert found is not None
    assert (found.pid, found.kept) == (pid, True)
    assert server.start(folder) == found
    assert stat.S_IMODE((folder / STATE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_two_starts_at_once_give_one_emulator(folder):
    with ThreadPoolExecutor(2) as pool:
        pids = list(pool.map(lambda _: python(START_KEPT, str(folder)), range(2)))
    assert len(set(pids)) == 1


def test_stopping_ends_it_and_says_whether_there_was_one(folder):
    emulator = server.start(folder)
    assert server.stop(folder)
    assert ends(emulator.pid)  # it gives its lock back a moment before it is gone
    assert server.status(folder) is None
    assert not server.stop(folder)


def test_what_a_killed_emulator_leaves_behind_is_removed_even_if_its_process_id_lives_again(folder):
    emulator = server.start(folder)
    os.kill(emulator.pid, signal.SIGKILL)
    assert ends(emulator.pid)
    state = folder / STATE_NAME
    state.write_text(json.dumps(json.loads(state.read_text()) | {"pid": os.getpid()}))
    assert server.status(folder) is None
    assert not state.exists()
    assert server.start(folder).pid != emulator.pid


def test_resetting_empties_the_same_emulator(folder):
    emulator = server.start(folder)
    make_topic(emulator.url, "alerts")
    before = leftovers(emulator.url)
    server.reset(folder)
    assert [line.split()[:3] for line in before] == [["sns", "eu-west-1", "Topic"]]
    assert leftovers(emulator.url) == []
    assert server.status(folder) == emulator


def test_resetting_where_none_runs_names_the_command_that_starts_one(folder):
    with pytest.raises(UnavailableError) as caught:
        server.reset(folder)
    assert caught.value.hint == "infra-orch sandbox start"


def test_an_emulator_that_hangs_is_reported_and_can_still_be_stopped(folder, monkeypatch):
    emulator = server.start(folder)
    monkeypatch.setattr(server, "_ANSWER_SECONDS", 0.3)
    os.kill(emulator.pid, signal.SIGSTOP)
    with pytest.raises(UnavailableError, match=str(emulator.pid)):
        server.status(folder)
    monkeypatch.setattr(server, "_END_SECONDS", 0.3)
    assert server.stop(folder)
    assert ends(emulator.pid)
